// SPDX-License-Identifier: MIT
#include "engine/quant/block_iq1.h"

#include "engine/quant/block_access.h"
#include "engine/quant/code_books.h"

namespace engine::quant {
namespace {

void write_point(std::uint64_t point, float scale, float shift, float* to) {
  for (unsigned j = 0; j < 8; ++j) {
    const auto level = static_cast<std::int8_t>(static_cast<std::uint8_t>(point >> (8 * j)));
    to[j] = scale * (static_cast<float>(level) + shift);
  }
}

}  // namespace

void decode_iq1_s(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ1_S* blocks = blocks_at<BlockIQ1_S>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockIQ1_S& block = blocks[b];
    const float d = fp16_to_float(block.d);
    for (unsigned p = 0; p < 32; ++p) {
      const unsigned high = block.qh[p / 4].bits();
      const float scale = d * static_cast<float>(2 * (high >> 12 & 7) + 1);
      const float shift = high & 0x8000 ? -kIq1Shift : kIq1Shift;
      const unsigned index = block.qs[p] | (high >> (3 * (p % 4)) & 7) << 8;
      write_point(kIq1Grid[index], scale, shift, to + 256 * b + 8 * p);
    }
  }
}

void decode_iq1_m(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ1_M* blocks = blocks_at<BlockIQ1_M>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockIQ1_M& block = blocks[b];
    const float d = fp16_to_float(scale_bits_of_iq1_m(block));
    for (unsigned p = 0; p < 32; ++p) {
      const unsigned half = p / 2;  // sixteen weights, one scale
      const unsigned code =
          static_cast<unsigned>(block.scales[half / 4].bits()) >> (3 * (half % 4)) & 7;
      const float scale = d * static_cast<float>(2 * code + 1);
      const unsigned high = static_cast<unsigned>(block.qh[p / 2]) >> (4 * (p % 2)) & 15;
      const float shift = high & 8 ? -kIq1Shift : kIq1Shift;
      write_point(kIq1Grid[block.qs[p] | (high & 7) << 8], scale, shift, to + 256 * b + 8 * p);
    }
  }
}

}  // namespace engine::quant
