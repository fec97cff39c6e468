// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 32 weights d * kIq4Levels[q], in BlockQ4_0's order.
struct BlockIQ4_NL {
  Bits16 d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

/// 256 weights in 8 groups of 32: d * (scale - 32) * kIq4Levels[q]. Each group's qs lie as in
/// BlockQ4_0; the scale of group g has its low four bits in half g % 2 of scales_l[g / 2], its high
/// two in bits [2g, 2g + 2) of scales_h.
struct BlockIQ4_XS {
  Bits16 d;
  Bits16 scales_h;
  std::uint8_t scales_l[4];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 136);

/// The six bits of group g's scale, 0..63 (32 means 0).
[[gnu::always_inline]] constexpr int scale_of_iq4_xs(const BlockIQ4_XS& block, unsigned g) {
  const unsigned low = block.scales_l[g / 2] >> (4 * (g % 2)) & 15u;
  const unsigned high = static_cast<unsigned>(block.scales_h.bits()) >> (2 * g) & 3u;
  return static_cast<int>(low | high << 4);
}

/// As QuantCodec says.
void decode_iq4_nl(const std::byte* from, std::size_t n_weights, float* to);
void encode_iq4_nl(const float* from, std::size_t n_weights, const float* importance,
                   std::byte* to);
void decode_iq4_xs(const std::byte* from, std::size_t n_weights, float* to);
void encode_iq4_xs(const float* from, std::size_t n_weights, const float* importance,
                   std::byte* to);

}  // namespace engine::quant
