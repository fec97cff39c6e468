// SPDX-License-Identifier: MIT
#include "engine/quant/block_tq.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>

#include "engine/quant/block_access.h"
#include "engine/quant/lanes.h"

namespace engine::quant {
namespace {

// Digit n (0 the highest) of the base-three number in a byte of BlockTQ1_0.
unsigned digit_of(unsigned byte, unsigned n) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  return (byte * kPowers[n] & 255) * 3 >> 8;
}

// Five digits, first the highest.
std::uint8_t byte_of_digits(const std::array<unsigned, 5>& digits) {
  unsigned number = 0;
  for (const unsigned digit : digits) number = 3 * number + digit;
  return static_cast<std::uint8_t>((number * 256 + 242) / 243);
}

struct Ternary {
  Bits16 d;
  std::array<std::uint8_t, 256> digits;  // 0, 1, 2 for -d, 0, d
};

// The weights that a threshold leaves beyond it.
struct Beyond {
  double weight = 0, sum = 0;
  double mean() const { return weight > 0 ? sum / weight : 0; }
  // The squared error falls by mean * sum when these become their mean and the rest 0.
  bool gains_more_than(const Beyond& other) const {
    return sum * sum * other.weight > other.sum * other.sum * weight;
  }
};

// Magnitudes in classes of 1/16 of an octave below the largest: how many, and their sum.
class SizeClasses {
 public:
  void add(float size, float largest, float weight) {
    const std::int32_t below =
        std::bit_cast<std::int32_t>(largest) - std::bit_cast<std::int32_t>(size);
    Beyond& of =
        classes_[std::min<std::size_t>(static_cast<std::size_t>(below >> 19), kClasses - 1)];
    of.weight += static_cast<double>(weight);
    of.sum += static_cast<double>(weight) * static_cast<double>(size);
  }
  // The best of the thresholds between classes.
  Beyond best() const {
    Beyond beyond = classes_[0], best = classes_[0];
    for (std::size_t i = 1; i < kClasses; ++i) {
      beyond.weight += classes_[i].weight;
      beyond.sum += classes_[i].sum;
      if (best.weight <= 0 || beyond.gains_more_than(best)) best = beyond;
    }
    return best;
  }

 private:
  static constexpr std::size_t kClasses = 128;
  std::array<Beyond, kClasses> classes_{};
};

bool is_positive(float weight) {
  return weight > 0 && weight <= FLT_MAX;
}

// The mean of the magnitudes above a threshold.
float mean_above(const std::array<float, 256>& size, const std::array<float, 256>& weights,
                 float threshold) {
  Lanes sum = all_lanes(0), weight = all_lanes(0);
  for (std::size_t i = 0; i < 256; i += 4) {
    const Lanes s{size[i], size[i + 1], size[i + 2], size[i + 3]};
    const Lanes w{weights[i], weights[i + 1], weights[i + 2], weights[i + 3]};
    const Lanes counted = s > all_lanes(threshold) ? w : all_lanes(0);
    sum += counted * s;
    weight += counted;
  }
  const float total = weight[0] + weight[1] + weight[2] + weight[3];
  return total > 0 ? (sum[0] + sum[1] + sum[2] + sum[3]) / total : 0;
}

// The scale whose nearest digits leave the least error. The best class to cut at is a start; then
// the mean of what is beyond half of the last mean, which can only get better.
Ternary fit_ternary(const float* from, const float* importance) {
  std::array<float, 256> x, size, weights;
  std::int32_t most = 0;  // magnitudes compare like their bits
  for (std::size_t i = 0; i < 256; ++i) {
    x[i] = std::fabs(from[i]) <= FLT_MAX ? from[i] : 0.0f;
    size[i] = std::fabs(x[i]);
    most = std::max(most, std::bit_cast<std::int32_t>(size[i]));
  }
  weights.fill(1);
  if (importance != nullptr && std::any_of(importance, importance + 256, is_positive)) {
    const float heaviest = *std::max_element(importance, importance + 256, [](float a, float b) {
      return (is_positive(a) ? a : 0) < (is_positive(b) ? b : 0);
    });
    for (std::size_t i = 0; i < 256; ++i) {
      weights[i] = is_positive(importance[i]) ? importance[i] / heaviest : 0;
    }
  }
  const auto largest = std::bit_cast<float>(most);
  SizeClasses classes;
  for (std::size_t i = 0; i < 256; ++i) classes.add(size[i], largest, weights[i]);
  auto mean = static_cast<float>(classes.best().mean());
  for (int round = 0; round < 2; ++round) {
    mean = std::min(mean_above(size, weights, mean / 2), largest);  // sums may overflow
  }

  Ternary result{.d = to_half(within_half(mean)), .digits = {}};
  const float half = fp16_to_float(result.d) / 2;
  for (std::size_t i = 0; i < 256; ++i) {
    result.digits[i] =
        static_cast<std::uint8_t>(1 + (x[i] > half ? 1 : 0) - (x[i] < -half ? 1 : 0));
  }
  return result;
}

}  // namespace

