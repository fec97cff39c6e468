// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/group_fit.h"
#include "engine/quant/half.h"

/// Blocks of 256 weights whose groups of n share one half-precision scale: the groups' own scales
/// are small integers, which are chosen by the error that they really leave.
namespace engine::quant {

/// x = code * (d * scale) - dmin * min.
template <int n>
struct AffineSuperBlock {
  Bits16 d, dmin;
  std::uint8_t scales[256 / n], mins[256 / n];
  std::uint8_t codes[256];
};

/// x = level of code * (d * scale).
template <int n>
struct SignedSuperBlock {
  Bits16 d;
  std::int8_t scales[256 / n];
  std::uint8_t codes[256];
};

namespace detail {

// Writes lane k's codes to the k-th group of n.
template <int n, typename Levels>
void write_codes(const Groups<n>& groups, const Levels& levels, Lanes scale, Lanes min,
                 std::uint8_t* to) {
  const Lanes inverse_scale = inverse(scale);
  for (int i = 0; i < n; ++i) {
    const Lanes code = levels.code((groups.x[i] - min) * inverse_scale);
    for (int k = 0; k < 4; ++k) to[n * k + i] = static_cast<std::uint8_t>(code[k]);
  }
}

}  // namespace detail

/// Codes 0..highest; scales and mins 0..highest_scale.
template <int n>
void fit_super_block(const float* from, const float* importance, float highest, float highest_scale,
                     const Tries& tries, AffineSuperBlock<n>& to) {
  constexpr int n_quads = 256 / n / 4;
  to = {};
  const float factor = unit_factor(from, 256);
  if (factor == 0) return;
  Groups<n> groups[n_quads];
  Fit fits[n_quads];
  Lanes most_scale = all_lanes(0), most_min = all_lanes(0);
  for (int quad = 0; quad < n_quads; ++quad) {
    const std::size_t start = static_cast<std::size_t>(4 * n * quad);
    load_groups(from + start, importance != nullptr ? importance + start : nullptr, n,
                all_lanes(factor), groups[quad]);
    fits[quad] = fit_affine(groups[quad], highest, false, tries);
    most_scale = larger(fits[quad].scale, most_scale);
    most_min = larger(-fits[quad].min, most_min);
  }
  float top_scale = 0, top_min = 0;
  for (int k = 0; k < 4; ++k) {
    top_scale = top_scale > most_scale[k] ? top_scale : most_scale[k];
    top_min = top_min > most_min[k] ? top_min : most_min[k];
  }
  to.d = to_half(within_half(top_scale / highest_scale / factor));
  to.dmin = to_half(within_half(top_min / highest_scale / factor));
  const Lanes d = all_lanes(fp16_to_float(to.d) * factor);
  const Lanes dmin = all_lanes(fp16_to_float(to.dmin) * factor);

  const IntegerLevels scales{0, highest_scale}, levels{0, highest};
  for (int quad = 0; quad < n_quads; ++quad) {
    const Lanes scale0 = scales.nearest(fits[quad].scale * detail::inverse(d));
    const Lanes min0 = scales.nearest(-fits[quad].min * detail::inverse(dmin));
    Lanes best_scale = scale0, best_min = min0, least = all_lanes(FLT_MAX);
    for (int i = -1; i <= 1; ++i) {
      for (int j = -1; j <= 1; ++j) {
        const Lanes scale = scales.nearest(scale0 + all_lanes(static_cast<float>(i)));
        const Lanes min = scales.nearest(min0 + all_lanes(static_cast<float>(j)));
        const Lanes error = error_of(groups[quad], levels, d * scale, -dmin * min);
        const LaneMask better = error < least;
        least = better ? error : least;
        best_scale = better ? scale : best_scale;
        best_min = better ? min : best_min;
      }
    }
    for (int k = 0; k < 4; ++k) {
      to.scales[4 * quad + k] = static_cast<std::uint8_t>(best_scale[k]);
      to.mins[4 * quad + k] = static_cast<std::uint8_t>(best_min[k]);
    }
    detail::write_codes(groups[quad], levels, d * best_scale, -dmin * best_min,
                        to.codes + 4 * n * quad);
  }
}

/// `lowest_scale` is the most negative integer scale; the largest is -lowest_scale - 1.
template <int n, typename Levels>
void fit_super_block(const float* from, const float* importance, const Levels& levels,
                     float lowest_scale, const Tries& tries, SignedSuperBlock<n>& to) {
  constexpr int n_quads = 256 / n / 4;
  to = {};
  const float factor = unit_factor(from, 256);
  if (factor == 0) return;
  Groups<n> groups[n_quads];
  Lanes fits[n_quads];
  Lanes most = all_lanes(0);
  for (int quad = 0; quad < n_quads; ++quad) {
    const std::size_t start = static_cast<std::size_t>(4 * n * quad);
    load_groups(from + start, importance != nullptr ? importance + start : nullptr, n,
                all_lanes(factor), groups[quad]);
    fits[quad] = fit_scale(groups[quad], levels, tries);
    most = magnitude(fits[quad]) > magnitude(most) ? fits[quad] : most;
  }
  float top = most[0];
  for (int k = 1; k < 4; ++k) {
    if (most[k] * most[k] > top * top) top = most[k];
  }
  to.d = to_half(within_half(top / lowest_scale / factor));
  const Lanes d = all_lanes(fp16_to_float(to.d) * factor);

  const IntegerLevels scales{lowest_scale, -lowest_scale - 1};
  for (int quad = 0; quad < n_quads; ++quad) {
    const Lanes scale0 = scales.nearest(fits[quad] * detail::inverse(d));
    Lanes best_scale = scale0, least = all_lanes(FLT_MAX);
    for (int i = -1; i <= 1; ++i) {
      const Lanes scale = scales.nearest(scale0 + all_lanes(static_cast<float>(i)));
      const Lanes error = error_of(groups[quad], levels, d * scale, all_lanes(0));
      const LaneMask better = error < least;
      least = better ? error : least;
      best_scale = better ? scale : best_scale;
    }
    for (int k = 0; k < 4; ++k) {
      to.scales[4 * quad + k] = static_cast<std::int8_t>(best_scale[k]);
    }
    detail::write_codes(groups[quad], levels, d * best_scale, all_lanes(0),
                        to.codes + 4 * n * quad);
  }
}

}  // namespace engine::quant
