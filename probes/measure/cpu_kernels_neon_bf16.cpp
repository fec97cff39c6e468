// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include <arm_neon.h>
#endif

namespace probes {

#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
namespace {

void run(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const bfloat16x8_t a = vreinterpretq_bf16_u8(vld1q_u8(input->a));
  const bfloat16x8_t b = vreinterpretq_bf16_u8(vld1q_u8(input->b));
#define TOKWATT_START(i)               \
  float32x4_t acc##i = vdupq_n_f32(0); \
  __asm__("" : "+w"(acc##i));  // else all are one
  TOKWATT_REPEAT_16(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
#define TOKWATT_STEP(i) acc##i = vbfdotq_f32(acc##i, a, b);
    TOKWATT_REPEAT_16(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  float32x4_t sum = vdupq_n_f32(0);
#define TOKWATT_ADD(i) sum = vaddq_f32(sum, acc##i);
  TOKWATT_REPEAT_16(TOKWATT_ADD)
#undef TOKWATT_ADD
  vst1q_u32(result->lane, vreinterpretq_u32_f32(sum));
}

constexpr PeakKernel kKernel = {"bfdot 4s", PeakMath::bf16_pairs, 4, 16, 16, 2 * 8, run};

}  // namespace

const PeakKernel* neon_bf16_kernel() {
  return &kKernel;
}
#else
const PeakKernel* neon_bf16_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
