// SPDX-License-Identifier: MIT
#pragma once

namespace engine::cpu {

enum class Activation {
  silu,
  gelu,  // by tanh
  relu_squared,
  swiglu_oai  // gated only: gpt-oss, min(g, 7) * sigmoid(1.702 g) * (clamp(u, -7, 7) + 1)
};

}  // namespace engine::cpu
