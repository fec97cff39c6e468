// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise_kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "engine/cpu/elementwise-inl.h"
#include "engine/cpu/vectors_avx2-inl.h"

namespace engine::cpu {
namespace {

constexpr ElementwiseKernels kKernels = elementwise_kernels<Avx2Vectors>();

}  // namespace

const ElementwiseKernels* avx2_elementwise() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const ElementwiseKernels* avx2_elementwise() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
