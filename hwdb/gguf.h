// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/file_reader.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// The types of GGUF metadata values, by their id in the file.
enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
std::string_view to_string(GgufType type);

/// Where a metadata value is, and the value itself when it is a scalar. Texts and arrays stay in
/// the file until somebody asks.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;  // of an array
  std::uint64_t bits = 0;           // scalar, as stored
  std::uint64_t count = 0;          // bytes of a string, elements of an array
  std::uint64_t offset = 0;         // of the string's text or the array's first element
};

/// The header of one GGUF file (one shard): metadata and tensor directory, checked against the
/// file's size and against themselves. The weights are never read.
class GgufFile {
 public:
  /// Errors: gguf.* and file.*, as in the table of malformed input.
  static Result<GgufFile> open(FileReader file);

  const FileReader& file() const { return file_; }
  std::uint32_t version() const { return version_; }
  std::uint64_t alignment() const { return alignment_; }
  /// Bytes before the data section, padding included.
  std::uint64_t header_bytes() const { return header_bytes_; }
  std::size_t n_keys() const { return keys_.size(); }
  /// The name of a key, in the order of names.
  std::string_view key(std::size_t index) const { return keys_[index].key; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  std::vector<TensorInfo> take_tensors() { return std::move(tensors_); }

  /// Null when the file has no such key.
  const GgufValue* find(std::string_view key) const;

  // Typed values. Absent keys give an empty optional; another type is the error gguf.key_type; a
  // negative number where none can be is model.range.
  Result<std::optional<std::uint64_t>> integer(std::string_view key) const;
  Result<std::optional<double>> number(std::string_view key) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  /// At most `max_bytes` of a text.
  Result<std::optional<std::string>> text(std::string_view key,
                                          std::uint64_t max_bytes = 64 * 1024) const;
  /// One number, or an array of integers or booleans. Error: model.array_length when it is longer
  /// than `max_count`.
  Result<std::optional<std::vector<std::uint64_t>>> integers(std::string_view key,
                                                             std::uint64_t max_count) const;

  /// An error about a key of this file.
  Error key_error(std::string_view code, std::string_view key, std::string what) const;

 private:
  friend class GgufHeaderReader;
  struct Entry {
    std::string key;
    GgufValue value;
  };
  explicit GgufFile(FileReader file) : file_(std::move(file)) {}
  Error wrong_type(std::string_view key, const GgufValue& value, std::string_view expected) const;

  FileReader file_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32, header_bytes_ = 0;
  std::vector<Entry> keys_;  // sorted by key
  std::vector<TensorInfo> tensors_;
};

/// Bytes of one element of a scalar type; 0 for string and array.
std::uint64_t gguf_scalar_bytes(GgufType type);

}  // namespace hwdb
