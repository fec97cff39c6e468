// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights d * (t - 1), t in 0..2. A byte holds five digits of base three (first digit highest)
/// as ceil(value * 256 / 243): digit n is (byte * 3^n mod 256) * 3 / 256. Digit n of qs[i], i < 32,
/// is weight 32 n + i; of qs[32 + i], i < 16, weight 160 + 16 n + i; of qh[i], n < 4, weight
/// 240 + 4 n + i.
struct BlockTQ1_0 {
  std::uint8_t qs[48];
  std::uint8_t qh[4];
  Bits16 d;
};
static_assert(sizeof(BlockTQ1_0) == 54);

/// 256 weights d * (q - 1), two bits each, in BlockQ2_K's order.
struct BlockTQ2_0 {
  std::uint8_t qs[64];
  Bits16 d;
};
static_assert(sizeof(BlockTQ2_0) == 66);

/// As QuantCodec says.
void decode_tq1_0(const std::byte* from, std::size_t n_weights, float* to);
void encode_tq1_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to);
void decode_tq2_0(const std::byte* from, std::size_t n_weights, float* to);
void encode_tq2_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
