// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise_kernels.h"

#if defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "engine/cpu/elementwise-inl.h"
#include "engine/cpu/vectors_avx512-inl.h"

namespace engine::cpu {
namespace {

constexpr ElementwiseKernels kKernels = elementwise_kernels<Avx512Vectors>();

}  // namespace

const ElementwiseKernels* avx512_elementwise() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const ElementwiseKernels* avx512_elementwise() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
