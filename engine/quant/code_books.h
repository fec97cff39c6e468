// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

/// The tables that block formats look their weights up in. All are constant-initialised.
namespace engine::quant {

/// Points of 8 or 4 coordinates; coordinate j is bits [8j, 8j + 8).
extern const std::array<std::uint64_t, 256> kIq2XxsGrid;  // levels 8, 25, 43
extern const std::array<std::uint64_t, 512> kIq2XsGrid;   // levels 8, 25, 43
extern const std::array<std::uint64_t, 1024> kIq2SGrid;   // levels 8, 25, 43
extern const std::array<std::uint32_t, 256> kIq3XxsGrid;  // levels 4, 12, .., 52, 62
extern const std::array<std::uint32_t, 512> kIq3SGrid;    // levels 1, 3, .., 15
extern const std::array<std::uint64_t, 2048> kIq1Grid;    // levels -1, 0, 1 as signed bytes

/// What IQ1_S and IQ1_M add to, or take from, every coordinate.
inline constexpr float kIq1Shift = 0.125f;

/// Eight sign bits from the seven that IQ2_XXS, IQ2_XS and IQ3_XXS store: the number of negative
/// coordinates is even.
[[gnu::always_inline]] constexpr std::uint8_t signs_of_7_bits(unsigned seven_bits) {
  const unsigned low = seven_bits & 127;
  return static_cast<std::uint8_t>(low | (std::popcount(low) & 1u) << 7);
}

/// The 16 levels of IQ4_NL and IQ4_XS.
inline constexpr std::array<std::int8_t, 16> kIq4Levels = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// Twice the 16 values of E2M1 (OCP Microscaling Formats 1.0): the sign is the top bit.
inline constexpr std::array<std::int8_t, 16> kTwiceE2m1 = {0, 1,  2,  3,  4,  6,  8,  12,
                                                           0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace engine::quant
