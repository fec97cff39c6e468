// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "engine/cpu/isa.h"

namespace engine::cpu {
namespace {

using Floats = std::vector<float>;

Floats random_floats(std::size_t n, float size = 1, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats x(n);
  for (float& value : x) value = normal(random) * size;
  return x;
}

/// Calls body(pool, what) for every set of instructions and some numbers of threads.
void everywhere(const std::function<void(ThreadPool& pool, const std::string& what)>& body) {
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    for (const unsigned n_threads : {1u, 3u}) {
      ThreadPool pool(n_threads);
      body(pool, std::string(to_string(isa)) + ", threads " + std::to_string(n_threads));
    }
  }
  force_isa(std::nullopt);
}

/// Each within `tolerance` of the right value's size, or of `least` where that is smaller.
void expect_near(const Floats& got, const std::vector<double>& right, double tolerance,
                 const std::string& what, double least = 1e-30) {
  ASSERT_EQ(got.size(), right.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double allowed = tolerance * std::max(std::fabs(right[i]), least);
    ASSERT_LE(std::fabs(double{got[i]} - right[i]), allowed)
        << what << ", element " << i << ": " << got[i] << " for " << right[i];
  }
}

constexpr std::size_t kWidths[] = {1, 3, 8, 15, 16, 17, 64, 80, 100, 2048, 5000};

TEST(RmsNorm, OfRowsWithAStride) {
  everywhere([](ThreadPool& pool, const std::string& what) {
    for (const std::size_t width : kWidths) {
      const std::size_t n_rows = 5, stride = width + 3;
      const Floats from = random_floats(n_rows * stride, 3), weight = random_floats(width, 1, 2);
      for (const float* w : {weight.data(), static_cast<const float*>(nullptr)}) {
        Floats to(from.size(), -7);
        rms_norm(pool, from.data(), n_rows, width, stride, w, 1e-5f, to.data());
        for (std::size_t row = 0; row < n_rows; ++row) {
          double squares = 0;
          for (std::size_t i = 0; i < width; ++i) {
            squares += std::pow(double{from[row * stride + i]}, 2);
          }
          const double factor = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
          std::vector<double> right;
          for (std::size_t i = 0; i < width; ++i) {
            right.push_back(from[row * stride + i] * factor * (w != nullptr ? double{w[i]} : 1.0));
          }
          const auto first = to.begin() + static_cast<std::ptrdiff_t>(row * stride);
          const auto end = first + static_cast<std::ptrdiff_t>(width);
          expect_near(Floats(first, end), right, 1e-6, what);
          if (row + 1 == n_rows) continue;
          EXPECT_EQ(*end, -7) << what;  // between rows nothing is touched
        }
        Floats in_place = from;
        rms_norm(pool, in_place.data(), n_rows, width, stride, w, 1e-5f, in_place.data());
        EXPECT_EQ(in_place[0], to[0]);
        EXPECT_EQ(in_place[width - 1], to[width - 1]);
      }
    }
  });
}

TEST(LayerNorm, WithAndWithoutWeightAndBias) {
  everywhere([](ThreadPool& pool, const std::string& what) {
    for (const std::size_t width : kWidths) {
      Floats from = random_floats(3 * width, 2);
      for (float& x : from) x += 5;
      const Floats weight = random_floats(width, 1, 2), bias = random_floats(width, 1, 3);
      for (const bool plain : {false, true}) {
        Floats to(from.size());
        layer_norm(pool, from.data(), 3, width, width, plain ? nullptr : weight.data(),
                   plain ? nullptr : bias.data(), 1e-5f, to.data());
        std::vector<double> right;
        for (std::size_t row = 0; row < 3; ++row) {
          double mean = 0, squares = 0;
          for (std::size_t i = 0; i < width; ++i) mean += from[row * width + i];
          mean /= static_cast<double>(width);
          for (std::size_t i = 0; i < width; ++i) {
            squares += std::pow(from[row * width + i] - mean, 2);
          }
          const double factor = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
          for (std::size_t i = 0; i < width; ++i) {
            const double x = (from[row * width + i] - mean) * factor;
            right.push_back(plain ? x : x * double{weight[i]} + double{bias[i]});
          }
        }
        // The mean is a float: its error counts against what is left of 5. A row of one element
        // has no deviation at all.
        if (width > 1) expect_near(to, right, 3e-6, what, 3);
      }
    }
  });
}

TEST(Ranges, AddScaleAndSoftcap) {
  everywhere([](ThreadPool& pool, const std::string& what) {
    for (const std::size_t n : {1u, 17u, 100u, 8192u, 8193u, 50'000u}) {
      const Floats a = random_floats(n, 30), b = random_floats(n, 30, 2);
      Floats sum = b, scaled(n), capped(n);
      add(pool, a.data(), n, sum.data());
      scale(pool, a.data(), n, -2.5f, scaled.data());
      softcap(pool, a.data(), n, 30.0f, capped.data());
      std::vector<double> right_cap;
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(sum[i], a[i] + b[i]) << what;
        ASSERT_EQ(scaled[i], a[i] * -2.5f) << what;
        right_cap.push_back(30 * std::tanh(double{a[i]} / 30));
      }
      expect_near(capped, right_cap, 6e-7, what);
    }
  });
}

double right_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::relu_squared:
      return std::pow(std::max(x, 0.0), 2);
    case Activation::swiglu_oai:
      break;
  }
  return 0;
}

