// SPDX-License-Identifier: MIT
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

/// Four floats side by side; members as in vectors_plain-inl.h.
namespace engine::cpu {
namespace {

struct NeonVectors {
  using F = float32x4_t;
  static constexpr int kWidth = 4;
  static constexpr int kColumns = 6, kVectors = 4;
  static constexpr int kFewColumns = 8;
  static constexpr int kRowSums = 16;

  static F zero() { return vdupq_n_f32(0); }
  static F set(float x) { return vdupq_n_f32(x); }
  static F iota() {
    const float lanes[] = {0, 1, 2, 3};
    return vld1q_f32(lanes);
  }
  static F load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, F x) { vst1q_f32(p, x); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F min(F a, F b) { return vminq_f32(a, b); }
  static F max(F a, F b) { return vmaxq_f32(a, b); }
  static F abs(F x) { return vabsq_f32(x); }
  static F with_sign_of(F x, F sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, x); }
  static F if_less(F a, F b, F x, F y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
  static F round(F x) { return vrndnq_f32(x); }
  static F power_of_two(F n) {
    const int32x4_t whole = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(whole, 23));
  }
  static float sum(F x) { return vaddvq_f32(x); }
  static float greatest(F x) { return vmaxvq_f32(x); }
  static void transpose(F* x) {
    const float64x2_t a = pairs(vtrn1q_f32(x[0], x[1])), b = pairs(vtrn2q_f32(x[0], x[1]));
    const float64x2_t c = pairs(vtrn1q_f32(x[2], x[3])), d = pairs(vtrn2q_f32(x[2], x[3]));
    x[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    x[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    x[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    x[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
  }
  static F sum_each(F* x) { return vpaddq_f32(vpaddq_f32(x[0], x[1]), vpaddq_f32(x[2], x[3])); }

  static F load_half(const std::byte* p) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(bytes(p))));
  }
  static F gather_halves(const std::byte* p, std::size_t stride, std::uint32_t n) {
    std::uint16_t lanes[kWidth];
    for (std::uint32_t i = 0; i < kWidth; ++i) {
      __builtin_memcpy(lanes + i, p + (i < n ? i : n - 1) * stride, 2);
    }
    return load_half(reinterpret_cast<const std::byte*>(lanes));
  }
  static F load_bfloat(const std::byte* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(bytes(p))), 16));
  }
  static F load_int8(const std::byte* p) {
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(load_word(p)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
  }
  static F load_nibbles(const std::byte* p, int shift) {
    const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(load_word(p)));
    const uint32x4_t x = vshlq_u32(vmovl_u16(vget_low_u16(wide)), vdupq_n_s32(-shift));
    return vcvtq_f32_u32(vandq_u32(x, vdupq_n_u32(15)));
  }
  static void store_half(std::byte* p, F x) {
    vst1_u8(bytes(p), vreinterpret_u8_f16(vcvt_f16_f32(x)));
  }
  static void store_bfloat(std::byte* p, F x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t bias = vaddq_u32(odd, vdupq_n_u32(0x7fff));
    vst1_u8(bytes(p), vreinterpret_u8_u16(vshrn_n_u32(vaddq_u32(bits, bias), 16)));
  }
  static void store_int8(std::byte* p, F x) {
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(x));
    const int8x8_t narrow = vmovn_s16(vcombine_s16(words, words));
    const std::uint32_t word = vget_lane_u32(vreinterpret_u32_s8(narrow), 0);
    __builtin_memcpy(p, &word, 4);
  }
  static void copy_int8(const std::byte* from, bool flip, std::byte* to) {
    const uint8x16_t mask = vdupq_n_u8(flip ? 0x80 : 0);
    vst1q_u8(bytes(to), veorq_u8(vld1q_u8(bytes(from)), mask));
    vst1q_u8(bytes(to + 16), veorq_u8(vld1q_u8(bytes(from + 16)), mask));
  }
  static void split_nibbles(const std::byte* from, bool flip, std::byte* to) {
    const uint8x16_t x = vld1q_u8(bytes(from)), offset = vdupq_n_u8(flip ? 120 : 248);
    vst1q_u8(bytes(to), vaddq_u8(vandq_u8(x, vdupq_n_u8(15)), offset));
    vst1q_u8(bytes(to + 16), vaddq_u8(vshrq_n_u8(x, 4), offset));
  }

  static float half_to_float(std::uint16_t half) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half))), 0);
  }
  static std::uint16_t float_to_half(float x) {
    return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(x))), 0);
  }

 private:
  static float64x2_t pairs(F x) { return vreinterpretq_f64_f32(x); }
  static const std::uint8_t* bytes(const std::byte* p) {
    return reinterpret_cast<const std::uint8_t*>(p);
  }
  static std::uint8_t* bytes(std::byte* p) { return reinterpret_cast<std::uint8_t*>(p); }
  static uint32x2_t load_word(const std::byte* p) {
    std::uint32_t word = 0;
    __builtin_memcpy(&word, p, 4);
    return vdup_n_u32(word);
  }
};

}  // namespace
}  // namespace engine::cpu
