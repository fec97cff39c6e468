// SPDX-License-Identifier: MIT
#include "engine/cpu/attention_kernels.h"

#if defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "engine/cpu/attention-inl.h"
#include "engine/cpu/vectors_avx512-inl.h"

namespace engine::cpu {
namespace {

/// By products of 16 bits: those of 8 bits would saturate.
struct Avx512Dot {
  using Sum = __m512i;
  struct Keys {
    __m512i even, odd;
  };
  using Query = Keys;
  static constexpr bool kUnsignedKeys = false;
  static constexpr int kColumns = 4, kVectors = 2;
  static Sum set(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Keys load_keys(const std::byte* p) { return widen(_mm512_loadu_si512(p)); }
  static Query load_query(const std::byte* p) {
    int word = 0;
    __builtin_memcpy(&word, p, 4);
    return widen(_mm512_set1_epi32(word));
  }
  static Sum dot(Sum sum, Keys keys, Query query) {
    const __m512i even = _mm512_madd_epi16(keys.even, query.even);
    const __m512i odd = _mm512_madd_epi16(keys.odd, query.odd);
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
  }
  static __m512 to_floats(Sum x) { return _mm512_cvtepi32_ps(x); }

 private:
  static Keys widen(__m512i x) {
    return {_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8), _mm512_srai_epi16(x, 8)};
  }
};

constexpr AttentionKernels kKernels = attention_kernels<Avx512Vectors, Avx512Dot>();

}  // namespace

const AttentionKernels* avx512_attention() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const AttentionKernels* avx512_attention() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
