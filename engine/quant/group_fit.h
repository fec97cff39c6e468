// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "engine/quant/lanes.h"

/// Searches for the scale (and min) of groups of weights, four groups at a time, that leave the
/// least squared error. Each tries a row of scales; for the codes that a scale rounds to, least
/// squares give the scale that suits them best, and the error falls out of the same sums.
namespace engine::quant {

/// Four groups of n weights, lane by lane.
template <int n>
struct Groups {
  Lanes x[n];
  Lanes importance[n];  // at most 1; not all 0 in a lane
};

/// A power of two that brings the largest magnitude of n weights into [1, 2), so that squares
/// neither overflow nor vanish; 0 where all are 0.
float unit_factor(const float* from, std::size_t n);

/// Loads groups that lie `stride` floats apart, times `factors`. A weight that is not finite counts
/// as 0. Importance is brought to at most 1; where it is null, or all 0, all weights count equally.
template <int n>
void load_groups(const float* from, const float* importance, std::size_t stride, Lanes factors,
                 Groups<n>& to) {
  for (int i = 0; i < n; ++i) {
    const float* p = from + i;
    const Lanes x = Lanes{p[0], p[stride], p[2 * stride], p[3 * stride]};
    to.x[i] = (magnitude(x) <= all_lanes(FLT_MAX) ? x : all_lanes(0)) * factors;
  }
  if (importance == nullptr) {
    for (Lanes& w : to.importance) w = all_lanes(1);
    return;
  }
  Lanes most = all_lanes(0);
  for (int i = 0; i < n; ++i) {
    const float* p = importance + i;
    const Lanes w = Lanes{p[0], p[stride], p[2 * stride], p[3 * stride]};
    to.importance[i] = smaller(larger(w, all_lanes(0)), all_lanes(FLT_MAX));
    most = larger(to.importance[i], most);
  }
  for (Lanes& w : to.importance) w = most > all_lanes(FLT_MIN) ? w / most : all_lanes(1);
}

/// Codes low..high that are their own levels.
struct IntegerLevels {
  float low, high;
  Lanes nearest(Lanes a) const {
    return rounded(smaller(larger(a, all_lanes(low)), all_lanes(high)));
  }
  Lanes code(Lanes a) const { return nearest(a) - all_lanes(low); }
};

/// Sixteen integer levels in ascending order, within -128..127. What lies half-way between two may
/// round to either.
class TableLevels {
 public:
  float low, high;
  explicit constexpr TableLevels(const std::array<std::int8_t, 16>& levels)
      : low(levels.front()), high(levels.back()) {
    // All that is in one cell of width 1/2 is nearest to the same level, because what is half-way
    // between two integers is an edge of cells.
    std::size_t code = 0;
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      const float middle = (static_cast<float>(cell) + 0.5f) / 2 - 128;
      while (code < 15 && middle > 0.5f * static_cast<float>(levels[code] + levels[code + 1]))
        ++code;
      level_of_cell_[cell] = levels[code];
      code_of_cell_[cell] = static_cast<float>(code);
    }
  }
  Lanes nearest(Lanes a) const { return look_up(level_of_cell_, a); }
  Lanes code(Lanes a) const { return look_up(code_of_cell_, a); }

 private:
  static constexpr std::size_t kCells = 512;
  static Lanes look_up(const std::array<float, kCells>& table, Lanes a) {
    const Lanes at =
        smaller(larger(a * all_lanes(2) + all_lanes(256), all_lanes(0)), all_lanes(kCells - 1));
    const LaneMask cell = __builtin_convertvector(at, LaneMask);  // towards 0
    const auto entry = [&](int k) { return table[static_cast<std::size_t>(cell[k])]; };
    return Lanes{entry(0), entry(1), entry(2), entry(3)};
  }
  std::array<float, kCells> level_of_cell_{}, code_of_cell_{};
};

/// Which scales a search tries: `n` of them (at least 2), from `least` to `most` times as many
/// levels as just reach the largest weight. Wider costs little; the fits that follow a try close
/// the gaps between them.
struct Tries {
  float least, most;
  int n;
  float at(int i) const {
    return least + (most - least) * static_cast<float>(i) / static_cast<float>(n - 1);
  }
};

/// x = scale * level + min.
struct Fit {
  Lanes scale, min;
};

