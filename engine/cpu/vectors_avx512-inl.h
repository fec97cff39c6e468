// SPDX-License-Identifier: MIT
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

/// Sixteen floats side by side; members as in vectors_plain-inl.h.
namespace engine::cpu {
namespace {

struct Avx512Vectors {
  using F = __m512;
  static constexpr int kWidth = 16;
  static constexpr int kColumns = 6, kVectors = 4;
  static constexpr int kFewColumns = 8;
  static constexpr int kRowSums = 16;

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float x) { return _mm512_set1_ps(x); }
  static F iota() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F abs(F x) { return _mm512_andnot_ps(set(-0.0f), x); }
  static F with_sign_of(F x, F sign) {
    return _mm512_or_ps(abs(x), _mm512_and_ps(set(-0.0f), sign));
  }
  static F if_less(F a, F b, F x, F y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
  }
  static F round(F x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static F power_of_two(F n) {
    const __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(whole, 23));
  }
  static float sum(F x) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
  }
  static float greatest(F x) {
    const __m256 a = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
  }
  static void transpose(F* x) {
    for (int i = 0; i < 16; i += 4) {  // words of four rows, within lanes
      const F a = _mm512_unpacklo_ps(x[i], x[i + 1]), b = _mm512_unpackhi_ps(x[i], x[i + 1]);
      const F c = _mm512_unpacklo_ps(x[i + 2], x[i + 3]);
      const F d = _mm512_unpackhi_ps(x[i + 2], x[i + 3]);
      x[i] = unpack_low_pairs(a, c);
      x[i + 1] = unpack_high_pairs(a, c);
      x[i + 2] = unpack_low_pairs(b, d);
      x[i + 3] = unpack_high_pairs(b, d);
    }
    for (int i = 0; i < 4; ++i) {  // lanes
      const F a = even_lanes(x[i], x[i + 4]), b = odd_lanes(x[i], x[i + 4]);
      const F c = even_lanes(x[i + 8], x[i + 12]), d = odd_lanes(x[i + 8], x[i + 12]);
      x[i] = even_lanes(a, c);
      x[i + 4] = even_lanes(b, d);
      x[i + 8] = odd_lanes(a, c);
      x[i + 12] = odd_lanes(b, d);
    }
  }
  static F sum_each(F* x) {
    for (int i = 0; i < 8; ++i) {
      const F a = x[2 * i], b = x[2 * i + 1];
      x[i] = add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    }
    for (int i = 0; i < 4; ++i) {
      const F a = x[2 * i], b = x[2 * i + 1];
      x[i] = add(unpack_low_pairs(a, b), unpack_high_pairs(a, b));
    }
    const F a = add(even_lanes(x[0], x[1]), odd_lanes(x[0], x[1]));
    const F b = add(even_lanes(x[2], x[3]), odd_lanes(x[2], x[3]));
    return add(even_lanes(a, b), odd_lanes(a, b));
  }

  static F load_half(const std::byte* p) { return _mm512_cvtph_ps(load_32(p)); }
  static F gather_halves(const std::byte* p, std::size_t stride, std::uint32_t n) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i row = _mm512_min_epu32(lane, _mm512_set1_epi32(static_cast<int>(n - 1)));
    const __m512i at = _mm512_mullo_epi32(row, _mm512_set1_epi32(static_cast<int>(stride)));
    // Reads two bytes more than the half: the block goes on there.
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_i32gather_epi32(at, p, 1)));
  }
  static F load_bfloat(const std::byte* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_32(p)), 16));
  }
  static F load_int8(const std::byte* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_16(p)));
  }
  static F load_nibbles(const std::byte* p, int shift) {
    const __m512i x = _mm512_srl_epi32(_mm512_cvtepu8_epi32(load_16(p)), _mm_cvtsi32_si128(shift));
    return _mm512_cvtepi32_ps(_mm512_and_si512(x, _mm512_set1_epi32(15)));
  }
  static void store_half(std::byte* p, F x) {
    store_32(p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_bfloat(std::byte* p, F x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    store_32(p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_add_epi32(bits, bias), 16)));
  }
  static void store_int8(std::byte* p, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
  }
  static void copy_int8(const std::byte* from, bool flip, std::byte* to) {
    store_32(to, _mm256_xor_si256(load_32(from), _mm256_set1_epi8(flip ? -128 : 0)));
  }
  static void split_nibbles(const std::byte* from, bool flip, std::byte* to) {
    const __m128i x = load_16(from), low = _mm_set1_epi8(15);
    const __m256i both =
        _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(x, 4), low), _mm_and_si128(x, low));
    store_32(to, _mm256_add_epi8(both, _mm256_set1_epi8(flip ? 120 : -8)));
  }

  static float half_to_float(std::uint16_t half) { return _cvtsh_ss(half); }
  static std::uint16_t float_to_half(float x) {
    const __m128i half = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT);
    return static_cast<std::uint16_t>(_mm_cvtsi128_si32(half));
  }

 private:
  static F unpack_low_pairs(F a, F b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static F unpack_high_pairs(F a, F b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static F even_lanes(F a, F b) { return _mm512_shuffle_f32x4(a, b, 0x88); }
  static F odd_lanes(F a, F b) { return _mm512_shuffle_f32x4(a, b, 0xdd); }
  static __m128i load_16(const std::byte* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static __m256i load_32(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_32(std::byte* p, __m256i x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
};

}  // namespace
}  // namespace engine::cpu
