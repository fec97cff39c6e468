// SPDX-License-Identifier: MIT
#include "engine/quant/block_iq2.h"

#include "engine/quant/block_access.h"
#include "engine/quant/code_books.h"
#include "engine/quant/signed_point.h"

namespace engine::quant {
namespace {

float scale_of_code(float d, unsigned code) {
  return d * (0.5f + static_cast<float>(code)) * 0.25f;
}

// BlockIQ2_XS and BlockIQ2_S: a scale for every two points.
float scale_of_point(float d, const std::uint8_t (&scales)[8], unsigned p) {
  return scale_of_code(d, static_cast<unsigned>(scales[p / 4]) >> (4 * (p / 2 % 2)) & 15);
}

}  // namespace

void decode_iq2_xxs(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ2_XXS* blocks = blocks_at<BlockIQ2_XXS>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned g = 0; g < 8; ++g) {
      const BlockIQ2_XXS::Group& group = blocks[b].groups[g];
      const std::uint32_t word = word_of(group.scale_and_signs);
      const float scale = scale_of_code(d, word >> 28);
      for (unsigned p = 0; p < 4; ++p) {
        write_signed_point(kIq2XxsGrid[group.points[p]], signs_of_7_bits(word >> (7 * p)), scale,
                           to + 256 * b + 32 * g + 8 * p);
      }
    }
  }
}

void decode_iq2_xs(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ2_XS* blocks = blocks_at<BlockIQ2_XS>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned p = 0; p < 32; ++p) {
      const unsigned field = blocks[b].qs[p].bits();
      write_signed_point(kIq2XsGrid[field & 511], signs_of_7_bits(field >> 9),
                         scale_of_point(d, blocks[b].scales, p), to + 256 * b + 8 * p);
    }
  }
}

void decode_iq2_s(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ2_S* blocks = blocks_at<BlockIQ2_S>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockIQ2_S& block = blocks[b];
    const float d = fp16_to_float(block.d);
    for (unsigned p = 0; p < 32; ++p) {
      const unsigned high = static_cast<unsigned>(block.qh[p / 4]) >> (2 * (p % 4)) & 3;
      write_signed_point(kIq2SGrid[block.qs[p] | high << 8], block.signs[p],
                         scale_of_point(d, block.scales, p), to + 256 * b + 8 * p);
    }
  }
}

}  // namespace engine::quant
