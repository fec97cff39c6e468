// SPDX-License-Identifier: MIT
#include "engine/quant/block_q5_0.h"

#include "engine/quant/block32_fit.h"
#include "engine/quant/block_access.h"
#include "engine/quant/plain_rounding.h"

namespace engine::quant {
namespace {

// The five bits of weight j.
template <typename Block>
int code_of(const Block& block, unsigned j) {
  const int low = block.qs[j % 16] >> (4 * (j / 16)) & 15;
  const int high = block.qh[j / 8] >> (j % 8) & 1;
  return low + 16 * high;
}

template <typename Block>
void pack(const Codes32& codes, Block& block) {
  pack_halves(codes.data(), block.qs);
  for (unsigned i = 0; i < 4; ++i) {
    unsigned high = 0;
    for (unsigned j = 0; j < 8; ++j) high |= static_cast<unsigned>(codes[8 * i + j] >> 4) << j;
    block.qh[i] = static_cast<std::uint8_t>(high);
  }
}

}  // namespace

void decode_q5_0(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ5_0* blocks = blocks_at<BlockQ5_0>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned j = 0; j < 32; ++j) {
      to[32 * b + j] = d * static_cast<float>(code_of(blocks[b], j) - 16);
    }
  }
}

void decode_q5_1(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockQ5_1* blocks = blocks_at<BlockQ5_1>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    const float d = fp16_to_float(blocks[b].d), m = fp16_to_float(blocks[b].m);
    for (unsigned j = 0; j < 32; ++j) {
      to[32 * b + j] = d * static_cast<float>(code_of(blocks[b], j)) + m;
    }
  }
}

void encode_q5_0(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ5_0* blocks = blocks_at<BlockQ5_0>(to);
  if (importance == nullptr) {
    for (std::size_t b = 0; b < n_weights / 32; ++b) {
      Codes32 codes;
      blocks[b].d = round_symmetric(from + 32 * b, 16, codes.data());
      pack(codes, blocks[b]);
    }
    return;
  }
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    const ScaledCodes fit = fit_scaled_codes(four, IntegerLevels{-16, 15}, {0.93f, 1.07f, 8});
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].d = fit.d[k];
      pack(fit.codes[k], blocks[four.first + k]);
    }
  });
}

void encode_q5_1(const float* from, std::size_t n_weights, const float* importance, std::byte* to) {
  BlockQ5_1* blocks = blocks_at<BlockQ5_1>(to);
  if (importance == nullptr) {
    for (std::size_t b = 0; b < n_weights / 32; ++b) {
      Codes32 codes;
      const ScaleAndStart fit = round_affine(from + 32 * b, 31, codes.data());
      blocks[b].d = fit.d;
      blocks[b].m = fit.m;
      pack(codes, blocks[b]);
    }
    return;
  }
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    const AffineCodes fit = fit_affine_codes(four, 31, {0.96f, 1.05f, 8});
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].d = fit.d[k];
      blocks[four.first + k].m = fit.m[k];
      pack(fit.codes[k], blocks[four.first + k]);
    }
  });
}

}  // namespace engine::quant
