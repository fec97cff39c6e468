// SPDX-License-Identifier: MIT
#include "engine/cpu/attention_kernels.h"

#if defined(__AVXVNNI__)
#include "engine/cpu/attention-inl.h"
#include "engine/cpu/vectors_avx2-inl.h"

namespace engine::cpu {
namespace {

struct AvxVnniDot {
  using Sum = __m256i;
  using Keys = __m256i;
  using Query = __m256i;
  static constexpr bool kUnsignedKeys = true;
  static constexpr int kColumns = 2, kVectors = 2;
  static Sum set(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Keys load_keys(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Query load_query(const std::byte* p) {
    int word = 0;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
  }
  static Sum dot(Sum sum, Keys keys, Query query) {
    return _mm256_dpbusd_avx_epi32(sum, keys, query);
  }
  static __m256 to_floats(Sum x) { return _mm256_cvtepi32_ps(x); }
};

constexpr AttentionKernels kKernels = attention_kernels<Avx2Vectors, AvxVnniDot>();

}  // namespace

const AttentionKernels* avx_vnni_attention() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const AttentionKernels* avx_vnni_attention() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
