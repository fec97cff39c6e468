// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul_kernels.h"

#if defined(__AVX2__)
#include "engine/cpu/mat_mul_table-inl.h"
#include "engine/cpu/simd_avx2-inl.h"

namespace engine::cpu {
namespace {

struct Simd : Avx2 {
  static constexpr unsigned kPanelColumns = 2, kTileColumns = 3, kTilePanels = 1;
  static constexpr bool kUnsignedWide = false;

  static inline U8 to_wide(U8 codes) { return add_bytes(codes, 128); }  // signed bytes
  static inline I32 dot(I32 sum, U8 codes, const std::byte* x) {
    // Codes are below 128: two products stay within 16 bits.
    const __m256i factors = broadcast_int(x);
    return add_pairs(sum, _mm256_maddubs_epi16(codes.a, factors),
                     _mm256_maddubs_epi16(codes.b, factors));
  }
  static inline I32 dot_wide(I32 sum, U8 codes, const std::byte* x) {
    // At most 128 * 127 twice: the sign moves to the factors, which have no -128.
    const __m256i factors = broadcast_int(x);
    return add_pairs(
        sum, _mm256_maddubs_epi16(_mm256_abs_epi8(codes.a), _mm256_sign_epi8(factors, codes.a)),
        _mm256_maddubs_epi16(_mm256_abs_epi8(codes.b), _mm256_sign_epi8(factors, codes.b)));
  }

 private:
  static inline I32 add_pairs(I32 sum, __m256i a, __m256i b) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(a, ones)),
            _mm256_add_epi32(sum.b, _mm256_madd_epi16(b, ones))};
  }
};

constexpr MatMulKernels kTable = make_table<Simd>();

}  // namespace

const MatMulKernels* avx2_mat_mul_kernels() {
  return &kTable;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const MatMulKernels* avx2_mat_mul_kernels() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
