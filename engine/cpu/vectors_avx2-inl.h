// SPDX-License-Identifier: MIT
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

/// Eight floats side by side; members as in vectors_plain-inl.h.
namespace engine::cpu {
namespace {

struct Avx2Vectors {
  using F = __m256;
  static constexpr int kWidth = 8;
  static constexpr int kColumns = 6, kVectors = 2;
  static constexpr int kFewColumns = 4;
  static constexpr int kRowSums = 8;

  static F zero() { return _mm256_setzero_ps(); }
  static F set(float x) { return _mm256_set1_ps(x); }
  static F iota() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F abs(F x) { return _mm256_andnot_ps(set(-0.0f), x); }
  static F with_sign_of(F x, F sign) {
    return _mm256_or_ps(abs(x), _mm256_and_ps(set(-0.0f), sign));
  }
  static F if_less(F a, F b, F x, F y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  static F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F power_of_two(F n) {
    const __m256i whole = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(whole, 23));
  }
  static float sum(F x) {
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
  }
  static float greatest(F x) {
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
  }
  static void transpose(F* x) {
    for (int i = 0; i < 8; i += 4) {  // words of four rows, within lanes
      const F a = _mm256_unpacklo_ps(x[i], x[i + 1]), b = _mm256_unpackhi_ps(x[i], x[i + 1]);
      const F c = _mm256_unpacklo_ps(x[i + 2], x[i + 3]);
      const F d = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
      x[i] = _mm256_shuffle_ps(a, c, 0x44);
      x[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
      x[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
      x[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; ++i) {  // lanes
      const F a = x[i], b = x[i + 4];
      x[i] = _mm256_permute2f128_ps(a, b, 0x20);
      x[i + 4] = _mm256_permute2f128_ps(a, b, 0x31);
    }
  }
  static F sum_each(F* x) {
    const F a = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    const F b = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
    return add(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }

  static F load_half(const std::byte* p) { return _mm256_cvtph_ps(load_16(p)); }
  static F gather_halves(const std::byte* p, std::size_t stride, std::uint32_t n) {
    std::uint16_t lanes[kWidth];
    for (std::uint32_t i = 0; i < kWidth; ++i) {
      __builtin_memcpy(lanes + i, p + (i < n ? i : n - 1) * stride, 2);
    }
    return load_half(reinterpret_cast<const std::byte*>(lanes));
  }
  static F load_bfloat(const std::byte* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(p)), 16));
  }
  static F load_int8(const std::byte* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_8(p)));
  }
  static F load_nibbles(const std::byte* p, int shift) {
    const __m256i x = _mm256_srl_epi32(_mm256_cvtepu8_epi32(load_8(p)), _mm_cvtsi32_si128(shift));
    return _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(15)));
  }
  static void store_half(std::byte* p, F x) {
    store_16(p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_bfloat(std::byte* p, F x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256i high = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
    store_16(p, _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
  }
  static void store_int8(std::byte* p, F x) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  static void copy_int8(const std::byte* from, bool flip, std::byte* to) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_xor_si256(x, _mm256_set1_epi8(flip ? -128 : 0)));
  }
  static void split_nibbles(const std::byte* from, bool flip, std::byte* to) {
    const __m128i x = load_16(from), low = _mm_set1_epi8(15);
    const __m128i offset = _mm_set1_epi8(flip ? 120 : -8);
    store_16(to, _mm_add_epi8(_mm_and_si128(x, low), offset));
    store_16(to + 16, _mm_add_epi8(_mm_and_si128(_mm_srli_epi16(x, 4), low), offset));
  }

  static float half_to_float(std::uint16_t half) { return _cvtsh_ss(half); }
  static std::uint16_t float_to_half(float x) {
    const __m128i half = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT);
    return static_cast<std::uint16_t>(_mm_cvtsi128_si32(half));
  }

 private:
  static __m128i load_8(const std::byte* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  }
  static __m128i load_16(const std::byte* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static void store_16(std::byte* p, __m128i x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x);
  }
};

}  // namespace
}  // namespace engine::cpu