namespace detail {

// 1 / a, and 0 where a is too small to say anything of weights near 1.
inline Lanes inverse(Lanes a) {
  return magnitude(a) > all_lanes(1e-35f) ? all_lanes(1) / a : all_lanes(0);
}

template <int n, typename Levels>
void try_scale(const Groups<n>& groups, const Levels& levels, Lanes inverse_scale, Lanes& scale,
               Lanes& gain) {
  Lanes xl = all_lanes(0), ll = all_lanes(0);
  for (int i = 0; i < n; ++i) {
    const Lanes level = levels.nearest(groups.x[i] * inverse_scale);
    const Lanes weighted = groups.importance[i] * level;
    xl += weighted * groups.x[i];
    ll += weighted * level;
  }
  const Lanes fitted = xl * inverse(ll);
  const LaneMask better = fitted * xl > gain;
  scale = better ? fitted : scale;
  gain = better ? fitted * xl : gain;
}

// Sums that do not depend on codes.
struct Moments {
  Lanes one, x;
};

template <int n>
void try_affine(const Groups<n>& groups, const Moments& sums, float highest,
                bool min_may_be_positive, Lanes inverse_scale, Lanes start, Fit& fit, Lanes& gain) {
  const IntegerLevels levels{0, highest};
  Lanes l = all_lanes(0), ll = all_lanes(0), xl = all_lanes(0);
  for (int i = 0; i < n; ++i) {
    const Lanes level = levels.nearest((groups.x[i] - start) * inverse_scale);
    const Lanes weighted = groups.importance[i] * level;
    l += weighted;
    ll += weighted * level;
    xl += weighted * groups.x[i];
  }
  // Where all codes are the same (the determinant is rounding noise), and where the best min would
  // be one that the format cannot hold, the line goes through 0.
  const Lanes determinant = sums.one * ll - l * l;
  const LaneMask spread = determinant > all_lanes(1e-6f) * sums.one * ll;
  const Lanes over = spread ? all_lanes(1) / determinant : all_lanes(0);
  Lanes scale = (sums.one * xl - sums.x * l) * over;
  Lanes min = (ll * sums.x - l * xl) * over;
  const LaneMask holds = spread & (min <= all_lanes(min_may_be_positive ? FLT_MAX : 0));
  scale = holds ? scale : xl * inverse(ll);
  min = holds ? min : all_lanes(0);
  const Lanes won = scale * xl + min * sums.x;
  const LaneMask better = (won > gain) & (scale > all_lanes(0));
  fit.scale = better ? scale : fit.scale;
  fit.min = better ? min : fit.min;
  gain = better ? won : gain;
}

}  // namespace detail

/// The best scale of levels around 0, of either sign; 0 where all weights are 0.
template <int n, typename Levels>
Lanes fit_scale(const Groups<n>& groups, const Levels& levels, const Tries& tries) {
  Lanes largest = all_lanes(0);
  for (const Lanes x : groups.x) {
    largest = magnitude(x) > magnitude(largest) ? x : largest;
  }
  const Lanes reach = detail::inverse(largest);
  Lanes scale = all_lanes(0), gain = all_lanes(0);
  for (int i = 0; i < tries.n; ++i) {
    for (const float level : {levels.low, levels.high}) {
      detail::try_scale(groups, levels, reach * all_lanes(level * tries.at(i)), scale, gain);
    }
  }
  for (int i = 0; i < 2; ++i) {
    detail::try_scale(groups, levels, detail::inverse(scale), scale, gain);
  }
  return scale;
}

/// The best scale and min of codes 0..highest.
template <int n>
Fit fit_affine(const Groups<n>& groups, float highest, bool min_may_be_positive,
               const Tries& tries) {
  detail::Moments sums{all_lanes(0), all_lanes(0)};
  Lanes low = groups.x[0], high = groups.x[0];
  for (int i = 0; i < n; ++i) {
    sums.one += groups.importance[i];
    sums.x += groups.importance[i] * groups.x[i];
    low = smaller(groups.x[i], low);
    high = larger(groups.x[i], high);
  }
  Lanes mean = sums.x / sums.one;
  if (!min_may_be_positive) {
    low = smaller(low, all_lanes(0));
    mean = smaller(mean, all_lanes(0));
  }
  // To beat: the best min alone, which is all there is to say of equal weights.
  Fit fit{all_lanes(0), mean};
  Lanes gain = mean * sums.x;
  const Lanes reach = detail::inverse(high - low);
  for (int i = 0; i < tries.n; ++i) {
    detail::try_affine(groups, sums, highest, min_may_be_positive,
                       reach * all_lanes(highest * tries.at(i)), low, fit, gain);
  }
  for (int i = 0; i < 2; ++i) {
    detail::try_affine(groups, sums, highest, min_may_be_positive, detail::inverse(fit.scale),
                       fit.min, fit, gain);
  }
  return fit;
}

/// The error that a scale and min leave, lane by lane.
template <int n, typename Levels>
Lanes error_of(const Groups<n>& groups, const Levels& levels, Lanes scale, Lanes min) {
  const Lanes inverse_scale = detail::inverse(scale);
  Lanes error = all_lanes(0);
  for (int i = 0; i < n; ++i) {
    const Lanes level = levels.nearest((groups.x[i] - min) * inverse_scale);
    const Lanes off = scale * level + min - groups.x[i];
    error += groups.importance[i] * off * off;
  }
  return error;
}

}  // namespace engine::quant
