// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace probes {

#if defined(__aarch64__)
namespace {

uint64x2_t load(const std::uint8_t* p) {
  return vreinterpretq_u64_u8(vld1q_u8(p));
}

std::uint64_t read(const std::uint8_t* first, std::size_t stride, unsigned streams,
                   std::size_t bytes) {
  uint64x2_t s0 = vdupq_n_u64(0), s1 = s0, s2 = s0, s3 = s0;
  for (std::size_t at = 0; at < bytes; at += 128) {
    for (unsigned s = 0; s < streams; ++s) {
      const std::uint8_t* p = first + s * stride + at;
      s0 = vaddq_u64(s0, load(p));
      s1 = vaddq_u64(s1, load(p + 16));
      s2 = vaddq_u64(s2, load(p + 32));
      s3 = vaddq_u64(s3, load(p + 48));
      s0 = vaddq_u64(s0, load(p + 64));
      s1 = vaddq_u64(s1, load(p + 80));
      s2 = vaddq_u64(s2, load(p + 96));
      s3 = vaddq_u64(s3, load(p + 112));
    }
  }
  s0 = vaddq_u64(vaddq_u64(s0, s1), vaddq_u64(s2, s3));
  return vgetq_lane_u64(s0, 0) + vgetq_lane_u64(s0, 1);
}

void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 32) {
    const uint8x16_t x = vld1q_u8(from + at), y = vld1q_u8(from + at + 16);
    __asm__ volatile("stnp %q0, %q1, [%2]" : : "w"(x), "w"(y), "r"(to + at) : "memory");
  }
}

void triad(float* to, const float* a, const float* b, float factor, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / sizeof(float); i += 8) {
    const float32x4_t x = vfmaq_n_f32(vld1q_f32(a + i), vld1q_f32(b + i), factor);
    const float32x4_t y = vfmaq_n_f32(vld1q_f32(a + i + 4), vld1q_f32(b + i + 4), factor);
    __asm__ volatile("stnp %q0, %q1, [%2]" : : "w"(x), "w"(y), "r"(to + i) : "memory");
  }
}

constexpr StreamKernels kStreams = {
    "NEON", "non-temporal stores (a hint, which the processor may ignore)", read, copy, triad};

void run_fma(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const float32x4_t a = vreinterpretq_f32_u8(vld1q_u8(input->a));
  const float32x4_t b = vreinterpretq_f32_u8(vld1q_u8(input->b));
#define TOKWATT_START(i) float32x4_t acc##i = vdupq_n_f32(1.0f + i);
  TOKWATT_REPEAT_16(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
#define TOKWATT_STEP(i) acc##i = vfmaq_f32(acc##i, a, b);
    TOKWATT_REPEAT_16(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  float32x4_t sum = vdupq_n_f32(0);
#define TOKWATT_ADD(i) sum = vaddq_f32(sum, acc##i);
  TOKWATT_REPEAT_16(TOKWATT_ADD)
#undef TOKWATT_ADD
  vst1q_u32(result->lane, vreinterpretq_u32_f32(sum));
}

constexpr PeakKernel kFma = {"fmla 4s, FP32", PeakMath::fp32_fma, 4, 16, 16, 2 * 4, run_fma};

}  // namespace

const StreamKernels* neon_stream_kernels() {
  return &kStreams;
}
const PeakKernel* neon_fp32_kernel() {
  return &kFma;
}
#else
const StreamKernels* neon_stream_kernels() {
  return nullptr;
}
const PeakKernel* neon_fp32_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
