// SPDX-License-Identifier: MIT
#include "engine/quant/block_q6_k.h"

#include "engine/quant/block_access.h"
#include "engine/quant/super_block_fit.h"

namespace engine::quant {

void decode_q6_k(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ6_K* blocks = blocks_at<BlockQ6_K>(from);
  for (std::size_t block_index = 0; block_index < n_weights / 256; ++block_index) {
    const BlockQ6_K& block = blocks[block_index];
    const float d = fp16_to_float(block.d);
    for (unsigned j = 0; j < 256; ++j) {
      const unsigned a = j / 128, b = j / 32 % 4, c = j % 32;
      const int low = block.ql[64 * a + 32 * (b % 2) + c] >> (4 * (b / 2)) & 15;
      const int high = block.qh[32 * a + c] >> (2 * b) & 3;
      to[256 * block_index + j] =
          d * static_cast<float>(block.scales[j / 16]) * static_cast<float>(low + 16 * high - 32);
    }
  }
}

void encode_q6_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ6_K* blocks = blocks_at<BlockQ6_K>(to);
  SignedSuperBlock<16> fit;
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    fit_super_block(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr,
                    IntegerLevels{-32, 31}, -128, {0.95f, 1.05f, 6}, fit);
    BlockQ6_K& block = blocks[b];
    block.d = fit.d;
    for (unsigned g = 0; g < 16; ++g) block.scales[g] = fit.scales[g];
    for (unsigned i = 0; i < 128; ++i) {
      const std::uint8_t* pair = fit.codes + i / 64 * 128 + i % 64;
      block.ql[i] = static_cast<std::uint8_t>((pair[0] & 15) | pair[64] << 4);
    }
    for (unsigned i = 0; i < 64; ++i) {
      const std::uint8_t* codes = fit.codes + i / 32 * 128 + i % 32;
      block.qh[i] = static_cast<std::uint8_t>(codes[0] >> 4 | codes[32] >> 4 << 2 |
                                              codes[64] >> 4 << 4 | codes[96] >> 4 << 6);
    }
  }
}

}  // namespace engine::quant
