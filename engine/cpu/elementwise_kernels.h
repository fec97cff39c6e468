// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cpu/activation_kind.h"

/// What elementwise.cpp asks of one set of instructions, by the rules of attention_kernels.h. Every
/// function works on one row or range; threads are the caller's matter.
namespace engine::cpu {

struct ElementwiseKernels {
  void (*rms_norm)(const float* from, std::size_t n, const float* weight, float eps, float* to);
  void (*layer_norm)(const float* from, std::size_t n, const float* weight, const float* bias,
                     float eps, float* to);
  void (*add)(const float* from, std::size_t n, float* to);
  void (*scale)(const float* from, std::size_t n, float factor, float* to);
  void (*softcap)(const float* from, std::size_t n, float cap, float* to);
  /// `up` may be null but for swiglu_oai.
  void (*activate)(Activation activation, const float* gate, const float* up, std::size_t n,
                   float* to);
  /// Turns n pairs: (x[i], y[i]) when they lie apart, (x[2 i], x[2 i + 1]) when adjacent.
  void (*rotate_halves)(const float* cosines, const float* sines, std::size_t n, float* x,
                        float* y);
  void (*rotate_adjacent)(const float* cosines, const float* sines, std::size_t n, float* x);
  void (*softmax)(const float* from, std::size_t n, float* to);
};

/// Null where this build has none. Calling one that the processor lacks ends the program.
const ElementwiseKernels* plain_elementwise();  // never null
const ElementwiseKernels* avx2_elementwise();
const ElementwiseKernels* avx512_elementwise();
const ElementwiseKernels* neon_elementwise();

}  // namespace engine::cpu
