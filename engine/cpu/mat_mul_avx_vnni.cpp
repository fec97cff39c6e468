// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul_kernels.h"

#if defined(__AVXVNNI__)
#include "engine/cpu/mat_mul_table-inl.h"
#include "engine/cpu/simd_avx2-inl.h"

namespace engine::cpu {
namespace {

struct Simd : Avx2 {
  static constexpr unsigned kPanelColumns = 2, kTileColumns = 3, kTilePanels = 1;
  static constexpr bool kUnsignedWide = true;

  static inline U8 to_wide(U8 codes) { return codes; }  // unsigned bytes, 128 above what is meant
  static inline I32 dot(I32 sum, U8 codes, const std::byte* x) {
    const __m256i factors = broadcast_int(x);
    return {_mm256_dpbusd_avx_epi32(sum.a, codes.a, factors),
            _mm256_dpbusd_avx_epi32(sum.b, codes.b, factors)};
  }
  static inline I32 dot_wide(I32 sum, U8 codes, const std::byte* x) { return dot(sum, codes, x); }
};

constexpr MatMulKernels kTable = make_table<Simd>();

}  // namespace

const MatMulKernels* avx_vnni_mat_mul_kernels() {
  return &kTable;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const MatMulKernels* avx_vnni_mat_mul_kernels() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
