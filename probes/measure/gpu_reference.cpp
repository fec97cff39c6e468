// SPDX-License-Identifier: MIT
#include "probes/measure/gpu_reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace probes::gpu_reference {
namespace {

using engine::NumberType;

constexpr std::uint32_t kStepsPerTurn = 8;
constexpr std::uint32_t kFactorsAt = 32;  // entries behind the thread's own

template <class T>
T read_as(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

double half_value(std::uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 0x1F, mantissa = bits & 0x3FF;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

std::uint32_t dot_4x8(std::uint32_t a, std::uint32_t b) {
  std::int32_t sum = 0;
  for (int i = 0; i < 4; ++i)
    sum += static_cast<std::int8_t>(a >> (8 * i)) * static_cast<std::int8_t>(b >> (8 * i));
  return static_cast<std::uint32_t>(sum);
}

}  // namespace

std::uint32_t hash(std::uint32_t x) {
  const std::uint32_t state = x * 747796405U + 2891336453U;
  const std::uint32_t word = ((state >> ((state >> 28U) + 4U)) ^ state) * 277803737U;
  return (word >> 22U) ^ word;
}

std::uint32_t sum_of_words(std::uint32_t first, std::uint32_t n, std::uint32_t seed) {
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < n; ++i) sum += hash(first + i + seed);
  return sum;
}

double rounded_to_half(double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  const int quantum = std::max(exponent - 11, -24);
  return std::ldexp(std::nearbyint(std::ldexp(value, -quantum)), quantum);
}

double element(NumberType type, std::span<const std::byte> bytes, std::size_t index) {
  switch (type) {
    case NumberType::float16:
      return half_value(read_as<std::uint16_t>(bytes, index));
    case NumberType::bfloat16:
      return std::bit_cast<float>(std::uint32_t{read_as<std::uint16_t>(bytes, index)} << 16);
    case NumberType::float32:
      return read_as<float>(bytes, index);
    case NumberType::sint8:
      return read_as<std::int8_t>(bytes, index);
    case NumberType::uint8:
      return read_as<std::uint8_t>(bytes, index);
    case NumberType::sint32:
      return read_as<std::int32_t>(bytes, index);
    case NumberType::uint32:
      return read_as<std::uint32_t>(bytes, index);
    case NumberType::other:
      break;
  }
  return std::nan("");
}

std::uint32_t chain_result(const ChainForm& form, std::span<const std::uint32_t> words,
                           std::uint32_t id, std::uint32_t turns, float factor) {
  const std::uint32_t steps = turns * kStepsPerTurn;
  const auto n = static_cast<std::uint32_t>(words.size());
  if (form.type == NumberType::sint8) {
    const std::uint32_t b = words[(id + kFactorsAt) % n];
    std::uint32_t sum = 0;
    for (std::uint32_t c = 0; c < form.chains; ++c) {
      std::uint32_t chain = words[(id + c) % n];
      for (std::uint32_t k = 0; k < steps; ++k) chain += dot_4x8(chain, b);
      sum ^= chain;
    }
    return sum;
  }
  const auto component = [&](std::uint32_t entry, std::uint32_t i) {
    return std::bit_cast<float>(words[(4 * (id + entry) + i) % n]);
  };
  const bool half = form.type == NumberType::float16;
  const std::uint32_t width = half ? 2 : 4;
  const std::uint32_t entries = half ? form.chains : form.chains / 4;
  double sum = 0;
  for (std::uint32_t c = 0; c < entries; ++c) {
    for (std::uint32_t i = 0; i < width; ++i) {
      const std::uint32_t from = form.factors == Factors::own || half ? i : 0;
      float x = 0.5F + 0.25F * component(kFactorsAt, from);
      if (form.factors == Factors::constant && !half) x = factor;
      const float y = component(kFactorsAt + 1, from);
      if (half) {
        const double hx = rounded_to_half(x), hy = rounded_to_half(y);
        double chain = rounded_to_half(component(c, i));
        for (std::uint32_t k = 0; k < steps; ++k) chain = rounded_to_half(chain * hx + hy);
        sum += chain;
      } else {
        float chain = component(c, i);
        for (std::uint32_t k = 0; k < steps; ++k) chain = std::fma(chain, x, y);
        sum += static_cast<double>(chain);
      }
    }
  }
  return std::bit_cast<std::uint32_t>(static_cast<float>(sum));
}

}  // namespace probes::gpu_reference
