// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

/// Four floats that are worked on side by side. Every operation is done lane by lane in the order
/// it is written, so that an encoder's result is the same on every machine and at every width.
namespace engine::quant {

// The vector types of GCC and Clang: portable to every target, and one register on the plainest.
using Lanes = float __attribute__((vector_size(16)));
using LaneMask = std::int32_t __attribute__((vector_size(16)));

inline Lanes all_lanes(float value) {
  return Lanes{value, value, value, value};
}
/// `b` where `a` is not a number.
inline Lanes larger(Lanes a, Lanes b) {
  return a > b ? a : b;
}
/// `b` where `a` is not a number.
inline Lanes smaller(Lanes a, Lanes b) {
  return a < b ? a : b;
}
inline Lanes magnitude(Lanes a) {
  return larger(a, -a);
}
/// Nearest integers, ties to even, of values within +-2^22.
inline Lanes rounded(Lanes a) {
  const Lanes shift = all_lanes(12582912.0f);  // 1.5 * 2^23: the unit is the last bit
  return (a + shift) - shift;
}

}  // namespace engine::quant
