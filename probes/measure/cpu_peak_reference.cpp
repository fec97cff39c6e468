// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_peak_reference.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <memory>
#include <random>

namespace probes {
namespace {

template <class T>
T element(const std::uint8_t* bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

float bf16(const std::uint8_t* bytes, std::size_t index) {
  return std::bit_cast<float>(std::uint32_t{element<std::uint16_t>(bytes, index)} << 16);
}

std::int32_t signed8(const std::uint8_t* bytes, std::size_t index) {
  return element<std::int8_t>(bytes, index);
}

/// What one sequence adds to a lane of integers.
std::int32_t int8_gain(PeakMath math, const PeakInput& in, std::size_t lane) {
  std::int32_t sum = 0;
  if (math == PeakMath::int8_tile) {
    const std::size_t row = lane / 16, column = lane % 16;
    for (std::size_t k = 0; k < 64; ++k)
      sum += signed8(in.a, row * 64 + k) * signed8(in.b, k / 4 * 64 + column * 4 + k % 4);
  } else if (math == PeakMath::int8_matrix) {
    for (std::size_t k = 0; k < 8; ++k)
      sum += signed8(in.a, lane / 2 * 8 + k) * signed8(in.b, lane % 2 * 8 + k);
  } else {
    for (std::size_t k = lane * 4; k < lane * 4 + 4; ++k)
      sum += (math == PeakMath::int8_u8s8 ? std::int32_t{in.a[k]} : signed8(in.a, k)) *
             signed8(in.b, k);
  }
  return sum;
}

float float_gain(PeakMath math, const PeakInput& in, std::size_t lane) {
  if (math == PeakMath::fp32_fma) return element<float>(in.a, lane) * element<float>(in.b, lane);
  float sum = 0;
  if (math == PeakMath::bf16_tile) {
    const std::size_t row = lane / 16, column = lane % 16;
    for (std::size_t k = 0; k < 32; ++k)
      sum += bf16(in.a, row * 32 + k) * bf16(in.b, k / 2 * 32 + column * 2 + k % 2);
  } else {
    for (std::size_t k = lane * 2; k < lane * 2 + 2; ++k) sum += bf16(in.a, k) * bf16(in.b, k);
  }
  return sum;
}

bool is_real(PeakMath math) {
  return math == PeakMath::fp32_fma || math == PeakMath::bf16_pairs || math == PeakMath::bf16_tile;
}

}  // namespace

void fill_peak_input(PeakMath math, std::uint32_t seed, PeakInput* input) {
  std::mt19937 random(seed);
  // Eighths up to 4 in size: products are 64ths below 16.
  const auto eighth = [&] { return (static_cast<float>(random() % 63) - 31.0f) / 8.0f; };
  for (std::uint8_t* bytes : {input->a, input->b}) {
    if (math == PeakMath::fp32_fma) {
      for (std::size_t i = 0; i < kPeakBytes / 4; ++i) {
        const float value = eighth();
        std::memcpy(bytes + i * 4, &value, 4);
      }
    } else if (is_real(math)) {
      for (std::size_t i = 0; i < kPeakBytes / 2; ++i) {
        // Five bits and a sign fit into the eight of bf16.
        const auto word = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(eighth()) >> 16);
        std::memcpy(bytes + i * 2, &word, 2);
      }
    } else {
      // Below 128, so that pairs do not saturate in 16 bits where AVX2 adds them.
      for (std::size_t i = 0; i < kPeakBytes; ++i)
        bytes[i] = static_cast<std::uint8_t>(bytes == input->a ? random() % 128 : random() % 256);
    }
  }
}

std::vector<std::uint32_t> peak_reference(const PeakKernel& kernel, const PeakInput& input,
                                          std::uint64_t steps) {
  const unsigned chains = kernel.accumulators;
  const unsigned starts = chains * (chains - 1) / 2;  // 0 + 1 + 2...
  const auto gains = steps * kernel.sequences_per_step;
  std::vector<std::uint32_t> lanes;
  for (std::size_t lane = 0; lane < kernel.lanes; ++lane) {
    if (is_real(kernel.math)) {
      const float start =
          kernel.math == PeakMath::fp32_fma ? static_cast<float>(starts + chains) : 0;
      lanes.push_back(std::bit_cast<std::uint32_t>(
          start + static_cast<float>(gains) * float_gain(kernel.math, input, lane)));
    } else {
      const std::uint32_t start = kernel.math == PeakMath::int8_tile ? 0 : starts;
      const auto gain = static_cast<std::uint32_t>(int8_gain(kernel.math, input, lane));
      lanes.push_back(start + static_cast<std::uint32_t>(gains) * gain);
    }
  }
  return lanes;
}

std::string check_peak_kernel(const PeakKernel& kernel) {
  const auto input = std::make_unique<PeakInput>();
  const auto result = std::make_unique<PeakResult>();
  fill_peak_input(kernel.math, 7, input.get());
  kernel.run(input.get(), kExactSteps, result.get());
  const std::vector<std::uint32_t> expected = peak_reference(kernel, *input, kExactSteps);
  for (std::size_t lane = 0; lane < expected.size(); ++lane) {
    const std::uint32_t got = result->lane[lane], want = expected[lane];
    // Floats as floats: a sum of 0 may have either sign.
    const bool same = is_real(kernel.math) ? std::bit_cast<float>(got) == std::bit_cast<float>(want)
                                           : got == want;
    if (!same)
      return fmt::format("{} gives {:#x} in lane {}, expected {:#x}", kernel.instruction, got, lane,
                         want);
  }
  return "";
}

}  // namespace probes
