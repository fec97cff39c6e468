// SPDX-License-Identifier: MIT
#include "engine/quant/block_q8_0.h"

#include "engine/quant/block32_fit.h"
#include "engine/quant/block_access.h"
#include "engine/quant/plain_rounding.h"

namespace engine::quant {
namespace {

// Halves away from zero; within -127..127.
std::int8_t rounded_code(float at) {
  const float bounded = at > -127.0f ? (at < 127.0f ? at : 127.0f) : -127.0f;
  const auto whole = static_cast<std::int32_t>(bounded);
  const float rest = bounded - static_cast<float>(whole);
  return static_cast<std::int8_t>(whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0));
}

}  // namespace

void decode_q8_0(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ8_0* blocks = blocks_at<BlockQ8_0>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned j = 0; j < 32; ++j) {
      to[32 * b + j] = d * static_cast<float>(blocks[b].qs[j]);
    }
  }
}

void encode_q8_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ8_0* blocks = blocks_at<BlockQ8_0>(to);
  if (importance == nullptr) {
    for (std::size_t b = 0; b < n_weights / 32; ++b) {
      const Weights32 x = finite_weights(from + 32 * b);
      const float d = within_half(std::fabs(peak_of(x)) / 127.0f);
      const float inverse = inverse_or_zero(d);
      blocks[b].d = to_half(d);
      for (std::size_t j = 0; j < 32; ++j) blocks[b].qs[j] = rounded_code(x[j] * inverse);
    }
    return;
  }
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    const ScaledCodes fit = fit_scaled_codes(four, IntegerLevels{-128, 127}, {0.99f, 1.01f, 4});
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].d = fit.d[k];
      for (std::size_t j = 0; j < 32; ++j) {
        blocks[four.first + k].qs[j] = static_cast<std::int8_t>(fit.codes[k][j] - 128);
      }
    }
  });
}

}  // namespace engine::quant
