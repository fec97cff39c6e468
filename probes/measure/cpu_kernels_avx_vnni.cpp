// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__AVXVNNI__)
#include <immintrin.h>
#endif

namespace probes {

#if defined(__AVXVNNI__)
namespace {

void run(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const __m256i a = _mm256_load_si256(reinterpret_cast<const __m256i*>(input->a));
  const __m256i b = _mm256_load_si256(reinterpret_cast<const __m256i*>(input->b));
#define TOKWATT_START(i) __m256i acc##i = _mm256_set1_epi32(i);
  TOKWATT_REPEAT_12(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
// Not the intrinsic: g++ 12 copies the accumulators to and fro around it.
#define TOKWATT_STEP(i) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc##i) : "x"(a), "x"(b));
    TOKWATT_REPEAT_12(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  __m256i sum = _mm256_setzero_si256();
#define TOKWATT_ADD(i) sum = _mm256_add_epi32(sum, acc##i);
  TOKWATT_REPEAT_12(TOKWATT_ADD)
#undef TOKWATT_ADD
  _mm256_store_si256(reinterpret_cast<__m256i*>(result->lane), sum);
}

constexpr PeakKernel kKernel = {"vpdpbusd ymm", PeakMath::int8_u8s8, 8, 12, 12, 2 * 32, run};

}  // namespace

const PeakKernel* avx_vnni_int8_kernel() {
  return &kKernel;
}
#else
const PeakKernel* avx_vnni_int8_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
