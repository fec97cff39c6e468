// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul_kernels.h"

#if defined(__AVX512BW__)
#include "engine/cpu/mat_mul_table-inl.h"
#include "engine/cpu/simd_avx512-inl.h"

namespace engine::cpu {
namespace {

struct Simd : Avx512 {
  static constexpr unsigned kPanelColumns = 4, kTileColumns = 6, kTilePanels = 2;
  static constexpr bool kUnsignedWide = false;

  static inline U8 to_wide(U8 codes) { return add_bytes(codes, 128); }  // signed bytes
  static inline I32 dot(I32 sum, U8 codes, const std::byte* x) {
    // Codes are below 128: two products stay within 16 bits.
    return add_pairs(sum, _mm512_maddubs_epi16(codes.v, broadcast_int(x)));
  }
  static inline I32 dot_wide(I32 sum, U8 codes, const std::byte* x) {
    // At most 128 * 127 twice: the sign moves to the factors, which have no -128.
    const __m512i factors = broadcast_int(x);
    const __m512i turned = _mm512_mask_sub_epi8(factors, _mm512_movepi8_mask(codes.v),
                                                _mm512_setzero_si512(), factors);
    return add_pairs(sum, _mm512_maddubs_epi16(_mm512_abs_epi8(codes.v), turned));
  }

 private:
  static inline I32 add_pairs(I32 sum, __m512i pairs) {
    return {_mm512_add_epi32(sum.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
  }
};

constexpr MatMulKernels kTable = make_table<Simd>();

}  // namespace

const MatMulKernels* avx512_mat_mul_kernels() {
  return &kTable;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const MatMulKernels* avx512_mat_mul_kernels() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
