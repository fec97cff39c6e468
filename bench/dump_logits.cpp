// SPDX-License-Identifier: MIT
// dump_logits FILE TOKENS OUT [-t N] [-ctk T] [-ctv T] [-n PROMPT] [-ub N]: the logits of every
// position as 32-bit floats, to hold the engine against another one. TOKENS is a file of ids with
// blanks between; the first PROMPT of them (default: all) run as one batch, the others one by one.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/model/model.h"
#include "engine/run/context.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/quant_format.h"

namespace {

int fail(const hwdb::Error& error) {
  fmt::print(stderr, "error[{}]: {}: {}\n", error.code, error.where, error.what);
  return EXIT_FAILURE;
}

struct Settings {
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::size_t n_prompt = ~std::size_t{0};
  engine::ContextOptions context;
};

hwdb::TensorType type_by_name(std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return hwdb::tensor_type(name);
}

Settings read_settings(int argc, char** argv) {
  Settings settings;
  for (int i = 4; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "-t") settings.threads = static_cast<unsigned>(std::stoul(value));
    if (name == "-n") settings.n_prompt = std::stoul(value);
    if (name == "-ub") settings.context.n_ubatch = static_cast<std::uint32_t>(std::stoul(value));
    if (name == "-ctk") settings.context.type_k = type_by_name(value);
    if (name == "-ctv") settings.context.type_v = type_by_name(value);
  }
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: dump_logits FILE TOKENS OUT [-t N] [-ctk T] [-ctv T] [-n PROMPT]\n");
    return EXIT_FAILURE;
  }
  Settings settings = read_settings(argc, argv);
  std::vector<engine::TokenId> tokens;
  std::ifstream list(argv[2]);
  for (engine::TokenId token = 0; list >> token;) tokens.push_back(token);
  std::ofstream out(argv[3], std::ios::binary);

  engine::ThreadPool pool(settings.threads);
  auto model = engine::Model::open(argv[1], pool, {});
  if (!model) return fail(model.error());
  settings.context.n_ctx = static_cast<std::uint32_t>(tokens.size());
  auto context = engine::Context::make(**model, pool, settings.context);
  if (!context) return fail(context.error());

  const std::size_t n_prompt = std::min(settings.n_prompt, tokens.size());
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t n = at == 0 ? std::max<std::size_t>(n_prompt, 1) : 1;
    std::vector<engine::BatchToken> batch;
    for (std::size_t i = 0; i < n; ++i) batch.push_back({tokens[at + i], 0, true});
    if (auto status = (*context)->decode(batch); !status) return fail(status.error());
    for (std::size_t i = 0; i < n; ++i) {
      const std::span<const float> logits = (*context)->logits(i);
      out.write(reinterpret_cast<const char*>(logits.data()),
                static_cast<std::streamsize>(logits.size_bytes()));
    }
    at += n;
  }
  out.flush();
  if (!out) {
    fmt::print(stderr, "error[output.write]: {}\n", argv[3]);
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
