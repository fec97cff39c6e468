// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul_kernels.h"

#if defined(__ARM_FEATURE_MATMUL_INT8)
#include "engine/cpu/mat_mul_table-inl.h"
#include "engine/cpu/simd_neon-inl.h"

namespace engine::cpu {
namespace {

struct Simd : Neon {
  static constexpr unsigned kPanelColumns = 2, kTileColumns = 3, kTilePanels = 1;
  static constexpr bool kUnsignedWide = false;

  static inline U8 to_wide(U8 codes) { return add_bytes(codes, 128); }  // signed bytes
  static inline I32 dot_wide(I32 sum, U8 codes, const std::byte* x) {
    const int8x16_t factors = broadcast_bytes(x);
    for (int i = 0; i < 4; ++i)
      sum.v[i] = vdotq_s32(sum.v[i], vreinterpretq_s8_u8(codes.v[i]), factors);
    return sum;
  }
  // Codes below 128 are signed bytes as well.
  static inline I32 dot(I32 sum, U8 codes, const std::byte* x) { return dot_wide(sum, codes, x); }
};

constexpr MatMulKernels kTable = make_table<Simd>();

}  // namespace

const MatMulKernels* neon_i8mm_mat_mul_kernels() {
  return &kTable;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const MatMulKernels* neon_i8mm_mat_mul_kernels() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
