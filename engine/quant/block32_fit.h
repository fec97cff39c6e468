// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/quant/group_fit.h"
#include "engine/quant/half.h"

/// Blocks of 32 weights with a scale of their own, four blocks at a time.
namespace engine::quant {

/// Four blocks as the searches read them: each brought near 1 by a power of two of its own.
struct FourBlocks {
  Groups<32> groups;
  Lanes factors;                 // 0 for a block of zeros
  std::size_t first = 0, n = 0;  // which blocks; beyond n (1 to 4) are zeros
};

/// Calls encode(const FourBlocks&) for all blocks in turn.
template <typename Encode>
void for_four_blocks(const float* from, std::size_t n_weights, const float* importance,
                     const Encode& encode) {
  FourBlocks four;
  for (std::size_t b = 0; b < n_weights / 32; b += 4) {
    four.first = b;
    four.n = std::min<std::size_t>(4, n_weights / 32 - b);
    const float* x = from + 32 * b;
    const float* w = importance != nullptr ? importance + 32 * b : nullptr;
    std::array<float, 128> last_x{}, last_w{};
    if (four.n < 4) {
      std::copy_n(x, 32 * four.n, last_x.begin());
      x = last_x.data();
      if (w != nullptr) {
        std::copy_n(w, 32 * four.n, last_w.begin());
        w = last_w.data();
      }
    }
    for (std::size_t k = 0; k < 4; ++k) four.factors[k] = unit_factor(x + 32 * k, 32);
    load_groups(x, w, 32, four.factors, four.groups);
    encode(four);
  }
}

/// The codes of a block's 32 weights, in order.
using Codes32 = std::array<std::uint8_t, 32>;

/// The codes of all four blocks.
template <typename Levels>
std::array<Codes32, 4> codes_of(const Groups<32>& groups, const Levels& levels, Lanes scale,
                                Lanes min) {
  std::array<Codes32, 4> codes;
  const Lanes inverse_scale = detail::inverse(scale);
  for (std::size_t i = 0; i < 32; ++i) {
    const Lanes code = levels.code((groups.x[i] - min) * inverse_scale);
    for (std::size_t k = 0; k < 4; ++k) codes[k][i] = static_cast<std::uint8_t>(code[k]);
  }
  return codes;
}

/// Rounds scales (or mins) of blocks that were brought near 1 to half precision, into `to`; returns
/// what they then mean for those blocks.
inline Lanes half_scales(Lanes scales, Lanes factors, Bits16 (&to)[4]) {
  Lanes kept = all_lanes(0);
  for (int k = 0; k < 4; ++k) {
    to[k] = factors[k] != 0 ? to_half(within_half(scales[k] / factors[k])) : Bits16{};
    kept[k] = fp16_to_float(to[k]) * factors[k];
  }
  return kept;
}

struct ScaledCodes {
  Bits16 d[4];
  std::array<Codes32, 4> codes;
};

/// Best scales of levels around 0; see fit_scale.
template <typename Levels>
ScaledCodes fit_scaled_codes(const FourBlocks& four, const Levels& levels, const Tries& tries) {
  ScaledCodes fit;
  const Lanes scale = half_scales(fit_scale(four.groups, levels, tries), four.factors, fit.d);
  fit.codes = codes_of(four.groups, levels, scale, all_lanes(0));
  return fit;
}

struct AffineCodes {
  Bits16 d[4], m[4];
  std::array<Codes32, 4> codes;
};

/// Best scales and starts of codes 0..highest; see fit_affine.
inline AffineCodes fit_affine_codes(const FourBlocks& four, float highest, const Tries& tries) {
  AffineCodes codes;
  const Fit fit = fit_affine(four.groups, highest, true, tries);
  const Lanes scale = half_scales(fit.scale, four.factors, codes.d);
  const Lanes min = half_scales(fit.min, four.factors, codes.m);
  codes.codes = codes_of(four.groups, IntegerLevels{0, highest}, scale, min);
  return codes;
}

/// Weight j in the low half of byte j, weight j + 16 in the high half. The codes may have further
/// bits above the fourth.
inline void pack_halves(const std::uint8_t* codes, std::uint8_t* to) {
  for (int j = 0; j < 16; ++j) {
    to[j] = static_cast<std::uint8_t>((codes[j] & 15) | codes[j + 16] << 4);
  }
}

}  // namespace engine::quant
