// SPDX-License-Identifier: MIT
#include "engine/quant/block_q2_k.h"

#include "engine/quant/block_access.h"
#include "engine/quant/super_block_fit.h"

namespace engine::quant {

void decode_q2_k(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ2_K* blocks = blocks_at<BlockQ2_K>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockQ2_K& block = blocks[b];
    const float d = fp16_to_float(block.d), dmin = fp16_to_float(block.dmin);
    for (unsigned j = 0; j < 256; ++j) {
      const unsigned scales = block.scales[j / 16];
      const unsigned q =
          static_cast<unsigned>(block.qs[j / 128 * 32 + j % 32]) >> (j / 32 % 4 * 2) & 3;
      to[256 * b + j] = d * static_cast<float>(scales & 15) * static_cast<float>(q) -
                        dmin * static_cast<float>(scales >> 4);
    }
  }
}

void encode_q2_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ2_K* blocks = blocks_at<BlockQ2_K>(to);
  AffineSuperBlock<16> fit;
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    fit_super_block(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr, 3, 15,
                    {0.77f, 1.17f, 8}, fit);
    BlockQ2_K& block = blocks[b];
    block = {.d = fit.d, .dmin = fit.dmin};
    for (unsigned g = 0; g < 16; ++g) {
      block.scales[g] = static_cast<std::uint8_t>(fit.scales[g] | fit.mins[g] << 4);
    }
    for (unsigned i = 0; i < 64; ++i) {
      const std::uint8_t* codes = fit.codes + i / 32 * 128 + i % 32;
      block.qs[i] =
          static_cast<std::uint8_t>(codes[0] | codes[32] << 2 | codes[64] << 4 | codes[96] << 6);
    }
  }
}

}  // namespace engine::quant
