// SPDX-License-Identifier: MIT
#include "engine/quant/block_tq.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>

#include "engine/quant/block_access.h"

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

// The scale whose nearest digits leave the least error: from each of a row of thresholds, the mean
// of the weights beyond it, until the threshold is half of that mean.
Ternary fit_ternary(const float* from, const float* importance) {
  std::array<float, 256> size;
  float most = 0;
  for (std::size_t i = 0; i < 256; ++i) {
    size[i] = std::fabs(from[i]) <= FLT_MAX ? std::fabs(from[i]) : 0.0f;
    most = std::max(most, size[i]);
  }
  double best = 0, best_gain = 0;
  const auto mean_beyond = [&](double threshold) {
    const auto beyond = static_cast<float>(threshold);
    double sum = 0, weight = 0;
    for (std::size_t i = 0; i < 256; ++i) {
      const double w = size[i] > beyond
                           ? (importance != nullptr ? static_cast<double>(importance[i]) : 1.0)
                           : 0.0;
      sum += w * static_cast<double>(size[i]);
      weight += w;
    }
    if (!(weight > 0)) return 0.0;
    const double mean = sum / weight;
    if (mean * sum > best_gain) {
      best_gain = mean * sum;
      best = mean;
    }
    return mean;
  };
  for (int i = 0; i < 8; ++i) {
    double threshold = static_cast<double>(most) * (i + 0.5) / 8;
    for (int round = 0; round < 3; ++round) threshold = mean_beyond(threshold) / 2;
  }
  Ternary result{.d = to_half(within_half(static_cast<float>(best))), .digits = {}};
  const float half = fp16_to_float(result.d) / 2;
  for (std::size_t i = 0; i < 256; ++i) {
    const unsigned beyond = size[i] > half ? 1 : 0;
    result.digits[i] = static_cast<std::uint8_t>(from[i] < 0 ? 1 - beyond : 1 + beyond);
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
