// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 32 weights e8m0_half_to_float(e) * kTwiceE2m1[q], in BlockQ4_0's order.
struct BlockMXFP4 {
  std::uint8_t e;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

/// As QuantCodec says.
void decode_mxfp4(const std::byte* from, std::size_t n_weights, float* to);
void encode_mxfp4(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
