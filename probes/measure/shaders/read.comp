// SPDX-License-Identifier: MIT
// Sums a buffer: each workgroup reads one contiguous chunk, 16 bytes a thread and step. More workgroups than chunks
// read the same again.
#version 450
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kSteps = 16u;  // a multiple of 8
layout(set = 0, binding = 0) readonly buffer In { uvec4 data[]; };
layout(set = 0, binding = 1) writeonly buffer Out { uint sums[]; };
layout(push_constant) uniform Push { uint n; uint chunks; };

shared uint partial[gl_WorkGroupSize.x];

void main() {
  uint t = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;
  uint chunk = gl_WorkGroupID.x % chunks;
  uint base = chunk * width * kSteps + t;
  uvec4 sum = uvec4(0u);
  if (base + (kSteps - 1u) * width < n) {
    for (uint k = 0u; k < kSteps; k += 8u) {
      uint at = base + k * width;
      uvec4 a = data[at], b = data[at + width], c = data[at + 2u * width], d = data[at + 3u * width];
      uvec4 e = data[at + 4u * width], f = data[at + 5u * width], g = data[at + 6u * width], h = data[at + 7u * width];
      sum += ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
  } else {
    for (uint k = 0u; k < kSteps; ++k) {
      if (base + k * width < n) sum += data[base + k * width];
    }
  }
  partial[t] = sum.x + sum.y + sum.z + sum.w;
  for (uint half_width = width / 2u; half_width > 0u; half_width /= 2u) {
    barrier();
    if (t < half_width) partial[t] += partial[t + half_width];
  }
  if (t == 0u) sums[chunk] = partial[0];
}
