// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 16 groups of 16: (q - 32) * (d * scale). Weight j = 128 a + 32 b + c has its low
/// four bits in half b / 2 of ql[64 a + 32 (b % 2) + c], its high two in bits [2b, 2b + 2) of
/// qh[32 a + c].
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  Bits16 d;
};
static_assert(sizeof(BlockQ6_K) == 210);

/// As QuantCodec says.
void decode_q6_k(const std::byte* from, std::size_t n_weights, float* to);
void encode_q6_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
