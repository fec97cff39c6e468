// SPDX-License-Identifier: MIT
#include "engine/quant/group_fit.h"

#include <algorithm>
#include <bit>

namespace engine::quant {

float unit_factor(const float* from, std::size_t n) {
  // Magnitudes compare like their bits; those that are not finite count as 0.
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(from[i]) & 0x7fffffff);
    largest = std::max(largest, bits < 0x7f800000 ? bits : 0);
  }
  if (largest == 0) return 0;
  // 2^-126 stands for everything smaller, and 2^-127 for the factor that no normal number has.
  const std::int32_t exponent = std::clamp(largest >> 23, 1, 253);
  return std::bit_cast<float>((254 - exponent) << 23);
}

}  // namespace engine::quant
