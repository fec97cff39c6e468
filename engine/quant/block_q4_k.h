// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

namespace engine::quant {

/// 256 weights in 8 groups of 32: q * (d * scale) - dmin * min. Weight j = 64 a + 32 b + c is half
/// b (0 the low one) of qs[32 a + c].
struct BlockQ4_K {
  Bits16 d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// As BlockQ4_K, with a fifth bit: that of weight j is bit j / 32 of qh[j % 32].
struct BlockQ5_K {
  Bits16 d, dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// Six bits each, 0..63.
struct ScaleAndMin {
  std::uint8_t scale, min;
};
/// Group g's pair in the 12 bytes of BlockQ4_K and BlockQ5_K.
[[gnu::always_inline]] constexpr ScaleAndMin scale_and_min_k(const std::uint8_t (&packed)[12],
                                                             unsigned g) {
  if (g < 4) {
    return {static_cast<std::uint8_t>(packed[g] & 63),
            static_cast<std::uint8_t>(packed[g + 4] & 63)};
  }
  return {static_cast<std::uint8_t>((packed[g + 4] & 15) | packed[g - 4] >> 6 << 4),
          static_cast<std::uint8_t>(packed[g + 4] >> 4 | packed[g] >> 6 << 4)};
}

/// As QuantCodec says.
void decode_q4_k(const std::byte* from, std::size_t n_weights, float* to);
void encode_q4_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to);
void decode_q5_k(const std::byte* from, std::size_t n_weights, float* to);
void encode_q5_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
