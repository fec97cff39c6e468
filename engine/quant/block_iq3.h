// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 8 groups of 32: d * (scale + 1/2) / 2 * point * sign. Group g's eight points of
/// kIq3XxsGrid are points[8 g ..]; its word of scales_and_signs holds the signs of each eight
/// weights in seven bits, from the lowest, then four bits of scale.
struct BlockIQ3_XXS {
  Bits16 d;
  std::uint8_t points[64];
  std::uint8_t scales_and_signs[8][4];
};
static_assert(sizeof(BlockIQ3_XXS) == 98);

/// 256 weights in 8 groups of 32: d * (2 scale + 1) * point * sign. The ninth bit of point p of
/// kIq3SGrid (p counts fours of weights) is bit p % 8 of qh[p / 8]; the sign of weight j is bit
/// j % 8 of signs[j / 8]; the scale of group g is half g % 2 of scales[g / 2].
struct BlockIQ3_S {
  Bits16 d;
  std::uint8_t qs[64];
  std::uint8_t qh[8];
  std::uint8_t signs[32];
  std::uint8_t scales[4];
};
static_assert(sizeof(BlockIQ3_S) == 110);

/// As QuantCodec says.
void decode_iq3_xxs(const std::byte* from, std::size_t n_weights, float* to);
void decode_iq3_s(const std::byte* from, std::size_t n_weights, float* to);

}  // namespace engine::quant
