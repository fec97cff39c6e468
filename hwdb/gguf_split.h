// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hwdb/file_reader.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// A file name of the form PREFIX-00001-of-00003.gguf.
struct ShardName {
  std::string prefix;  // folder included
  std::uint32_t number = 1, count = 1;
  /// The name of another shard of the set.
  std::string sibling(std::uint32_t other) const;
};
/// Absent when the path has no such ending.
std::optional<ShardName> parse_shard_name(std::string_view path);

/// Opens a GGUF model by any of its shards. `read_at` is for tests. Errors: those of GgufFile and
/// read_gguf_shape, vocab.*, gguf.split, gguf.split_missing.
Result<ModelFile> open_gguf(const std::string& path, const ReadAt& read_at = {});

}  // namespace hwdb
