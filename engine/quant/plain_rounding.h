// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstdint>

#include "engine/quant/half.h"

/// The one obvious rounding of the oldest formats, which files made elsewhere share bit for bit.
namespace engine::quant {

using Weights32 = std::array<float, 32>;

/// A block's weights; one that is not finite counts as 0.
inline Weights32 finite_weights(const float* from) {
  Weights32 x;
  for (std::size_t i = 0; i < 32; ++i) x[i] = std::fabs(from[i]) <= FLT_MAX ? from[i] : 0.0f;
  return x;
}

/// The weight of the largest magnitude (the first of equal ones), with its sign.
inline float peak_of(const Weights32& x) {
  std::int32_t largest = 0;  // magnitudes compare like their bits
  for (const float v : x) largest = std::max(largest, std::bit_cast<std::int32_t>(std::fabs(v)));
  const float most = std::bit_cast<float>(largest);
  for (const float v : x) {
    if (std::fabs(v) == most) return v;
  }
  return 0;
}

inline float inverse_or_zero(float d) {
  return d != 0 ? 1.0f / d : 0.0f;
}

/// Writes floor((x - start) * inverse + offset), kept within 0..highest.
inline void round_codes(const Weights32& x, float start, float inverse, float offset, float highest,
                        std::uint8_t* codes) {
  for (std::size_t i = 0; i < 32; ++i) {
    const float at = (x[i] - start) * inverse + offset;
    const float code = at > 0.0f ? at : 0.0f;
    codes[i] =
        static_cast<std::uint8_t>(static_cast<std::int32_t>(code < highest ? code : highest));
  }
}

/// Scale of codes -half..half - 1 and the codes plus half: the peak becomes -half.
inline Bits16 round_symmetric(const float* from, float half, std::uint8_t* codes) {
  const Weights32 x = finite_weights(from);
  const float d = within_half(peak_of(x) / -half);
  round_codes(x, 0, inverse_or_zero(d), half + 0.5f, 2 * half - 1, codes);
  return to_half(d);
}

struct ScaleAndStart {
  Bits16 d, m;
};

/// Scale and start of codes 0..highest that span the weights.
inline ScaleAndStart round_affine(const float* from, float highest, std::uint8_t* codes) {
  const Weights32 x = finite_weights(from);
  float low = x[0], high = x[0];
  for (const float v : x) {
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  low = within_half(low);
  const float d = within_half((high - low) / highest);
  round_codes(x, low, inverse_or_zero(d), 0.5f, highest, codes);
  return {to_half(d), to_half(low)};
}

}  // namespace engine::quant
