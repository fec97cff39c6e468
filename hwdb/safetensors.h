// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hwdb/file_reader.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// One tensor of a safetensors file, as its header says.
struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "BF16"
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0, end = 0;  // in the data section
  std::uint64_t elements = 1;
};

/// The header of one safetensors file, checked against the file's size and against itself.
struct SafetensorsHeader {
  std::uint64_t header_bytes = 0;  // everything before the data
  std::vector<SafetensorsTensor> tensors;
};

/// Errors: st.* and file.*, as in the table of malformed input.
Result<SafetensorsHeader> read_safetensors_header(const FileReader& file);

/// Adds the tensors of a header to a model, as those of its shard number `shard`.
void add_safetensors(const SafetensorsHeader& header, std::uint32_t shard, ModelFile* model);

}  // namespace hwdb