void decode_tq1_0(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockTQ1_0* blocks = blocks_at<BlockTQ1_0>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const BlockTQ1_0& block = blocks[b];
    const float d = fp16_to_float(block.d);
    float* out = to + 256 * b;
    const auto write = [&](unsigned byte, unsigned n) {
      *out++ = d * (static_cast<float>(digit_of(byte, n)) - 1.0f);
    };
    for (unsigned n = 0; n < 5; ++n) {
      for (unsigned i = 0; i < 32; ++i) write(block.qs[i], n);
    }
    for (unsigned n = 0; n < 5; ++n) {
      for (unsigned i = 32; i < 48; ++i) write(block.qs[i], n);
    }
    for (unsigned n = 0; n < 4; ++n) {
      for (unsigned i = 0; i < 4; ++i) write(block.qh[i], n);
    }
  }
}

void decode_tq2_0(const std::byte* from, std::size_t n_weights, float* to) {
  const BlockTQ2_0* blocks = blocks_at<BlockTQ2_0>(from);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const float d = fp16_to_float(blocks[b].d);
    for (unsigned j = 0; j < 256; ++j) {
      const int q = blocks[b].qs[j / 128 * 32 + j % 32] >> (j / 32 % 4 * 2) & 3;
      to[256 * b + j] = d * static_cast<float>(q - 1);
    }
  }
}

void encode_tq1_0(const float* from, std::size_t n_weights, const float* importance,
                  std::byte* to) {
  BlockTQ1_0* blocks = blocks_at<BlockTQ1_0>(to);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const Ternary fit =
        fit_ternary(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr);
    const auto digit = [&](std::size_t i) { return static_cast<unsigned>(fit.digits[i]); };
    BlockTQ1_0& block = blocks[b];
    block.d = fit.d;
    for (std::size_t i = 0; i < 32; ++i) {
      block.qs[i] =
          byte_of_digits({digit(i), digit(32 + i), digit(64 + i), digit(96 + i), digit(128 + i)});
    }
    for (std::size_t i = 0; i < 16; ++i) {
      block.qs[32 + i] = byte_of_digits(
          {digit(160 + i), digit(176 + i), digit(192 + i), digit(208 + i), digit(224 + i)});
    }
    for (std::size_t i = 0; i < 4; ++i) {
      block.qh[i] =
          byte_of_digits({digit(240 + i), digit(244 + i), digit(248 + i), digit(252 + i), 0});
    }
  }
}

void encode_tq2_0(const float* from, std::size_t n_weights, const float* importance,
                  std::byte* to) {
  BlockTQ2_0* blocks = blocks_at<BlockTQ2_0>(to);
  for (std::size_t b = 0; b < n_weights / 256; ++b) {
    const Ternary fit =
        fit_ternary(from + 256 * b, importance != nullptr ? importance + 256 * b : nullptr);
    blocks[b].d = fit.d;
    for (unsigned i = 0; i < 64; ++i) {
      const std::uint8_t* digits = fit.digits.data() + i / 32 * 128 + i % 32;
      blocks[b].qs[i] = static_cast<std::uint8_t>(digits[0] | digits[32] << 2 | digits[64] << 4 |
                                                  digits[96] << 6);
    }
  }
}

}  // namespace engine::quant
