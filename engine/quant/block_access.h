// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

/// Blocks as they lie in a tensor's bytes: without alignment, one after the other.
namespace engine::quant {

template <typename Block>
const Block* blocks_at(const std::byte* bytes) {
  static_assert(alignof(Block) == 1);
  return reinterpret_cast<const Block*>(bytes);
}
template <typename Block>
Block* blocks_at(std::byte* bytes) {
  static_assert(alignof(Block) == 1);
  return reinterpret_cast<Block*>(bytes);
}

}  // namespace engine::quant
