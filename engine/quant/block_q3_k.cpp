// SPDX-License-Identifier: MIT
#include "engine/quant/block_q3_k.h"

#include "engine/quant/block_access.h"
#include "engine/quant/super_block_fit.h"

namespace engine::quant {

void decode_q3_k(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ3_K* blocks = blocks_at<BlockQ3_K>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockQ3_K& block = blocks[b];
    const float d = fp16_to_float(block.d);
    for (unsigned j = 0; j < 256; ++j) {
      const float scale = d * static_cast<float>(scale_of_q3_k(block.scales, j / 16) - 32);
      const int low = block.qs[j / 128 * 32 + j % 32] >> (j / 32 % 4 * 2) & 3;
      const int high = block.hmask[j % 32] >> (j / 32) & 1;
      to[256 * b + j] = scale * static_cast<float>(low + 4 * high - 4);
    }
  }
}

void encode_q3_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ3_K* blocks = blocks_at<BlockQ3_K>(to);
  SignedSuperBlock<16> fit;
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    fit_super_block(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr,
                    IntegerLevels{-4, 3}, -32, {0.8f, 1.2f, 6}, fit);
    BlockQ3_K& block = blocks[b];
    block = {.d = fit.d};
    for (unsigned g = 0; g < 16; ++g) {
      const unsigned code = static_cast<unsigned>(fit.scales[g] + 32);
      block.scales[g % 8] |= static_cast<std::uint8_t>((code & 15) << (g < 8 ? 0 : 4));
      block.scales[8 + g % 4] |= static_cast<std::uint8_t>(code >> 4 << (2 * (g / 4)));
    }
    for (unsigned j = 0; j < 256; ++j) {
      const unsigned code = fit.codes[j];
      block.qs[j / 128 * 32 + j % 32] |= static_cast<std::uint8_t>((code & 3) << (j / 32 % 4 * 2));
      block.hmask[j % 32] |= static_cast<std::uint8_t>(code >> 2 << (j / 32));
    }
  }
}

}  // namespace engine::quant
