// SPDX-License-Identifier: MIT
// Chains of fused multiply-adds: 4 * CHAINS a thread, 8 steps a turn, two operations each. FACTORS says where the
// factors come from, which decides how many registers an instruction has to read besides its chain's: 0 each
// component has its own, 1 all chains share one pair, 2 one of the pair is a push constant.
#version 450
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer In { vec4 data[]; };  // values in [0, 1)
layout(set = 0, binding = 1) writeonly buffer Out { float sums[]; };
layout(push_constant) uniform Push { uint turns; uint mask; uint out_mask; float factor; };

// Invocations whose ids agree below the masks compute the same and write it to the same place.
void main() {
  uint id = gl_GlobalInvocationID.x;
  vec4 chain[CHAINS];
  [[unroll]] for (uint c = 0u; c < CHAINS; ++c) chain[c] = data[(id + c) & mask];
  // Factors below one keep every chain bounded: each tends to y / (1 - x).
  vec4 own_x = 0.5 + 0.25 * data[(id + 32u) & mask], own_y = data[(id + 33u) & mask];
#if FACTORS == 0
  vec4 x = own_x, y = own_y;
#elif FACTORS == 1
  vec4 x = vec4(own_x.x), y = vec4(own_y.x);
#else
  vec4 x = vec4(factor), y = vec4(own_y.x);
#endif
  for (uint turn = 0u; turn < turns; ++turn) {
    [[unroll]] for (uint k = 0u; k < 8u; ++k) {
      [[unroll]] for (uint c = 0u; c < CHAINS; ++c) chain[c] = fma(chain[c], x, y);
    }
  }
  vec4 sum = vec4(0.0);
  [[unroll]] for (uint c = 0u; c < CHAINS; ++c) sum += chain[c];
  sums[id & out_mask] = dot(sum, vec4(1.0));
}
