// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace probes {

#if defined(__AVX512BF16__)
namespace {

void run(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const __m512i a = _mm512_load_si512(input->a);
  const __m512i b = _mm512_load_si512(input->b);
#define TOKWATT_START(i)               \
  __m512 acc##i = _mm512_setzero_ps(); \
  __asm__("" : "+v"(acc##i));  // else all are one
  TOKWATT_REPEAT_24(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
// Not the intrinsic: g++ 12 copies the accumulators to and fro around it.
#define TOKWATT_STEP(i) __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc##i) : "v"(a), "v"(b));
    TOKWATT_REPEAT_24(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  __m512 sum = _mm512_setzero_ps();
#define TOKWATT_ADD(i) sum = _mm512_add_ps(sum, acc##i);
  TOKWATT_REPEAT_24(TOKWATT_ADD)
#undef TOKWATT_ADD
  _mm512_store_si512(result->lane, _mm512_castps_si512(sum));
}

constexpr PeakKernel kKernel = {"vdpbf16ps zmm", PeakMath::bf16_pairs, 16, 24, 24, 2 * 32, run};

}  // namespace

const PeakKernel* avx512_bf16_kernel() {
  return &kKernel;
}
#else
const PeakKernel* avx512_bf16_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
