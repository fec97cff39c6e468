// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 8 groups of 32: d * (scale + 1/2) / 4 * point * sign. A group has four indices
/// into kIq2XxsGrid, then a word like that of BlockIQ3_XXS.
struct BlockIQ2_XXS {
  struct Group {
    std::uint8_t points[4];
    std::uint8_t scale_and_signs[4];
  };
  Bits16 d;
  Group groups[8];
};
static_assert(sizeof(BlockIQ2_XXS) == 66);

/// 256 weights, eight to a field of qs: nine bits of index into kIq2XsGrid, seven of signs. Weights
/// [16 h, 16 h + 16) are scaled by d * (scale + 1/2) / 4, where scale is half h % 2 of scales[h /
/// 2].
struct BlockIQ2_XS {
  Bits16 d;
  Bits16 qs[32];
  std::uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_XS) == 74);

/// 256 weights, eight to a point of kIq2SGrid: the low bits of point p in qs[p], the high two in
/// bits [2 (p % 4), + 2) of qh[p / 4], its signs in signs[p]. Scales as in BlockIQ2_XS.
struct BlockIQ2_S {
  Bits16 d;
  std::uint8_t qs[32];
  std::uint8_t signs[32];
  std::uint8_t qh[8];
  std::uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_S) == 82);

/// As QuantCodec says.
void decode_iq2_xxs(const std::byte* from, std::size_t n_weights, float* to);
void decode_iq2_xs(const std::byte* from, std::size_t n_weights, float* to);
void decode_iq2_s(const std::byte* from, std::size_t n_weights, float* to);

}  // namespace engine::quant
