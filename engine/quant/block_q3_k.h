// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 16 groups of 16: (q - 4) * (d * (scale - 32)). The low two bits of q lie as in
/// BlockQ2_K; the third of weight j is bit j / 32 of hmask[j % 32].
struct BlockQ3_K {
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  Bits16 d;
};
static_assert(sizeof(BlockQ3_K) == 110);

/// The six bits of group g's scale, 0..63 (32 means 0).
[[gnu::always_inline]] constexpr int scale_of_q3_k(const std::uint8_t (&scales)[12], unsigned g) {
  const unsigned low = scales[g % 8] >> (g < 8 ? 0 : 4) & 15u;
  const unsigned high = scales[8 + g % 4] >> (2 * (g / 4)) & 3u;
  return static_cast<int>(low | high << 4);
}

/// As QuantCodec says.
void decode_q3_k(const std::byte* from, std::size_t n_weights, float* to);
void encode_q3_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
