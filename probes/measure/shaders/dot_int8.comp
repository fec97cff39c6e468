// SPDX-License-Identifier: MIT
// CHAINS chains of packed 4 x int8 dot products a thread, 8 steps a turn, four multiplications and four additions
// each. The accumulator's own bytes are one operand, so no step can be left out or moved.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_spirv_intrinsics : require
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer In { int data[]; };
layout(set = 0, binding = 1) writeonly buffer Out { int sums[]; };
layout(push_constant) uniform Push { uint turns; uint mask; uint out_mask; float factor; };

// OpSDot with the literal PackedVectorFormat4x8Bit: this GLSL compiler has no name for it.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int dot_4x8(int a, int b, spirv_literal int format);

// Invocations whose ids agree below the masks compute the same and write it to the same place.
void main() {
  uint id = gl_GlobalInvocationID.x;
  int b = data[(id + 32u) & mask];
  int chain[CHAINS];
  [[unroll]] for (uint c = 0u; c < CHAINS; ++c) chain[c] = data[(id + c) & mask];
  for (uint turn = 0u; turn < turns; ++turn) {
    [[unroll]] for (uint k = 0u; k < 8u; ++k) {
      [[unroll]] for (uint c = 0u; c < CHAINS; ++c) chain[c] += dot_4x8(chain[c], b, 0);
    }
  }
  int sum = 0;
  [[unroll]] for (uint c = 0u; c < CHAINS; ++c) sum ^= chain[c];
  sums[id & out_mask] = sum;
}
