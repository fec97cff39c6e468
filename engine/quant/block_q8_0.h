// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 32 weights q * d.
struct BlockQ8_0 {
  Bits16 d;
  std::int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// As QuantCodec says.
void decode_q8_0(const std::byte* from, std::size_t n_weights, float* to);
void encode_q8_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
