// SPDX-License-Identifier: MIT
#include "engine/cpu/attention_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "engine/cpu/attention-inl.h"
#include "engine/cpu/vectors_avx2-inl.h"

namespace engine::cpu {
namespace {

/// Signs move from the query to the keys; 2 * 127 * 127 fits 16 bits.
struct Avx2Dot {
  using Sum = __m256i;
  using Keys = __m256i;
  struct Query {
    __m256i value, magnitude;
  };
  static constexpr bool kUnsignedKeys = false;
  static constexpr int kColumns = 2, kVectors = 2;
  static Sum set(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Keys load_keys(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Query load_query(const std::byte* p) {
    int word = 0;
    __builtin_memcpy(&word, p, 4);
    const __m256i value = _mm256_set1_epi32(word);
    return {value, _mm256_abs_epi8(value)};
  }
  static Sum dot(Sum sum, Keys keys, Query query) {
    const __m256i pairs =
        _mm256_maddubs_epi16(query.magnitude, _mm256_sign_epi8(keys, query.value));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static __m256 to_floats(Sum x) { return _mm256_cvtepi32_ps(x); }
};

constexpr AttentionKernels kKernels = attention_kernels<Avx2Vectors, Avx2Dot>();

}  // namespace

const AttentionKernels* avx2_attention() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const AttentionKernels* avx2_attention() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
