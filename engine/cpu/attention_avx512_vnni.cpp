// SPDX-License-Identifier: MIT
#include "engine/cpu/attention_kernels.h"

#if defined(__AVX512VNNI__)
#include "engine/cpu/attention-inl.h"
#include "engine/cpu/vectors_avx512-inl.h"

namespace engine::cpu {
namespace {

struct Avx512VnniDot {
  using Sum = __m512i;
  using Keys = __m512i;
  using Query = __m512i;
  static constexpr bool kUnsignedKeys = true;
  static constexpr int kColumns = 4, kVectors = 2;
  static Sum set(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Keys load_keys(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Query load_query(const std::byte* p) {
    int word = 0;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
  }
  static Sum dot(Sum sum, Keys keys, Query query) {
    // Not the intrinsic: g++ 12 copies the sums to and fro around it.
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(keys), "v"(query));
    return sum;
  }
  static __m512 to_floats(Sum x) { return _mm512_cvtepi32_ps(x); }
};

constexpr AttentionKernels kKernels = attention_kernels<Avx512Vectors, Avx512VnniDot>();

}  // namespace

const AttentionKernels* avx512_vnni_attention() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const AttentionKernels* avx512_vnni_attention() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
