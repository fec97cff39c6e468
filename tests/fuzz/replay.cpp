// SPDX-License-Identifier: MIT
// Stands in for libFuzzer where it is not there: replays files, or the seeds with all prefixes and
// some changes of each byte.
#include <cstdio>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz_target.h"

namespace {

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "%s cannot be opened\n", argv[i]);
      return 1;
    }
    run(std::string(std::istreambuf_iterator<char>(file), {}));
  }
  if (argc > 1) return 0;
  std::size_t count = 0;
  for (const std::string& seed : fuzz_seeds()) {
    run(seed);
    for (std::size_t n = 0; n < seed.size(); ++n, ++count) run(seed.substr(0, n));
    for (std::size_t at = 0; at < seed.size(); ++at) {
      for (const int change : {0x01, 0x20, 0x80, 0xFF}) {
        std::string changed = seed;
        changed[at] = static_cast<char>(static_cast<unsigned char>(changed[at]) ^ change);
        run(changed);
        ++count;
      }
    }
  }
  std::printf("%zu inputs replayed\n", count);
  return 0;
}
