// SPDX-License-Identifier: MIT
#include <cstdlib>

#include "hwdb/safetensors.h"
#include "hwdb/testing/safetensors_builder.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile bytes({data, size});
  const auto file = hwdb::FileReader::open(bytes.path());
  if (!file) std::abort();
  const auto header = hwdb::read_safetensors_header(*file);
  if (!header) return 0;
  hwdb::ModelFile model;
  hwdb::add_safetensors(*header, 0, &model);
  std::uint64_t sum = header->header_bytes;
  for (const hwdb::TensorInfo& tensor : model.tensors) sum += tensor.bytes;
  if (sum != size) std::abort();  // an accepted file is covered to the last byte
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  using hwdb::testing::st_tensor;
  return {hwdb::testing::safetensors("{\"__metadata__\":{\"format\":\"pt\"}," +
                                         st_tensor("a", "BF16", "[2,3]", 0, 12) + "," +
                                         st_tensor("b", "F4", "[4]", 12, 14) + "}",
                                     14)};
}