TEST(Activate, EveryFunctionGatedAndAlone) {
  everywhere([](ThreadPool& pool, const std::string& what) {
    for (const auto activation : {Activation::silu, Activation::gelu, Activation::relu_squared}) {
      for (const std::size_t width : {1u, 19u, 64u, 9000u}) {
        const std::size_t n_rows = 3, stride = 2 * width + 1;
        Floats in = random_floats(n_rows * stride, 4);
        in[0] = 100;
        if (width > 4) in[1] = -100, in[2] = 0, in[3] = -1e-6f, in[4] = -20;
        for (const bool gated : {true, false}) {
          Floats to(n_rows * width);
          activate(pool, activation, in.data(), gated ? in.data() + width : nullptr, n_rows, width,
                   stride, to.data());
          std::vector<double> right;
          for (std::size_t row = 0; row < n_rows; ++row) {
            for (std::size_t i = 0; i < width; ++i) {
              const double x = right_activation(activation, double{in[row * stride + i]});
              right.push_back(gated ? x * double{in[row * stride + width + i]} : x);
            }
          }
          // Far out, the exponent's own rounding is what errors are made of; they are tiny numbers.
          expect_near(to, right, 2e-6, what + " function " + std::to_string(int(activation)), 1e-5);
        }
      }
    }
  });
}

TEST(Activate, SwigluOfGptOss) {
  everywhere([](ThreadPool& pool, const std::string& what) {
    const std::size_t width = 77;
    const Floats in = random_floats(4 * width, 8);
    Floats to(2 * width);
    activate(pool, Activation::swiglu_oai, in.data(), in.data() + width, 2, width, 2 * width,
             to.data());
    std::vector<double> right;
    for (std::size_t row = 0; row < 2; ++row) {
      for (std::size_t i = 0; i < width; ++i) {
        const double g = std::min(double{in[row * 2 * width + i]}, 7.0);
        const double u = std::clamp(double{in[row * 2 * width + width + i]}, -7.0, 7.0);
        right.push_back(g / (1 + std::exp(-1.702 * g)) * (u + 1));
      }
    }
    expect_near(to, right, 3e-6, what, 1e-4);
  });
}

TEST(Rotate, PairsPartsAndMagnitude) {
  everywhere([](ThreadPool& pool, const std::string& what) {
    for (const auto pairs : {Rope::Pairs::adjacent, Rope::Pairs::halves}) {
      for (const auto& [n_rotated, head_dim] :
           {std::pair{2u, 8u}, std::pair{8u, 8u}, std::pair{20u, 80u}, std::pair{64u, 64u},
            std::pair{96u, 128u}}) {
        const std::uint32_t n_heads = 3;
        const std::size_t stride = n_heads * head_dim + 5;
        Floats frequencies;
        for (std::uint32_t i = 0; i < n_rotated / 2; ++i) {
          frequencies.push_back(
              std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(n_rotated)));
        }
        const std::vector<std::uint32_t> positions = {0, 1, 77, 131071};
        const Rope rope{pairs, n_rotated, frequencies, 1.25f};
        const Floats before = random_floats(positions.size() * stride);
        std::vector<double> right(before.begin(), before.end());
        for (std::size_t row = 0; row < positions.size(); ++row) {
          for (std::uint32_t head = 0; head < n_heads; ++head) {
            double* x = right.data() + row * stride + std::size_t{head} * head_dim;
            for (std::uint32_t i = 0; i < n_rotated / 2; ++i) {
              const bool adjacent = pairs == Rope::Pairs::adjacent;
              double& a = x[adjacent ? 2 * i : i];
              double& b = x[adjacent ? 2 * i + 1 : i + n_rotated / 2];
              const double angle = double{frequencies[i]} * positions[row];
              const double c = 1.25 * std::cos(angle), s = 1.25 * std::sin(angle);
              const double turned = a * c - b * s;
              b = a * s + b * c;
              a = turned;
            }
          }
        }
        RopeTable table;
        table.set(pool, rope, positions);
        Floats x = before;
        rotate(pool, table, n_heads, head_dim, stride, x.data());
        expect_near(x, right, 5e-7, what, 1);
      }
    }
  });
}

TEST(Softmax, OfLogits) {
  everywhere([](ThreadPool&, const std::string& what) {
    for (const std::size_t n : {1u, 5u, 16u, 33u, 32000u}) {
      for (const float size : {1.0f, 1e4f}) {
        Floats x = random_floats(n, size);
        const double most = double{*std::max_element(x.begin(), x.end())};
        std::vector<double> right;
        double total = 0;
        for (const float value : x) {
          right.push_back(std::exp(double{value} - most));
          total += right.back();
        }
        for (double& value : right) value /= total;
        softmax(x.data(), n, x.data());
        // e^(x - greatest) of a float difference: half a unit of it is lost before the exponent.
        expect_near(x, right, size > 1 ? 1e-3 : 2e-6, what, 1e-12);
      }
    }
  });
}

}  // namespace
}  // namespace engine::cpu
