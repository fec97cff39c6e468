// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul_kernels.h"

#if defined(__AVX512VNNI__)
#include "engine/cpu/mat_mul_table-inl.h"
#include "engine/cpu/simd_avx512-inl.h"

namespace engine::cpu {
namespace {

struct Simd : Avx512 {
  static constexpr unsigned kPanelColumns = 4, kTileColumns = 6, kTilePanels = 2;
  static constexpr bool kUnsignedWide = true;

  static inline U8 to_wide(U8 codes) { return codes; }  // unsigned bytes, 128 above what is meant
  static inline I32 dot(I32 sum, U8 codes, const std::byte* x) {
    // Not the intrinsic: g++ 12 broadcasts apart and copies sums to and fro.
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sum.v)
            : "v"(codes.v), "m"(*reinterpret_cast<const FourBytes*>(x)));
    return sum;
  }
  static inline I32 dot_wide(I32 sum, U8 codes, const std::byte* x) { return dot(sum, codes, x); }

 private:
  struct FourBytes {
    std::byte at[4];
  };
};

constexpr MatMulKernels kTable = make_table<Simd>();

}  // namespace

const MatMulKernels* avx512_vnni_mat_mul_kernels() {
  return &kTable;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const MatMulKernels* avx512_vnni_mat_mul_kernels() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
