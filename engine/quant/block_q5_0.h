// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 32 weights (q - 16) * d. The low four bits lie as in BlockQ4_0; the fifth of weight j is bit
/// j % 8 of qh[j / 8].
struct BlockQ5_0 {
  Bits16 d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// 32 weights q * d + m, in BlockQ5_0's order.
struct BlockQ5_1 {
  Bits16 d, m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// As QuantCodec says.
void decode_q5_0(const std::byte* from, std::size_t n_weights, float* to);
void encode_q5_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to);
void decode_q5_1(const std::byte* from, std::size_t n_weights, float* to);
void encode_q5_1(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
