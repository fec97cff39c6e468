// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

namespace probes {

#if defined(__AVX512VNNI__)
namespace {

void run(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const __m512i a = _mm512_load_si512(input->a);
  const __m512i b = _mm512_load_si512(input->b);
#define TOKWATT_START(i) __m512i acc##i = _mm512_set1_epi32(i);
  TOKWATT_REPEAT_24(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
// Not the intrinsic: g++ 12 copies the accumulators to and fro around it.
#define TOKWATT_STEP(i) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc##i) : "v"(a), "v"(b));
    TOKWATT_REPEAT_24(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  __m512i sum = _mm512_setzero_si512();
#define TOKWATT_ADD(i) sum = _mm512_add_epi32(sum, acc##i);
  TOKWATT_REPEAT_24(TOKWATT_ADD)
#undef TOKWATT_ADD
  _mm512_store_si512(result->lane, sum);
}

constexpr PeakKernel kKernel = {"vpdpbusd zmm", PeakMath::int8_u8s8, 16, 24, 24, 2 * 64, run};

}  // namespace

const PeakKernel* avx512_vnni_int8_kernel() {
  return &kKernel;
}
#else
const PeakKernel* avx512_vnni_int8_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
