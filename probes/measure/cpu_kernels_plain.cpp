// SPDX-License-Identifier: MIT
// For processors that the other files do not know, and the truth that tests hold the others to.
#include "probes/measure/cpu_kernels.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace probes {
namespace {

std::uint64_t word_at(const std::uint8_t* p) {
  std::uint64_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return word;
}

std::uint64_t read(const std::uint8_t* first, std::size_t stride, unsigned streams,
                   std::size_t bytes) {
  std::uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (std::size_t at = 0; at < bytes; at += 64) {
    for (unsigned s = 0; s < streams; ++s) {
      const std::uint8_t* p = first + s * stride + at;
      s0 += word_at(p) + word_at(p + 32);
      s1 += word_at(p + 8) + word_at(p + 40);
      s2 += word_at(p + 16) + word_at(p + 48);
      s3 += word_at(p + 24) + word_at(p + 56);
    }
  }
  return s0 + s1 + s2 + s3;
}

#if defined(__SSE2__)
// All 64-bit x86 processors have these.
constexpr const char* kStores = "non-temporal stores";

void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 16) {
    const __m128i x = _mm_load_si128(reinterpret_cast<const __m128i*>(from + at));
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + at), x);
  }
  _mm_sfence();
}

void triad(float* to, const float* a, const float* b, float factor, std::size_t bytes) {
  const __m128 f = _mm_set1_ps(factor);
  for (std::size_t i = 0; i < bytes / sizeof(float); i += 4)
    _mm_stream_ps(to + i, _mm_add_ps(_mm_load_ps(a + i), _mm_mul_ps(f, _mm_load_ps(b + i))));
  _mm_sfence();
}
#else
constexpr const char* kStores =
    "ordinary stores (the processor may also read the lines it writes, which is not counted)";

void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  __builtin_memcpy(to, from, bytes);
}

void triad(float* to, const float* a, const float* b, float factor, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / sizeof(float); ++i) to[i] = a[i] + factor * b[i];
}
#endif

constexpr StreamKernels kStreams = {"plain C++", kStores, read, copy, triad};

constexpr unsigned kChains = 8;

void run_multiply_add(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  constexpr std::size_t kLanes = 8;
  float a[kLanes], b[kLanes], acc[kChains][kLanes];
  __builtin_memcpy(a, input->a, sizeof(a));
  __builtin_memcpy(b, input->b, sizeof(b));
  for (std::size_t i = 0; i < kChains; ++i) {
    for (float& value : acc[i]) value = 1.0f + static_cast<float>(i);
  }
  for (std::uint64_t step = 0; step < steps; ++step) {
    for (auto& row : acc) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) row[lane] += a[lane] * b[lane];
    }
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    float sum = 0;
    for (const auto& row : acc) sum += row[lane];
    __builtin_memcpy(&result->lane[lane], &sum, sizeof(sum));
  }
}

constexpr PeakKernel kMultiplyAdd = {"a multiplication and an addition as compiled, FP32",
                                     PeakMath::fp32_fma,
                                     8,
                                     kChains,
                                     kChains,
                                     2 * 8,
                                     run_multiply_add};

}  // namespace

const StreamKernels* plain_stream_kernels() {
  return &kStreams;
}
const PeakKernel* plain_fp32_kernel() {
  return &kMultiplyAdd;
}

// Of two registers: recent Intel processors add a small constant without any wait.
#define TOKWATT_ADD_4(ADD) ADD ADD ADD ADD
#define TOKWATT_ADD_32(ADD) TOKWATT_ADD_4(TOKWATT_ADD_4(ADD)) TOKWATT_ADD_4(TOKWATT_ADD_4(ADD))

bool run_add_chain([[maybe_unused]] std::uint64_t steps) {
#if defined(__x86_64__)
  std::uint64_t sum = steps;
  const std::uint64_t one = 1;
  for (std::uint64_t step = 0; step < steps; ++step)
    __asm__ volatile(TOKWATT_ADD_32("add %1, %0\n\t") : "+r"(sum) : "r"(one));
  return true;
#elif defined(__aarch64__)
  std::uint64_t sum = steps;
  const std::uint64_t one = 1;
  for (std::uint64_t step = 0; step < steps; ++step)
    __asm__ volatile(TOKWATT_ADD_32("add %0, %0, %1\n\t") : "+r"(sum) : "r"(one));
  return true;
#else
  return false;
#endif
}

}  // namespace probes
