// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>

/// The narrow number types inside blocks, by integer arithmetic: the same on every machine. Always
/// inlined, here and in the headers of blocks, because kernels for different sets of instructions
/// include them: the linker must not keep one set's copy for all.
namespace engine::quant {

/// A little-endian 16-bit field of a block; alignment 1, because blocks in files have none.
struct Bits16 {
  std::uint8_t low = 0, high = 0;
  [[gnu::always_inline]] constexpr std::uint16_t bits() const {
    return static_cast<std::uint16_t>(low | high << 8);
  }
};
[[gnu::always_inline]] constexpr Bits16 to_bits16(std::uint16_t bits) {
  return {static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8)};
}

/// IEEE binary16 to binary32; exact. A signalling NaN becomes quiet.
[[gnu::always_inline]] constexpr float fp16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
  const std::uint32_t magnitude = bits & 0x7fff;
  // Normal numbers move their exponent from bias 15 to 127; subnormal ones are multiples of 2^-24.
  const std::uint32_t normal = (magnitude << 13) + (112u << 23);
  const std::uint32_t special =
      (magnitude << 13) | (255u << 23) | (magnitude > 0x7c00 ? 1u << 22 : 0);
  const std::uint32_t tiny = std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  const std::uint32_t wide = magnitude >= 0x7c00 ? special : magnitude >= 0x0400 ? normal : tiny;
  return std::bit_cast<float>(sign | wide);
}
[[gnu::always_inline]] constexpr float fp16_to_float(Bits16 half) {
  return fp16_to_float(half.bits());
}

/// Nearest binary16, ties to even; beyond 65519.99 infinity; NaN stays a (quiet) NaN.
[[gnu::always_inline]] constexpr std::uint16_t float_to_fp16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;
  } else if (magnitude >= 0x477ff000) {  // 65520, half-way to what would be 65536
    half = 0x7c00;
  } else if (magnitude >= 0x38800000) {  // 2^-14, the least normal number
    half = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
  } else {
    // Adding 2^-1 leaves a multiple of 2^-24 in the low bits, rounded as the processor rounds.
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  }
  return static_cast<std::uint16_t>(sign | half);
}
[[gnu::always_inline]] constexpr Bits16 to_half(float value) {
  return to_bits16(float_to_fp16(value));
}

/// Scales are never infinite: the largest half-precision number stands for what is beyond it.
[[gnu::always_inline]] constexpr float within_half(float value) {
  return value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value;
}

/// bfloat16 to binary32; exact.
[[gnu::always_inline]] constexpr float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
/// Nearest bfloat16, ties to even; NaN stays a (quiet) NaN.
[[gnu::always_inline]] constexpr std::uint16_t float_to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Half of the power of two that an E8M0 byte means: 2^(byte - 128). The 255 that the OCP
/// specification keeps for NaN reads as 2^127, as llama.cpp reads it.
[[gnu::always_inline]] constexpr float e8m0_half_to_float(std::uint8_t byte) {
  return std::bit_cast<float>(byte < 2 ? 0x00200000u << byte
                                       : static_cast<std::uint32_t>(byte - 1) << 23);
}

}  // namespace engine::quant
