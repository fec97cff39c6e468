// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 8 groups of 32: d * (2 scale + 1) * (point + shift), points from kIq1Grid. Point
/// p's low eight bits are qs[p]; the group's field of qh holds three high bits for each of its four
/// points, then three bits of scale, then whether the shift is -kIq1Shift instead of +kIq1Shift.
struct BlockIQ1_S {
  Bits16 d;
  std::uint8_t qs[32];
  Bits16 qh[8];
};
static_assert(sizeof(BlockIQ1_S) == 50);

/// 256 weights, eight to a point p of kIq1Grid: low bits in qs[p]; half p % 2 of qh[p / 2] has
/// three high bits and the sign of the shift. Weights [16 h, 16 h + 16) have a three-bit scale at
/// bit 3 (h % 4) of scales[h / 4], meaning 2 scale + 1; the top four bits of the four fields of
/// scales, first field lowest, are the half-precision d.
struct BlockIQ1_M {
  std::uint8_t qs[32];
  std::uint8_t qh[16];
  Bits16 scales[4];
};
static_assert(sizeof(BlockIQ1_M) == 56);

/// The half-precision scale that a BlockIQ1_M spreads over its scales.
[[gnu::always_inline]] constexpr std::uint16_t scale_bits_of_iq1_m(const BlockIQ1_M& block) {
  unsigned bits = 0;
  for (unsigned i = 0; i < 4; ++i)
    bits |= static_cast<unsigned>(block.scales[i].bits()) >> 12 << (4 * i);
  return static_cast<std::uint16_t>(bits);
}

/// As QuantCodec says.
void decode_iq1_s(const std::byte* from, std::size_t n_weights, float* to);
void decode_iq1_m(const std::byte* from, std::size_t n_weights, float* to);

}  // namespace engine::quant
