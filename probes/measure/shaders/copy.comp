// SPDX-License-Identifier: MIT
// Copies a buffer, four independent loads before their stores.
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kSteps = 16u;  // a multiple of 4
layout(set = 0, binding = 0) readonly buffer In { uvec4 from[]; };
layout(set = 0, binding = 1) writeonly buffer Out { uvec4 to[]; };
layout(push_constant) uniform Push { uint n; };

void main() {
  uint width = gl_WorkGroupSize.x;
  uint base = gl_WorkGroupID.x * width * kSteps + gl_LocalInvocationID.x;
  if (base + (kSteps - 1u) * width < n) {
    for (uint k = 0u; k < kSteps; k += 4u) {
      uint at = base + k * width;
      uvec4 a = from[at], b = from[at + width], c = from[at + 2u * width], d = from[at + 3u * width];
      to[at] = a;
      to[at + width] = b;
      to[at + 2u * width] = c;
      to[at + 3u * width] = d;
    }
  } else {
    for (uint k = 0u; k < kSteps; ++k) {
      if (base + k * width < n) to[base + k * width] = from[base + k * width];
    }
  }
}
