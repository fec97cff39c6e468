// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace engine::quant {

/// Writes the coordinates (bytes of `point`, lowest first) times scale, negated where the bit of
/// `signs` with that number is set.
template <typename Point>
void write_signed_point(Point point, unsigned signs, float scale, float* to) {
  for (unsigned j = 0; j < sizeof(Point); ++j) {
    const float value = scale * static_cast<float>(static_cast<std::uint8_t>(point >> (8 * j)));
    to[j] = signs >> j & 1 ? -value : value;
  }
}

/// The little-endian word of four bytes.
constexpr std::uint32_t word_of(const std::uint8_t (&bytes)[4]) {
  return bytes[0] | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

}  // namespace engine::quant
