// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "hwdb/gguf.h"
#include "hwdb/model.h"
#include "hwdb/output_file.h"
#include "hwdb/result.h"

namespace hwdb {

/// The id in the file of a C++ type.
template <class T>
constexpr GgufType gguf_type_of() {
  if constexpr (std::is_same_v<T, bool>) return GgufType::boolean;
  if constexpr (std::is_same_v<T, std::uint8_t>) return GgufType::u8;
  if constexpr (std::is_same_v<T, std::int8_t>) return GgufType::i8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return GgufType::u16;
  if constexpr (std::is_same_v<T, std::int16_t>) return GgufType::i16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return GgufType::u32;
  if constexpr (std::is_same_v<T, std::int32_t>) return GgufType::i32;
  if constexpr (std::is_same_v<T, float>) return GgufType::f32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return GgufType::u64;
  if constexpr (std::is_same_v<T, std::int64_t>) return GgufType::i64;
  if constexpr (std::is_same_v<T, double>) return GgufType::f64;
  return GgufType::array;
}

template <class T>
concept GgufScalar = gguf_type_of<T>()
!= GgufType::array;

/// Metadata to be written, in the order in which it is added. The first key that GgufFile would
/// refuse is remembered as an error, and nothing is added after it.
class GgufKeys {
 public:
  template <GgufScalar T>
  void add(std::string_view key, T value) {
    // One byte is a bool's size here and in the file.
    add_raw(key, gguf_type_of<T>(), std::as_bytes(std::span(&value, 1)));
  }
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  template <GgufScalar T>
  void add_array(std::string_view key, std::span<const T> values) {
    add_raw_array(key, gguf_type_of<T>(), values.size(), std::as_bytes(values));
  }
  /// Booleans, from a list that cannot be a span.
  void add_array(std::string_view key, const std::vector<bool>& values);
  void add_texts(std::string_view key, std::span<const std::string> texts);
  /// A key of another file as it is stored there. Errors besides the own ones: file.*.
  Status copy(const GgufFile& from, std::string_view key);

  bool has(std::string_view key) const;
  std::uint64_t count() const { return names_.size(); }
  /// Errors: gguf.key, gguf.duplicate_key, gguf.string, gguf.array, gguf.count.
  const Status& status() const { return status_; }
  const std::string& bytes() const { return bytes_; }

 private:
  bool begin(std::string_view key, GgufType type);
  void fail(std::string_view code, std::string_view key, std::string what);
  void put(std::span<const std::byte> bytes);
  template <class T>
  void put_number(T value) {
    put(std::as_bytes(std::span(&value, 1)));
  }
  void put_text(std::string_view key, std::string_view text);
  void add_raw(std::string_view key, GgufType type, std::span<const std::byte> value);
  void add_raw_array(std::string_view key, GgufType element, std::uint64_t count,
                     std::span<const std::byte> values);
  std::string bytes_;
  std::vector<std::string> names_;  // sorted
  Status status_ = Ok{};
};

/// Writes one GGUF file: keys, tensor directory, and the tensors' bytes as they come, in the order
/// of the directory. What it commits, GgufFile opens.
class GgufWriter {
 public:
  struct Options {
    std::uint32_t alignment = 32;  // a power of two; written as a key when it is not 32
    bool overwrite = false;
    WriteSome write_some = {};
  };

  /// Lays the tensors out (`ne` and `type` count; bytes and offsets are set here), creates the file
  /// and writes all before the data. Errors: those of `keys`; gguf.tensor_name,
  /// gguf.duplicate_tensor, gguf.block, gguf.size, gguf.tensor_type, gguf.count, gguf.alignment;
  /// output.*.
  static Result<GgufWriter> create(const std::string& path, GgufKeys keys,
                                   std::vector<TensorInfo> tensors, Options options);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Bytes before the data, padding included; and of the whole file.
  std::uint64_t header_bytes() const { return header_bytes_; }
  std::uint64_t file_bytes() const { return header_bytes_ + data_bytes_; }

  /// The next bytes of tensor data; may end anywhere, also inside a tensor or over several.
  /// Padding is put between tensors. Errors: output.write, gguf.size (more than the tensors hold).
  Status write(std::span<const std::byte> bytes);
  /// Gives the file its name. Errors: gguf.size (bytes are missing), output.*.
  Status commit();

 private:
  explicit GgufWriter(OutputFile file) : file_(std::move(file)) {}
  Status pad(std::uint64_t bytes);
  OutputFile file_;
  std::vector<TensorInfo> tensors_;
  std::uint64_t alignment_ = 32, header_bytes_ = 0, data_bytes_ = 0;
  std::size_t tensor_ = 0;       // that is being written
  std::uint64_t in_tensor_ = 0;  // bytes of it that are there
};

}  // namespace hwdb
