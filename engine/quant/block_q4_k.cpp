// SPDX-License-Identifier: MIT
#include "engine/quant/block_q4_k.h"

#include "engine/quant/block_access.h"
#include "engine/quant/super_block_fit.h"

namespace engine::quant {
namespace {

void pack_scales(const AffineSuperBlock<32>& fit, std::uint8_t (&to)[12]) {
  for (unsigned g = 0; g < 4; ++g) {
    to[g] = static_cast<std::uint8_t>(fit.scales[g] | fit.scales[g + 4] >> 4 << 6);
    to[g + 4] = static_cast<std::uint8_t>(fit.mins[g] | fit.mins[g + 4] >> 4 << 6);
    to[g + 8] = static_cast<std::uint8_t>((fit.scales[g + 4] & 15) | fit.mins[g + 4] << 4);
  }
}

void pack_low_bits(const std::uint8_t (&codes)[256], std::uint8_t (&to)[128]) {
  for (unsigned i = 0; i < 128; ++i) {
    const std::uint8_t* pair = codes + i / 32 * 64 + i % 32;
    to[i] = static_cast<std::uint8_t>((pair[0] & 15) | pair[32] << 4);
  }
}

}  // namespace

void decode_q4_k(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ4_K* blocks = blocks_at<BlockQ4_K>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockQ4_K& block = blocks[b];
    for (unsigned g = 0; g < 8; ++g) {
      const ScaleAndMin codes = scale_and_min_k(block.scales, g);
      const float scale = fp16_to_float(block.d) * static_cast<float>(codes.scale);
      const float min = fp16_to_float(block.dmin) * static_cast<float>(codes.min);
      for (unsigned i = 0; i < 32; ++i) {
        const int q = block.qs[g / 2 * 32 + i] >> (4 * (g % 2)) & 15;
        to[256 * b + 32 * g + i] = scale * static_cast<float>(q) - min;
      }
    }
  }
}

void decode_q5_k(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ5_K* blocks = blocks_at<BlockQ5_K>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockQ5_K& block = blocks[b];
    for (unsigned g = 0; g < 8; ++g) {
      const ScaleAndMin codes = scale_and_min_k(block.scales, g);
      const float scale = fp16_to_float(block.d) * static_cast<float>(codes.scale);
      const float min = fp16_to_float(block.dmin) * static_cast<float>(codes.min);
      for (unsigned i = 0; i < 32; ++i) {
        const int low = block.qs[g / 2 * 32 + i] >> (4 * (g % 2)) & 15;
        const int high = block.qh[i] >> g & 1;
        to[256 * b + 32 * g + i] = scale * static_cast<float>(low + 16 * high) - min;
      }
    }
  }
}

void encode_q4_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ4_K* blocks = blocks_at<BlockQ4_K>(to);
  AffineSuperBlock<32> fit;
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    fit_super_block(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr, 15, 63,
                    {0.93f, 1.1f, 8}, fit);
    blocks[b] = {.d = fit.d, .dmin = fit.dmin};
    pack_scales(fit, blocks[b].scales);
    pack_low_bits(fit.codes, blocks[b].qs);
  }
}

void encode_q5_k(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ5_K* blocks = blocks_at<BlockQ5_K>(to);
  AffineSuperBlock<32> fit;
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    fit_super_block(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr, 31, 63,
                    {0.96f, 1.05f, 8}, fit);
    blocks[b] = {.d = fit.d, .dmin = fit.dmin};
    pack_scales(fit, blocks[b].scales);
    pack_low_bits(fit.codes, blocks[b].qs);
    for (unsigned j = 0; j < 256; ++j) {
      blocks[b].qh[j % 32] |= static_cast<std::uint8_t>(fit.codes[j] >> 4 << (j / 32));
    }
  }
}

}  // namespace engine::quant
