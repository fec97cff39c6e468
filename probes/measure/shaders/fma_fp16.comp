// SPDX-License-Identifier: MIT
// CHAINS chains of fused multiply-adds on pairs of halves a thread, 8 steps a turn, four operations each.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer In { vec4 data[]; };  // values in [0, 1)
layout(set = 0, binding = 1) writeonly buffer Out { float sums[]; };
layout(push_constant) uniform Push { uint turns; uint mask; uint out_mask; float factor; };

// Invocations whose ids agree below the masks compute the same and write it to the same place.
void main() {
  uint id = gl_GlobalInvocationID.x;
  // Factors below one keep every chain bounded: each tends to y / (1 - x).
  vec4 factors = 0.5 + 0.25 * data[(id + 32u) & mask];
  f16vec2 x = f16vec2(factors.xy), y = f16vec2(data[(id + 33u) & mask].xy);
  f16vec2 chain[CHAINS];
  [[unroll]] for (uint c = 0u; c < CHAINS; ++c) chain[c] = f16vec2(data[(id + c) & mask].xy);
  for (uint turn = 0u; turn < turns; ++turn) {
    [[unroll]] for (uint k = 0u; k < 8u; ++k) {
      [[unroll]] for (uint c = 0u; c < CHAINS; ++c) chain[c] = fma(chain[c], x, y);
    }
  }
  vec2 sum = vec2(0.0);
  [[unroll]] for (uint c = 0u; c < CHAINS; ++c) sum += vec2(chain[c]);
  sums[id & out_mask] = sum.x + sum.y;
}
