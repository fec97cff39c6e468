// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise-inl.h"
#include "engine/cpu/vectors_plain-inl.h"

namespace engine::cpu {
namespace {

constexpr ElementwiseKernels kKernels = elementwise_kernels<PlainVectors>();

}  // namespace

const ElementwiseKernels* plain_elementwise() {
  return &kKernels;
}

}  // namespace engine::cpu
