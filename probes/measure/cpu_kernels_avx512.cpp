// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace probes {

#if defined(__AVX512F__)
namespace {

std::uint64_t read(const std::uint8_t* first, std::size_t stride, unsigned streams,
                   std::size_t bytes) {
  __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
  for (std::size_t at = 0; at < bytes; at += 256) {
    for (unsigned s = 0; s < streams; ++s) {
      const std::uint8_t* p = first + s * stride + at;
      s0 = _mm512_add_epi64(s0, _mm512_load_si512(p));
      s1 = _mm512_add_epi64(s1, _mm512_load_si512(p + 64));
      s2 = _mm512_add_epi64(s2, _mm512_load_si512(p + 128));
      s3 = _mm512_add_epi64(s3, _mm512_load_si512(p + 192));
    }
  }
  s0 = _mm512_add_epi64(_mm512_add_epi64(s0, s1), _mm512_add_epi64(s2, s3));
  // Not _mm512_reduce_add_epi64: g++ 12 warns about its own header (GCC bug 105593).
  alignas(64) std::uint64_t lane[8];
  _mm512_store_si512(lane, s0);
  std::uint64_t sum = 0;
  for (const std::uint64_t word : lane) sum += word;
  return sum;
}

void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 128) {
    const __m512i x = _mm512_load_si512(from + at);
    const __m512i y = _mm512_load_si512(from + at + 64);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at), x);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at + 64), y);
  }
  _mm_sfence();
}

void triad(float* to, const float* a, const float* b, float factor, std::size_t bytes) {
  const __m512 f = _mm512_set1_ps(factor);
  for (std::size_t i = 0; i < bytes / sizeof(float); i += 32) {
    const __m512 x = _mm512_fmadd_ps(f, _mm512_load_ps(b + i), _mm512_load_ps(a + i));
    const __m512 y = _mm512_fmadd_ps(f, _mm512_load_ps(b + i + 16), _mm512_load_ps(a + i + 16));
    _mm512_stream_ps(to + i, x);
    _mm512_stream_ps(to + i + 16, y);
  }
  _mm_sfence();
}

constexpr StreamKernels kStreams = {"AVX-512", "non-temporal stores", read, copy, triad};

void run_fma(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const __m512 a = _mm512_load_ps(input->a);
  const __m512 b = _mm512_load_ps(input->b);
#define TOKWATT_START(i) __m512 acc##i = _mm512_set1_ps(1.0f + i);
  TOKWATT_REPEAT_24(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
#define TOKWATT_STEP(i) acc##i = _mm512_fmadd_ps(a, b, acc##i);
    TOKWATT_REPEAT_24(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  __m512 sum = _mm512_setzero_ps();
#define TOKWATT_ADD(i) sum = _mm512_add_ps(sum, acc##i);
  TOKWATT_REPEAT_24(TOKWATT_ADD)
#undef TOKWATT_ADD
  _mm512_store_si512(result->lane, _mm512_castps_si512(sum));
}

constexpr PeakKernel kFma = {"vfmadd zmm, FP32", PeakMath::fp32_fma, 16, 24, 24, 2 * 16, run_fma};

}  // namespace

const StreamKernels* avx512_stream_kernels() {
  return &kStreams;
}
const PeakKernel* avx512_fp32_kernel() {
  return &kFma;
}
#else
const StreamKernels* avx512_stream_kernels() {
  return nullptr;
}
const PeakKernel* avx512_fp32_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
