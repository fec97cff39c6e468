// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise_kernels.h"

#if defined(__aarch64__)
#include "engine/cpu/elementwise-inl.h"
#include "engine/cpu/vectors_neon-inl.h"

namespace engine::cpu {
namespace {

constexpr ElementwiseKernels kKernels = elementwise_kernels<NeonVectors>();

}  // namespace

const ElementwiseKernels* neon_elementwise() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const ElementwiseKernels* neon_elementwise() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
