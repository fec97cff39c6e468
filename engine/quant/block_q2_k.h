// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 16 groups of 16: q * (d * scale) - dmin * min. Group g has its scale in the low,
/// its min in the high half of scales[g]. Weight j = 128 a + 32 b + c is bits [2b, 2b + 2) of
/// qs[32 a + c].
struct BlockQ2_K {
  std::uint8_t scales[16];
  std::uint8_t qs[64];
  Bits16 d, dmin;
};
static_assert(sizeof(BlockQ2_K) == 84);

/// As QuantCodec says.
void decode_q2_k(const std::byte* from, std::size_t n_weights, float* to);
void encode_q2_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
