// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise-inl.h"
#include "engine/cpu/simd_plain.h"

namespace engine::cpu {
namespace {

constexpr ElementwiseKernels kKernels = elementwise_kernels<SimdPlain>();

}  // namespace

const ElementwiseKernels* plain_elementwise() {
  return &kKernels;
}

}  // namespace engine::cpu
