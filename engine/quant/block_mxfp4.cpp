// SPDX-License-Identifier: MIT
#include "engine/quant/block_mxfp4.h"

#include <algorithm>
#include <bit>

#include "engine/quant/block32_fit.h"
#include "engine/quant/block_access.h"
#include "engine/quant/code_books.h"

namespace engine::quant {
namespace {

// kTwiceE2m1: a magnitude and a sign.
struct E2m1Levels {
  static constexpr float kMiddles[] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
  static constexpr float kSteps[] = {1, 1, 1, 1, 2, 2, 4};
  Lanes nearest(Lanes a) const {
    Lanes level = all_lanes(0);
    for (std::size_t i = 0; i < 7; ++i) {
      level += magnitude(a) > all_lanes(kMiddles[i]) ? all_lanes(kSteps[i]) : all_lanes(0);
    }
    return a < all_lanes(0) ? -level : level;
  }
  Lanes code(Lanes a) const {
    Lanes code = a < all_lanes(0) ? all_lanes(8) : all_lanes(0);
    for (const float middle : kMiddles) {
      code += magnitude(a) > all_lanes(middle) ? all_lanes(1) : all_lanes(0);
    }
    return code;
  }
};

// The exponent byte that has a block's largest weight between 4 and 8 (6 is the largest value), by
// the power of two that brings that weight between 1 and 2.
int exponent_of(float factor) {
  const int biased = static_cast<int>(std::bit_cast<std::uint32_t>(factor) >> 23);
  return factor != 0 ? (254 - biased) - 2 : 0;
}

}  // namespace

void decode_mxfp4(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockMXFP4* blocks = blocks_at<BlockMXFP4>(from);
  for (std::size_t b = 0; b < n_weights / 32; ++b) {
    const float scale = e8m0_half_to_float(blocks[b].e);
    for (unsigned j = 0; j < 16; ++j) {
      to[32 * b + j] = scale * static_cast<float>(kTwiceE2m1[blocks[b].qs[j] & 15]);
      to[32 * b + j + 16] = scale * static_cast<float>(kTwiceE2m1[blocks[b].qs[j] >> 4]);
    }
  }
}

void encode_mxfp4(const float* from, std::size_t n_weights, const float* importance,
                  std::byte* to) {
  BlockMXFP4* blocks = blocks_at<BlockMXFP4>(to);
  for_four_blocks(from, n_weights, importance, [&](const FourBlocks& four) {
    Lanes best = all_lanes(0), best_scale = all_lanes(0), least = all_lanes(FLT_MAX);
    // Cutting the largest weight, or one bit coarser: whichever leaves less.
    for (int i = -1; i <= 1; ++i) {
      Lanes exponents = all_lanes(0), scales = all_lanes(0);
      for (int k = 0; k < 4; ++k) {
        const int exponent = std::clamp(exponent_of(four.factors[k]) + i, 0, 254);
        exponents[k] = static_cast<float>(exponent);
        scales[k] = e8m0_half_to_float(static_cast<std::uint8_t>(exponent)) * four.factors[k];
      }
      const Lanes error = error_of(four.groups, E2m1Levels{}, scales, all_lanes(0));
      const LaneMask better = error < least;
      least = better ? error : least;
      best = better ? exponents : best;
      best_scale = better ? scales : best_scale;
    }
    const std::array<Codes32, 4> codes =
        codes_of(four.groups, E2m1Levels{}, best_scale, all_lanes(0));
    for (std::size_t k = 0; k < four.n; ++k) {
      blocks[four.first + k].e = static_cast<std::uint8_t>(best[k]);
      pack_halves(codes[k].data(), blocks[four.first + k].qs);
    }
  });
}

}  // namespace engine::quant
