// SPDX-License-Identifier: MIT
// 16 chains of fused multiply-adds a thread, 8 steps a turn: 128 FMAs a turn, two operations each.
#version 450
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer In { vec4 data[]; };  // values in [0, 1)
layout(set = 0, binding = 1) writeonly buffer Out { float sums[]; };
layout(push_constant) uniform Push { uint turns; uint mask; uint out_mask; };

// Invocations whose ids agree below the masks compute the same and write it to the same place.
void main() {
  uint id = gl_GlobalInvocationID.x;
  vec4 a = data[id & mask], b = data[(id + 1u) & mask], c = data[(id + 2u) & mask], d = data[(id + 3u) & mask];
  // Factors below one keep every chain bounded: each tends to y / (1 - x).
  vec4 x = 0.5 + 0.25 * data[(id + 4u) & mask], y = data[(id + 5u) & mask];
  for (uint turn = 0u; turn < turns; ++turn) {
    [[unroll]] for (uint k = 0u; k < 8u; ++k) {
      a = fma(a, x, y);
      b = fma(b, x, y);
      c = fma(c, x, y);
      d = fma(d, x, y);
    }
  }
  sums[id & out_mask] = dot(a, vec4(1.0)) + dot(b, vec4(1.0)) + dot(c, vec4(1.0)) + dot(d, vec4(1.0));
}
