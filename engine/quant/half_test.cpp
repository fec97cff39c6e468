// SPDX-License-Identifier: MIT
#include "engine/quant/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace engine::quant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

// By the definition of binary16: sign, 5 bits of exponent, 10 of fraction.
double half_by_definition(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const int fraction = static_cast<int>(bits & 1023);
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -size : size;
}

TEST(Half, EveryFiniteNumberReadsByDefinitionAndComesBack) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;
    const float value = fp16_to_float(static_cast<std::uint16_t>(bits));
    ASSERT_EQ(value, half_by_definition(bits)) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(float_to_fp16(value), bits);
  }
}

TEST(Half, BetweenTwoNeighboursTheNearerWinsAndTiesGoToEven) {
  for (unsigned bits = 0; bits < 0x7bff; ++bits) {
    const double low = half_by_definition(bits), high = half_by_definition(bits + 1);
    const auto middle = static_cast<float>((low + high) / 2);  // exact in binary32
    ASSERT_EQ(float_to_fp16(middle), bits % 2 == 0 ? bits : bits + 1) << bits;
    ASSERT_EQ(float_to_fp16(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(float_to_fp16(std::nextafter(middle, kInfinity)), bits + 1) << bits;
    ASSERT_EQ(float_to_fp16(-std::nextafter(middle, kInfinity)), (bits + 1) | 0x8000) << bits;
  }
}

TEST(Half, BeyondTheLargest) {
  EXPECT_EQ(float_to_fp16(65504.0f), 0x7bff);
  EXPECT_EQ(float_to_fp16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(float_to_fp16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_fp16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(float_to_fp16(-kInfinity), 0xfc00);
  EXPECT_EQ(fp16_to_float(0x7c00), kInfinity);
  EXPECT_EQ(fp16_to_float(0xfc00), -kInfinity);
  EXPECT_TRUE(std::isnan(fp16_to_float(0x7c01)));
  EXPECT_TRUE(std::isnan(fp16_to_float(float_to_fp16(kNan))));
  EXPECT_EQ(within_half(1e9f), 65504.0f);
  EXPECT_EQ(within_half(-kInfinity), -65504.0f);
  EXPECT_EQ(within_half(-3.5f), -3.5f);
}

TEST(Bfloat, RoundsToEvenAndKeepsWhatItHolds) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_float(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
    } else {
      ASSERT_EQ(float_to_bf16(value), bits);
    }
  }
  EXPECT_EQ(bf16_to_float(0x3f80), 1.0f);
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-8f), 0x3f80);             // half-way, down to even
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82);   // half-way, up to even
  EXPECT_EQ(float_to_bf16(1.0f + 0x1p-8f + 0x1p-23f), 0x3f81);  // just above
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  // A NaN whose upper half alone would be an infinity.
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(E8m0, IsAPowerOfTwo) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(e8m0_half_to_float(static_cast<std::uint8_t>(byte)), std::ldexp(1.0, byte - 128));
  }
}

}  // namespace
}  // namespace engine::quant
