// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

namespace probes {

#if defined(__ARM_FEATURE_DOTPROD)
namespace {

void run(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const int8x16_t a = vreinterpretq_s8_u8(vld1q_u8(input->a));
  const int8x16_t b = vreinterpretq_s8_u8(vld1q_u8(input->b));
#define TOKWATT_START(i) int32x4_t acc##i = vdupq_n_s32(i);
  TOKWATT_REPEAT_16(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
#define TOKWATT_STEP(i) acc##i = vdotq_s32(acc##i, a, b);
    TOKWATT_REPEAT_16(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  int32x4_t sum = vdupq_n_s32(0);
#define TOKWATT_ADD(i) sum = vaddq_s32(sum, acc##i);
  TOKWATT_REPEAT_16(TOKWATT_ADD)
#undef TOKWATT_ADD
  vst1q_u32(result->lane, vreinterpretq_u32_s32(sum));
}

constexpr PeakKernel kKernel = {"sdot 4s", PeakMath::int8_s8s8, 4, 16, 16, 2 * 16, run};

}  // namespace

const PeakKernel* neon_dotprod_int8_kernel() {
  return &kKernel;
}
#else
const PeakKernel* neon_dotprod_int8_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
