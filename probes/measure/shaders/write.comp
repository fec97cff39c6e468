// SPDX-License-Identifier: MIT
// Writes every 16 bytes of a buffer once: index + seed in each word's own place.
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kSteps = 16u;
layout(set = 0, binding = 0) writeonly buffer Out { uvec4 data[]; };
layout(push_constant) uniform Push { uint n; uint seed; };

void main() {
  uint width = gl_WorkGroupSize.x;
  uint at = gl_WorkGroupID.x * width * kSteps + gl_LocalInvocationID.x;
  for (uint k = 0u; k < kSteps; ++k, at += width) {
    if (at < n) data[at] = uvec4(4u * at + seed) + uvec4(0u, 1u, 2u, 3u);
  }
}
