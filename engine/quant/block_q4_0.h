// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 32 weights (q - 8) * d. Weight j < 16 is the low half of qs[j], weight j + 16 the high half.
struct BlockQ4_0 {
  Bits16 d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// 32 weights q * d + m, in BlockQ4_0's order.
struct BlockQ4_1 {
  Bits16 d, m;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// As QuantCodec says.
void decode_q4_0(const std::byte* from, std::size_t n_weights, float* to);
void encode_q4_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to);
void decode_q4_1(const std::byte* from, std::size_t n_weights, float* to);
void encode_q4_1(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
