// SPDX-License-Identifier: MIT
// Random words: the hash of the index (PCG's output function), the same as on the host.
#version 450
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) writeonly buffer Out { uint words[]; };
layout(push_constant) uniform Push { uint n; uint seed; };

uint hash(uint x) {
  uint state = x * 747796405u + 2891336453u;
  uint word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

void main() {
  uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
  for (uint i = gl_GlobalInvocationID.x; i < n; i += stride) words[i] = hash(i + seed);
}
