// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_repeat.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace probes {

#if defined(__AVX2__) && defined(__FMA__)
namespace {

__m256i load(const std::uint8_t* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}

std::uint64_t read(const std::uint8_t* first, std::size_t stride, unsigned streams,
                   std::size_t bytes) {
  __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
  for (std::size_t at = 0; at < bytes; at += 256) {
    for (unsigned s = 0; s < streams; ++s) {
      const std::uint8_t* p = first + s * stride + at;
      s0 = _mm256_add_epi64(s0, load(p));
      s1 = _mm256_add_epi64(s1, load(p + 32));
      s2 = _mm256_add_epi64(s2, load(p + 64));
      s3 = _mm256_add_epi64(s3, load(p + 96));
      s0 = _mm256_add_epi64(s0, load(p + 128));
      s1 = _mm256_add_epi64(s1, load(p + 160));
      s2 = _mm256_add_epi64(s2, load(p + 192));
      s3 = _mm256_add_epi64(s3, load(p + 224));
    }
  }
  s0 = _mm256_add_epi64(_mm256_add_epi64(s0, s1), _mm256_add_epi64(s2, s3));
  alignas(32) std::uint64_t lane[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lane), s0);
  return lane[0] + lane[1] + lane[2] + lane[3];
}

void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 64) {
    const __m256i x = load(from + at);
    const __m256i y = load(from + at + 32);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at), x);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at + 32), y);
  }
  _mm_sfence();
}

void triad(float* to, const float* a, const float* b, float factor, std::size_t bytes) {
  const __m256 f = _mm256_set1_ps(factor);
  for (std::size_t i = 0; i < bytes / sizeof(float); i += 16) {
    const __m256 x = _mm256_fmadd_ps(f, _mm256_load_ps(b + i), _mm256_load_ps(a + i));
    const __m256 y = _mm256_fmadd_ps(f, _mm256_load_ps(b + i + 8), _mm256_load_ps(a + i + 8));
    _mm256_stream_ps(to + i, x);
    _mm256_stream_ps(to + i + 8, y);
  }
  _mm_sfence();
}

constexpr StreamKernels kStreams = {"AVX2", "non-temporal stores", read, copy, triad};

void run_fma(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const __m256 a = _mm256_castsi256_ps(load(input->a));
  const __m256 b = _mm256_castsi256_ps(load(input->b));
#define TOKWATT_START(i) __m256 acc##i = _mm256_set1_ps(1.0f + i);
  TOKWATT_REPEAT_12(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
#define TOKWATT_STEP(i) acc##i = _mm256_fmadd_ps(a, b, acc##i);
    TOKWATT_REPEAT_12(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  __m256 sum = _mm256_setzero_ps();
#define TOKWATT_ADD(i) sum = _mm256_add_ps(sum, acc##i);
  TOKWATT_REPEAT_12(TOKWATT_ADD)
#undef TOKWATT_ADD
  _mm256_store_si256(reinterpret_cast<__m256i*>(result->lane), _mm256_castps_si256(sum));
}

void run_maddubs(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  const __m256i a = load(input->a);
  const __m256i b = load(input->b);
  const __m256i ones = _mm256_set1_epi16(1);
#define TOKWATT_START(i) __m256i acc##i = _mm256_set1_epi32(i);
  TOKWATT_REPEAT_12(TOKWATT_START)
#undef TOKWATT_START
  for (std::uint64_t step = 0; step < steps; ++step) {
    // Not intrinsics: the products are the same each time and would be made once.
#define TOKWATT_STEP(i)               \
  {                                   \
    __m256i t;                        \
    __asm__(                          \
        "vpmaddubsw %3, %2, %1\n\t"   \
        "vpmaddwd %4, %1, %1\n\t"     \
        "vpaddd %1, %0, %0"           \
        : "+x"(acc##i), "=&x"(t)      \
        : "x"(a), "x"(b), "x"(ones)); \
  }
    TOKWATT_REPEAT_12(TOKWATT_STEP)
#undef TOKWATT_STEP
  }
  __m256i sum = _mm256_setzero_si256();
#define TOKWATT_ADD(i) sum = _mm256_add_epi32(sum, acc##i);
  TOKWATT_REPEAT_12(TOKWATT_ADD)
#undef TOKWATT_ADD
  _mm256_store_si256(reinterpret_cast<__m256i*>(result->lane), sum);
}

constexpr PeakKernel kFma = {"vfmadd ymm, FP32", PeakMath::fp32_fma, 8, 12, 12, 2 * 8, run_fma};
constexpr PeakKernel kMaddubs = {
    "vpmaddubsw + vpmaddwd + vpaddd ymm", PeakMath::int8_u8s8, 8, 12, 12, 2 * 32, run_maddubs};

}  // namespace

const StreamKernels* avx2_stream_kernels() {
  return &kStreams;
}
const PeakKernel* avx2_fp32_kernel() {
  return &kFma;
}
const PeakKernel* avx2_int8_kernel() {
  return &kMaddubs;
}
#else
const StreamKernels* avx2_stream_kernels() {
  return nullptr;
}
const PeakKernel* avx2_fp32_kernel() {
  return nullptr;
}
const PeakKernel* avx2_int8_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
