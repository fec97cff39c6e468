// SPDX-License-Identifier: MIT
#include "engine/quant/block_iq4.h"

#include "engine/quant/block32_fit.h"
#include "engine/quant/block_access.h"
#include "engine/quant/code_books.h"
#include "engine/quant/super_block_fit.h"

namespace engine::quant {
namespace {

constexpr TableLevels kLevels(kIq4Levels);
constexpr Tries kTries{0.85f, 1.15f, 8};

void write_levels(const std::uint8_t* qs, float scale, float* to) {
  for (unsigned j = 0; j < 16; ++j) {
    to[j] = scale * static_cast<float>(kIq4Levels[qs[j] & 15]);
    to[j + 16] = scale * static_cast<float>(kIq4Levels[qs[j] >> 4]);
  }
}

}  // namespace

void decode_iq4_nl(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ4_NL* blocks = blocks_at<BlockIQ4_NL>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    write_levels(blocks[b].qs, fp16_to_float(blocks[b].d), to + 32 * b);
  }
}

void decode_iq4_xs(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockIQ4_XS* blocks = blocks_at<BlockIQ4_XS>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned g = 0; g < 8; ++g) {
      write_levels(blocks[b].qs + 16 * g,
                   d * static_cast<float>(scale_of_iq4_xs(blocks[b], g) - 32),
                   to + 256 * b + 32 * g);
    }
  }
}

void encode_iq4_nl(const float* from, std::size_t n_weights, const float* importance,
                   std::byte* to) {
  BlockIQ4_NL* blocks = blocks_at<BlockIQ4_NL>(to);
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    const ScaledCodes fit = fit_scaled_codes(four, kLevels, kTries);
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].d = fit.d[k];
      pack_halves(fit.codes[k].data(), blocks[four.first + k].qs);
    }
  });
}

void encode_iq4_xs(const float* from, std::size_t n_weights, const float* importance,
                   std::byte* to) {
  BlockIQ4_XS* blocks = blocks_at<BlockIQ4_XS>(to);
  SignedSuperBlock<32> fit;
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    fit_super_block(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr, kLevels,
                    -32, kTries, fit);
    BlockIQ4_XS& block = blocks[b];
    block = {.d = fit.d};
    unsigned high = 0;
    for (unsigned g = 0; g < 8; ++g) {
      const unsigned code = static_cast<unsigned>(fit.scales[g] + 32);
      block.scales_l[g / 2] |= static_cast<std::uint8_t>((code & 15) << (4 * (g % 2)));
      high |= code >> 4 << (2 * g);
      pack_halves(fit.codes + 32 * g, block.qs + 16 * g);
    }
    block.scales_h = to_bits16(static_cast<std::uint16_t>(high));
  }
}

}  // namespace engine::quant
