// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "hwdb/result.h"

namespace hwdb {

/// A GGUF tensor type, by its id in the file. Only ids of rows in data/quants/tensor_types.json are
/// valid.
enum class TensorType : std::uint32_t {};

/// One tensor type: how many weights share a block and what the block weighs.
struct TensorFormat {
  std::string_view name;          // "Q4_K"
  TensorType type;                // id in GGUF files
  std::uint32_t block_weights;    // weights in a block
  std::uint32_t block_bytes;      // bytes of a block, scales included
  std::uint32_t row_extra_bytes;  // bytes once a row (some ik_llama.cpp types), else 0
  bool mainline;                  // read by llama.cpp itself, not only by a fork
  bool weights_in_files;          // false for types that only computation uses
  bool removed;                   // once in files, no longer read by anything
  constexpr double bits_per_weight() const { return 8.0 * block_bytes / block_weights; }
};

/// All tensor types, made from data/quants/tensor_types.json at build time.
std::span<const TensorFormat> tensor_formats();
/// Null when no row has that id or name (exact, upper case as in llama.cpp).
const TensorFormat* find_tensor_format(std::uint32_t id);
const TensorFormat* find_tensor_format(std::string_view name);
/// The format of a valid TensorType.
const TensorFormat& format_of(TensorType type);
/// The type of that name; the name must be a row (our own mistake otherwise).
TensorType tensor_type(std::string_view name);

/// Bytes of `ne0` weights of a row; a last block counts whole.
std::uint64_t row_bytes(TensorType type, std::uint64_t ne0);

/// Bytes of a tensor of `rows` rows of `ne0` weights. Errors: gguf.block when ne0 is no multiple of
/// the block, gguf.size on overflow.
Result<std::uint64_t> tensor_bytes(const TensorFormat& format, std::uint64_t ne0,
                                   std::uint64_t rows);

}  // namespace hwdb
