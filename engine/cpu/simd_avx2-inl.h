// SPDX-License-Identifier: MIT
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

/// What kernels of products do, in AVX2 without VNNI: two registers of eight rows. For files with
/// compile flags of their own.
namespace engine::cpu {
namespace {

struct Avx2 {
  struct U8 {
    __m256i a, b;  // rows 0...7 and 8...15
  };
  struct I32 {
    __m256i a, b;
  };
  struct F32 {
    __m256 a, b;
  };

  static inline U8 load(const void* p) {
    const auto* halves = static_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
  }
  static inline void store(std::uint8_t* to, U8 v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), v.a);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + 1, v.b);
  }
  static inline U8 load_table(const std::uint8_t* p) {
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
    return {table, table};
  }
  static inline U8 look_up(U8 table, U8 index) {
    return {_mm256_shuffle_epi8(table.a, index.a), _mm256_shuffle_epi8(table.b, index.b)};
  }
  template <int from, int to, unsigned mask>
  static inline U8 field(U8 bits) {
    const __m256i only = _mm256_set1_epi8(static_cast<char>(mask << to));
    if constexpr (from > to) {
      bits = {_mm256_srli_epi16(bits.a, from - to), _mm256_srli_epi16(bits.b, from - to)};
    } else if constexpr (from < to) {
      bits = {_mm256_slli_epi16(bits.a, to - from), _mm256_slli_epi16(bits.b, to - from)};
    }
    return {_mm256_and_si256(bits.a, only), _mm256_and_si256(bits.b, only)};
  }
  static inline U8 merge(U8 x, U8 y) {
    return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
  }
  static inline U8 add_bytes(U8 x, unsigned n) {
    const __m256i all = _mm256_set1_epi8(static_cast<char>(n));
    return {_mm256_add_epi8(x.a, all), _mm256_add_epi8(x.b, all)};
  }

  static inline I32 zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static inline I32 load_centring(const std::byte* p, unsigned shift) {
    const __m256i word =
        _mm256_sra_epi32(broadcast_int(p), _mm_cvtsi32_si128(static_cast<int>(shift)));
    return {word, word};
  }
  template <int shift>
  static inline I32 load_centring(const std::byte* p) {
    const __m256i word = shift == 0 ? broadcast_int(p) : _mm256_srai_epi32(broadcast_int(p), shift);
    return {word, word};
  }
  static inline I32 add(I32 x, I32 y) {
    return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
  }

  static inline F32 to_float(I32 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
  static inline F32 load_floats(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  static inline void store_floats(float* to, F32 x) {
    _mm256_storeu_ps(to, x.a);
    _mm256_storeu_ps(to + 8, x.b);
  }
  static inline F32 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static inline F32 multiply(F32 x, F32 y) {
    return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
  }
  static inline F32 subtract(F32 x, F32 y) {
    return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
  }
  static inline F32 multiply_add(F32 x, F32 y, F32 z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
  }
  static inline F32 negate(F32 x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_xor_ps(x.a, sign), _mm256_xor_ps(x.b, sign)};
  }
  static inline F32 absolute(F32 x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
  }
  static inline F32 maximum(F32 x, F32 y) {
    return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
  }
  static inline float largest(F32 x) {
    const __m256 eight = _mm256_max_ps(x.a, x.b);
    __m128 v = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)));
  }
  static inline int round_to_bytes(F32 x, std::byte* to) {
    const __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b);
    const __m128i a16 = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    const __m128i b16 = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(a16, b16));
    __m128i sum = _mm_madd_epi16(_mm_add_epi16(a16, b16), _mm_set1_epi16(1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
  }

  static inline F32 load_halves(const std::byte* p) {
    return {_mm256_cvtph_ps(load_16(p)), _mm256_cvtph_ps(load_16(p + 16))};
  }
  static inline F32 load_bfloats(const std::byte* p) {
    return {widen_bfloats(load_16(p)), widen_bfloats(load_16(p + 16))};
  }
  static inline F32 load_half_powers(const std::byte* p) {
    return {half_powers(_mm256_cvtepu8_epi32(load_8(p))),
            half_powers(_mm256_cvtepu8_epi32(load_8(p + 8)))};
  }
  static inline F32 load_unsigned(const std::uint8_t* p) {
    return to_float({_mm256_cvtepu8_epi32(load_8(p)), _mm256_cvtepu8_epi32(load_8(p + 8))});
  }
  static inline F32 load_signed(const std::byte* p) {
    return to_float({_mm256_cvtepi8_epi32(load_8(p)), _mm256_cvtepi8_epi32(load_8(p + 8))});
  }
  static inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }
  static inline void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

  static inline __m256i broadcast_int(const void* p) {
    int word;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
  }

 private:
  static inline __m128i load_16(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  static inline __m128i load_8(const void* p) {
    return _mm_loadl_epi64(static_cast<const __m128i*>(p));
  }
  static inline __m256 widen_bfloats(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static inline __m256 half_powers(__m256i e) {
    const __m256i one = _mm256_set1_epi32(1);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    const __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(tiny, normal, _mm256_cmpgt_epi32(e, one)));
  }
};

}  // namespace
}  // namespace engine::cpu
