// SPDX-License-Identifier: MIT
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

/// What kernels of products do, in AVX-512 without VNNI. For files with compile flags of their own.
namespace engine::cpu {
namespace {

struct Avx512 {
  struct U8 {
    __m512i v;
  };
  struct I32 {
    __m512i v;
  };
  struct F32 {
    __m512 v;
  };

  static inline U8 load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static inline void store(std::uint8_t* to, U8 a) { _mm512_storeu_si512(to, a.v); }
  static inline U8 load_table(const std::uint8_t* p) {
    return {_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static inline U8 look_up(U8 table, U8 index) { return {_mm512_shuffle_epi8(table.v, index.v)}; }
  template <int from, int to, unsigned mask>
  static inline U8 field(U8 bits) {
    const __m512i only = _mm512_set1_epi8(static_cast<char>(mask << to));
    if constexpr (from > to) return {_mm512_and_si512(_mm512_srli_epi16(bits.v, from - to), only)};
    if constexpr (from < to) return {_mm512_and_si512(_mm512_slli_epi16(bits.v, to - from), only)};
    return {_mm512_and_si512(bits.v, only)};
  }
  static inline U8 merge(U8 a, U8 b) { return {_mm512_or_si512(a.v, b.v)}; }
  static inline U8 add_bytes(U8 a, unsigned b) {
    return {_mm512_add_epi8(a.v, _mm512_set1_epi8(static_cast<char>(b)))};
  }

  static inline I32 zero() { return {_mm512_setzero_si512()}; }
  static inline I32 load_centring(const std::byte* p, unsigned shift) {
    return {_mm512_sra_epi32(broadcast_int(p), _mm_cvtsi32_si128(static_cast<int>(shift)))};
  }
  template <int shift>
  static inline I32 load_centring(const std::byte* p) {
    return {shift == 0 ? broadcast_int(p) : _mm512_srai_epi32(broadcast_int(p), shift)};
  }
  static inline I32 add(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }

  static inline F32 to_float(I32 a) { return {_mm512_cvtepi32_ps(a.v)}; }
  static inline F32 load_floats(const float* p) { return {_mm512_loadu_ps(p)}; }
  static inline void store_floats(float* to, F32 a) { _mm512_storeu_ps(to, a.v); }
  static inline F32 broadcast(float a) { return {_mm512_set1_ps(a)}; }
  static inline F32 multiply(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static inline F32 subtract(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  static inline F32 multiply_add(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  static inline F32 negate(F32 a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
  static inline F32 absolute(F32 a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
  static inline F32 maximum(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
  static inline float largest(F32 a) { return _mm512_reduce_max_ps(a.v); }
  static inline int round_to_bytes(F32 a, std::byte* to) {
    const __m512i whole = _mm512_cvtps_epi32(a.v);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(whole));
    return _mm512_reduce_add_epi32(whole);
  }

  static inline F32 load_halves(const std::byte* p) { return {_mm512_cvtph_ps(load_32(p))}; }
  static inline F32 load_bfloats(const std::byte* p) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_32(p)), 16))};
  }
  static inline F32 load_half_powers(const std::byte* p) {
    const __m512i e = _mm512_cvtepu8_epi32(load_16(p));
    const __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    const __m512i tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    const __mmask16 small = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2));
    return {_mm512_castsi512_ps(_mm512_mask_blend_epi32(small, normal, tiny))};
  }
  static inline F32 load_unsigned(const std::uint8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_16(p)))};
  }
  static inline F32 load_signed(const std::byte* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_16(p)))};
  }
  static inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }
  static inline void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

  static inline __m512i broadcast_int(const void* p) {
    int word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
  }
  static inline __m128i load_16(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  static inline __m256i load_32(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
};

}  // namespace
}  // namespace engine::cpu
