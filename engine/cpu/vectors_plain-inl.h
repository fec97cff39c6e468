// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/quant/half.h"

/// Four floats side by side, in whatever the compiler makes of them. Its siblings
/// vectors_<isa>-inl.h have the same members; each is included by files of its own set only.
namespace engine::cpu {
namespace {

struct PlainVectors {
  typedef float F __attribute__((vector_size(16)));
  typedef std::int32_t I __attribute__((vector_size(16)));
  typedef std::uint32_t U __attribute__((vector_size(16)));
  static constexpr int kWidth = 4;
  /// Shape of the register tiles: columns and vectors of the score and value products.
  static constexpr int kColumns = 2, kVectors = 4;
  static constexpr int kFewColumns = 2;  // the same where the cache is read directly
  static constexpr int kRowSums = 4;     // sums that score_rows holds

  static F zero() { return F{}; }
  static F set(float x) { return F{x, x, x, x}; }
  static F iota() { return F{0, 1, 2, 3}; }
  static F load(const float* p) { return F{p[0], p[1], p[2], p[3]}; }
  static void store(float* p, F x) {
    for (int i = 0; i < kWidth; ++i) p[i] = x[i];
  }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  static F min(F a, F b) { return if_less(a, b, a, b); }
  static F max(F a, F b) { return if_less(a, b, b, a); }
  static F abs(F x) { return bits_to_floats(floats_to_bits(x) & 0x7fffffffu); }
  static F with_sign_of(F x, F sign) {
    return bits_to_floats((floats_to_bits(x) & 0x7fffffffu) | (floats_to_bits(sign) & 0x80000000u));
  }
  /// a < b ? x : y
  static F if_less(F a, F b, F x, F y) {
    const U mask = reinterpret_cast<U>(a < b);
    return bits_to_floats((floats_to_bits(x) & mask) | (floats_to_bits(y) & ~mask));
  }
  /// To the nearest whole number, |x| < 2^22.
  static F round(F x) {
    const F magic = set(12582912.0f);  // 1.5 * 2^23
    return (x + magic) - magic;
  }
  /// 2^n for whole n in -126...127.
  static F power_of_two(F n) {
    const I whole = __builtin_convertvector(n, I) + 127;
    return bits_to_floats(reinterpret_cast<U>(whole) << 23);
  }
  static float sum(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static float greatest(F x) {
    const float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
  }
  static void transpose(F* x) {
    for (int i = 0; i < kWidth; ++i) {
      for (int j = 0; j < i; ++j) {
        const float held = x[i][j];
        x[i][j] = x[j][i];
        x[j][i] = held;
      }
    }
  }
  /// Lane i is the sum of the lanes of x[i].
  static F sum_each(F* x) {
    transpose(x);
    return (x[0] + x[2]) + (x[1] + x[3]);
  }

  static F load_half(const std::byte* p) {
    return F{half_to_float(load16(p)), half_to_float(load16(p + 2)), half_to_float(load16(p + 4)),
             half_to_float(load16(p + 6))};
  }
  /// Halves that lie `stride` bytes apart; lanes from n on repeat the last.
  static F gather_halves(const std::byte* p, std::size_t stride, std::uint32_t n) {
    std::uint16_t lanes[kWidth];
    for (std::uint32_t i = 0; i < kWidth; ++i) {
      __builtin_memcpy(lanes + i, p + (i < n ? i : n - 1) * stride, 2);
    }
    return load_half(reinterpret_cast<const std::byte*>(lanes));
  }
  static F load_bfloat(const std::byte* p) {
    const U bits = {load16(p), load16(p + 2), load16(p + 4), load16(p + 6)};
    return bits_to_floats(bits << 16);
  }
  static F load_int8(const std::byte* p) {
    const I x = {int8_at(p), int8_at(p + 1), int8_at(p + 2), int8_at(p + 3)};
    return __builtin_convertvector(x, F);
  }
  /// The low (shift 0) or high (shift 4) half of each byte.
  static F load_nibbles(const std::byte* p, int shift) {
    const U x = {unsigned{uint8_at(p)}, unsigned{uint8_at(p + 1)}, unsigned{uint8_at(p + 2)},
                 unsigned{uint8_at(p + 3)}};
    return __builtin_convertvector(reinterpret_cast<I>((x >> shift) & 15u), F);
  }
  static void store_half(std::byte* p, F x) {
    for (int i = 0; i < kWidth; ++i) store16(p + 2 * i, float_to_half(x[i]));
  }
  static void store_bfloat(std::byte* p, F x) {
    U bits = floats_to_bits(x);
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    for (int i = 0; i < kWidth; ++i) store16(p + 2 * i, static_cast<std::uint16_t>(bits[i]));
  }
  /// Whole numbers in -128...127.
  static void store_int8(std::byte* p, F x) {
    const I whole = __builtin_convertvector(x, I);
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<std::byte>(whole[i]);
  }

  /// Copies a block of 32; `flip` adds 128, for products that want unsigned bytes.
  static void copy_int8(const std::byte* from, bool flip, std::byte* to) {
    const int mask = flip ? 0x80 : 0;
    for (int i = 0; i < 32; ++i) to[i] = static_cast<std::byte>(uint8_at(from + i) ^ mask);
  }
  /// Half a byte each, low halves first, less 8.
  static void split_nibbles(const std::byte* from, bool flip, std::byte* to) {
    const int offset = flip ? 120 : -8;
    for (int i = 0; i < 16; ++i) {
      to[i] = static_cast<std::byte>((uint8_at(from + i) & 15) + offset);
      to[16 + i] = static_cast<std::byte>((uint8_at(from + i) >> 4) + offset);
    }
  }

  static float half_to_float(std::uint16_t half) { return quant::fp16_to_float(half); }
  static std::uint16_t float_to_half(float x) { return quant::float_to_fp16(x); }

 private:
  static U floats_to_bits(F x) { return reinterpret_cast<U>(x); }
  static F bits_to_floats(U x) { return reinterpret_cast<F>(x); }
  static std::uint8_t uint8_at(const std::byte* p) { return static_cast<std::uint8_t>(*p); }
  static std::int8_t int8_at(const std::byte* p) { return static_cast<std::int8_t>(*p); }
  static std::uint16_t load16(const std::byte* p) {
    return static_cast<std::uint16_t>(uint8_at(p) | uint8_at(p + 1) << 8);
  }
  static void store16(std::byte* p, std::uint16_t x) {
    p[0] = static_cast<std::byte>(x);
    p[1] = static_cast<std::byte>(x >> 8);
  }
};

}  // namespace
}  // namespace engine::cpu
