// SPDX-License-Identifier: MIT
#include "engine/quant/block_iq3.h"

#include "engine/quant/block_access.h"
#include "engine/quant/code_books.h"
#include "engine/quant/signed_point.h"

namespace engine::quant {

void decode_iq3_xxs(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ3_XXS* blocks = blocks_at<BlockIQ3_XXS>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockIQ3_XXS& block = blocks[b];
    const float d = fp16_to_float(block.d);
    for (unsigned g = 0; g < 8; ++g) {
      const std::uint32_t word = word_of(block.scales_and_signs[g]);
      const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
      for (unsigned p = 0; p < 8; ++p) {
        const unsigned signs = signs_of_7_bits(word >> (7 * (p / 2)));
        write_signed_point(kIq3XxsGrid[block.points[8 * g + p]], signs >> (4 * (p % 2)), scale,
                           to + 256 * b + 32 * g + 4 * p);
      }
    }
  }
}

void decode_iq3_s(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ3_S* blocks = blocks_at<BlockIQ3_S>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockIQ3_S& block = blocks[b];
    const float d = fp16_to_float(block.d);
    for (unsigned p = 0; p < 64; ++p) {
      const unsigned g = p / 8;
      const unsigned code = static_cast<unsigned>(block.scales[g / 2]) >> (4 * (g % 2)) & 15;
      const unsigned index = block.qs[p] | (static_cast<unsigned>(block.qh[g]) >> (p % 8) & 1) << 8;
      const unsigned signs = static_cast<unsigned>(block.signs[p / 2]) >> (4 * (p % 2));
      write_signed_point(kIq3SGrid[index], signs, d * static_cast<float>(1 + 2 * code),
                         to + 256 * b + 4 * p);
    }
  }
}

}  // namespace engine::quant
