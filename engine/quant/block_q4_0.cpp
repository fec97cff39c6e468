// SPDX-License-Identifier: MIT
#include "engine/quant/block_q4_0.h"

#include "engine/quant/block32_fit.h"
#include "engine/quant/block_access.h"
#include "engine/quant/plain_rounding.h"

namespace engine::quant {

void decode_q4_0(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ4_0* blocks = blocks_at<BlockQ4_0>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned j = 0; j < 16; ++j) {
      to[32 * b + j] = d * static_cast<float>((blocks[b].qs[j] & 15) - 8);
      to[32 * b + j + 16] = d * static_cast<float>((blocks[b].qs[j] >> 4) - 8);
    }
  }
}

void decode_q4_1(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ4_1* blocks = blocks_at<BlockQ4_1>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    const float d = fp16_to_float(blocks[b].d), m = fp16_to_float(blocks[b].m);
    for (unsigned j = 0; j < 16; ++j) {
      to[32 * b + j] = d * static_cast<float>(blocks[b].qs[j] & 15) + m;
      to[32 * b + j + 16] = d * static_cast<float>(blocks[b].qs[j] >> 4) + m;
    }
  }
}

void encode_q4_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ4_0* blocks = blocks_at<BlockQ4_0>(to);
  if (importance == nullptr) {
    for (std::size_t b = 0; b < n_weights / 32; ++b) {
      Codes32 codes;
      blocks[b].d = round_symmetric(from + 32 * b, 8, codes.data());
      pack_halves(codes.data(), blocks[b].qs);
    }
    return;
  }
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    const ScaledCodes fit = fit_scaled_codes(four, IntegerLevels{-8, 7}, {0.85f, 1.15f, 8});
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].d = fit.d[k];
      pack_halves(fit.codes[k].data(), blocks[four.first + k].qs);
    }
  });
}

void encode_q4_1(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ4_1* blocks = blocks_at<BlockQ4_1>(to);
  if (importance == nullptr) {
    for (std::size_t b = 0; b < n_weights / 32; ++b) {
      Codes32 codes;
      const ScaleAndStart fit = round_affine(from + 32 * b, 15, codes.data());
      blocks[b].d = fit.d;
      blocks[b].m = fit.m;
      pack_halves(codes.data(), blocks[b].qs);
    }
    return;
  }
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    const AffineCodes fit = fit_affine_codes(four, 15, {0.93f, 1.1f, 8});
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].d = fit.d[k];
      blocks[four.first + k].m = fit.m[k];
      pack_halves(fit.codes[k].data(), blocks[four.first + k].qs);
    }
  });
}

}  // namespace engine::quant
