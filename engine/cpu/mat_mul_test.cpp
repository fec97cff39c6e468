// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/cpu/isa.h"
#include "engine/quant/half.h"
#include "engine/quant/quant_codec.h"

namespace engine::cpu {
namespace {

using hwdb::TensorType;

/// Weights of one type, as in a file and as the floats that they mean.
struct Matrix {
  TensorType type;
  std::uint32_t n_rows, n_cols;
  std::vector<std::byte> rows;
  std::vector<float> values;
  std::vector<std::byte> panel_buffer;
  std::byte* panels = nullptr;
  std::size_t panel_bytes = 0;

  std::size_t row_bytes() const { return rows.size() / n_rows; }
};

/// Random bits with halves that are sane numbers, where a type's encoder is missing or would not
/// use all codes.
void fill_blocks(std::mt19937* random, TensorType type, Matrix* m) {
  const std::string name(hwdb::format_of(type).name);
  const std::size_t block = hwdb::format_of(type).block_bytes;
  for (std::byte& byte : m->rows) byte = static_cast<std::byte>((*random)());
  const auto put_half = [&](std::byte* to) {
    const float value = std::ldexp(1.0f + static_cast<float>((*random)() % 1024) / 1024.0f,
                                   -static_cast<int>(5 + (*random)() % 3));
    const std::uint16_t bits = quant::float_to_fp16((*random)() % 2 == 0 ? value : -value);
    std::memcpy(to, &bits, 2);
  };
  std::vector<std::size_t> halves;  // where they are in a block
  if (name == "F32") {
    for (std::size_t i = 0; i + 4 <= m->rows.size(); i += 4) {
      const float value = static_cast<float>(static_cast<int>((*random)() % 2001) - 1000) / 777.0f;
      std::memcpy(m->rows.data() + i, &value, 4);
    }
  } else if (name == "BF16") {
    for (std::size_t i = 0; i + 2 <= m->rows.size(); i += 2) {
      const float value = static_cast<float>(static_cast<int>((*random)() % 2001) - 1000) / 777.0f;
      const std::uint16_t bits = quant::float_to_bf16(value);
      std::memcpy(m->rows.data() + i, &bits, 2);
    }
  } else if (name == "MXFP4") {
    for (std::size_t i = 0; i < m->rows.size(); i += block)
      m->rows[i] = static_cast<std::byte>(120 + (*random)() % 10);
  } else if (name == "IQ1_M") {
    for (std::size_t i = 0; i < m->rows.size(); i += block) {
      const unsigned bits = 0x2c00u + (*random)() % 1024;
      for (std::size_t n = 0; n < 4; ++n) {
        std::byte& high = m->rows[i + 48 + 2 * n + 1];
        high = (high & std::byte{15}) | static_cast<std::byte>((bits >> (4 * n) & 15) << 4);
      }
    }
  } else {
    halves = {0};
    if (name == "Q4_1" || name == "Q5_1" || name == "Q4_K" || name == "Q5_K") halves = {0, 2};
    if (name == "Q2_K") halves = {80, 82};
    if (name == "Q3_K") halves = {108};
    if (name == "Q6_K") halves = {208};
    if (name == "TQ2_0") halves = {64};
    if (name == "TQ1_0") halves = {52};
  }
  for (std::size_t i = 0; i < m->rows.size(); i += block) {
    for (const std::size_t at : halves) put_half(m->rows.data() + i + at);
  }
}

void finish(Matrix* m) {
  m->values.resize(std::size_t{m->n_rows} * m->n_cols);
  find_quant_codec(m->type)->decode(m->rows.data(), m->values.size(), m->values.data());
  if (!has_panels(m->type)) return;
  m->panel_bytes = panel_bytes(m->type, m->n_rows, m->n_cols);
  m->panel_buffer.assign(m->panel_bytes + 64, std::byte{0xee});
  m->panels = m->panel_buffer.data() +
              (64 - reinterpret_cast<std::uintptr_t>(m->panel_buffer.data()) % 64) % 64;
  const std::uint32_t n_panels = (m->n_rows + 15) / 16;
  // From the last to the first, one by one: panels do not depend on each other.
  for (std::uint32_t p = n_panels; p-- > 0;)
    make_panels(m->type, m->rows.data(), m->n_rows, m->n_cols, p, 1, m->panels);
}

Matrix make_matrix(TensorType type, std::uint32_t n_rows, std::uint32_t n_cols, unsigned seed) {
  Matrix m{type, n_rows, n_cols, {}, {}, {}};
  const hwdb::TensorFormat& format = hwdb::format_of(type);
  m.rows.resize(std::size_t{n_rows} * (n_cols / format.block_weights) * format.block_bytes);
  std::mt19937 random(seed);
  fill_blocks(&random, type, &m);
  finish(&m);
  return m;
}

std::vector<float> make_activations(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(random);
  return x;
}

/// What a type's activations are rounded to: bytes with a scale for so many columns; 0: not.
std::uint32_t record_columns(TensorType type) {
  const std::string name(hwdb::format_of(type).name);
  if (name == "F32" || name == "F16" || name == "BF16") return 0;
  return hwdb::format_of(type).block_weights;
}

std::vector<double> rounded(const float* x, std::size_t n, std::uint32_t record) {
  std::vector<double> to(x, x + n);
  if (record == 0) return to;
  for (std::size_t k = 0; k < n; k += record) {
    float most = 0;
    for (std::size_t i = 0; i < record; ++i) most = std::max(most, std::abs(x[k + i]));
    if (most < 1e-35f) most = 0;
    const float scale = most / 127.0f;
    const float inverse = most == 0 ? 0 : 127.0f / most;
    for (std::size_t i = 0; i < record; ++i)
      to[k + i] = std::nearbyint(x[k + i] * inverse) * static_cast<double>(scale);
  }
  return to;
}

struct Sums {
  double exact = 0, with_rounded_x = 0, of_sizes = 0;
};
Sums reference(const Matrix& m, std::uint32_t row, const float* x) {
  Sums sums;
  const std::vector<double> q = rounded(x, m.n_cols, record_columns(m.type));
  for (std::uint32_t k = 0; k < m.n_cols; ++k) {
    const double w = m.values[std::size_t{row} * m.n_cols + k];
    sums.exact += w * static_cast<double>(x[k]);
    sums.with_rounded_x += w * q[k];
    sums.of_sizes += std::abs(w * q[k]);
  }
  return sums;
}

std::vector<Weights> views(const Matrix& m) {
  std::vector<Weights> all = {
      {m.type, Weights::Layout::rows, m.n_rows, m.n_cols, 1, m.rows.data(), m.rows.size()}};
  if (m.panels != nullptr) {
    all.push_back(
        {m.type, Weights::Layout::panels, m.n_rows, m.n_cols, 1, m.panels, m.panel_bytes});
  }
  return all;
}

std::vector<float> product(ThreadPool& pool, const Weights& w, const std::vector<float>& x,
                           std::uint32_t n_tokens) {
  Activations activations;
  activations.set(x.data(), n_tokens, w.n_cols, w.n_cols);
  std::vector<float> y(std::size_t{n_tokens} * w.n_rows, std::nanf(""));
  const Product p = {&w, 0, &activations, nullptr, 0, n_tokens, y.data(), w.n_rows};
  multiply(pool, {&p, 1});
  return y;
}

std::vector<TensorType> all_types() {
  std::vector<TensorType> types;
  for (const QuantCodec& codec : quant_codecs()) types.push_back(codec.type);
  return types;
}

class MatMul : public testing::TestWithParam<TensorType> {
 protected:
  ~MatMul() override { force_isa(std::nullopt); }
  std::uint32_t block() const { return hwdb::format_of(GetParam()).block_weights; }

  /// Against the reference, in every layout, on every set of instructions.
  void check(std::uint32_t n_rows, std::uint32_t n_cols, std::uint32_t n_tokens, unsigned seed,
             float x_scale = 1) {
    const Matrix m = make_matrix(GetParam(), n_rows, n_cols, seed);
    std::vector<float> x = make_activations(std::size_t{n_tokens} * n_cols, seed + 1);
    for (float& v : x) v *= x_scale;
    std::vector<Sums> expected;
    for (std::uint32_t t = 0; t < n_tokens; ++t) {
      for (std::uint32_t r = 0; r < n_rows; ++r)
        expected.push_back(reference(m, r, x.data() + std::size_t{t} * n_cols));
    }
    ThreadPool pool(2);
    for (const Isa isa : available_isas()) {
      force_isa(isa);
      for (const Weights& w : views(m)) {
        const std::vector<float> y = product(pool, w, x, n_tokens);
        double error = 0, size = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
          const double y_i = static_cast<double>(y[i]);
          ASSERT_NEAR(y_i, expected[i].with_rounded_x, 1e-6 * expected[i].of_sizes + 1e-30)
              << to_string(isa) << (w.layout == Weights::Layout::rows ? " rows " : " panels ")
              << n_rows << "x" << n_cols << ", token " << i / n_rows << " of " << n_tokens
              << ", row " << i % n_rows;
          error += (y_i - expected[i].exact) * (y_i - expected[i].exact);
          size += expected[i].exact * expected[i].exact;
        }
        if (y.size() >= 64) {
          EXPECT_LE(error, 5e-4 * size + 1e-60) << to_string(isa);
        }
      }
    }
  }
};

TEST_P(MatMul, OddRowsAndTokens) {
  unsigned seed = 1;
  for (const std::uint32_t n_rows : {1u, 2u, 15u, 16u, 17u, 31u, 33u})
    check(n_rows, 512, 1, ++seed);
  for (std::uint32_t n_tokens = 1; n_tokens <= 20; ++n_tokens) check(18, 256, n_tokens, ++seed);
  check(100, 256, 33, ++seed);
  check(49, 512, 103, ++seed);
}

TEST_P(MatMul, Columns) {
  unsigned seed = 100;
  for (const std::uint32_t n_cols : {32u, 64u, 96u, 224u, 256u, 288u, 480u, 768u, 1056u, 2048u}) {
    if (n_cols % block() != 0) continue;
    check(17, n_cols, 1, ++seed);
    check(33, n_cols, 11, ++seed);
  }
  check(5, 16384, 2, ++seed);
  check(5, 16384, 9, ++seed);
}

TEST_P(MatMul, ExtremeScalesOfActivations) {
  for (const float scale : {1e-38f, 1e-20f, 1e-6f, 1e6f, 1e20f, 1e30f}) {
    check(17, 512, 1, 200, scale);
    check(17, 512, 10, 201, scale);
  }
}

TEST_P(MatMul, ZerosStayZeros) {
  Matrix m = make_matrix(GetParam(), 20, 512, 300);
  std::vector<float> x(512 * 10);
  ThreadPool pool(1);
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    for (const std::uint32_t n_tokens : {1u, 10u}) {
      for (const Weights& w : views(m)) {
        for (const float y : product(pool, w, x, n_tokens)) EXPECT_EQ(y, 0.0f);
      }
    }
  }
  // And blocks of zero bytes.
  std::ranges::fill(m.rows, std::byte{0});
  finish(&m);
  x = make_activations(512 * 10, 301);
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    for (const Weights& w : views(m)) {
      for (const float y : product(pool, w, x, 10)) EXPECT_LT(std::abs(y), 1e-30f);
    }
  }
}

/// All codes at their ends against activations of +-127: where sums of too few bits would wrap.
TEST_P(MatMul, EndsOfTheCodes) {
  const std::uint32_t n_cols = 512;
  for (const unsigned byte : {0x00u, 0xffu, 0x7fu, 0x80u, 0xf0u, 0x0fu}) {
    Matrix m = make_matrix(GetParam(), 16, n_cols, 400);
    std::mt19937 random(401);
    Matrix scales = m;
    fill_blocks(&random, GetParam(), &scales);
    if (hwdb::format_of(GetParam()).block_weights == 1) return;  // floats have no codes
    // One byte everywhere, then sane halves from the random matrix.
    const std::size_t block_bytes = hwdb::format_of(GetParam()).block_bytes;
    const std::string name(hwdb::format_of(GetParam()).name);
    std::ranges::fill(m.rows, static_cast<std::byte>(byte));
    std::size_t at = 0, n = 2;
    if (name == "Q4_1" || name == "Q5_1" || name == "Q4_K" || name == "Q5_K") n = 4;
    if (name == "Q2_K") at = 80, n = 4;
    if (name == "Q3_K") at = 108;
    if (name == "Q6_K") at = 208;
    if (name == "TQ2_0") at = 64;
    if (name == "TQ1_0") at = 52;
    if (name == "MXFP4") n = 1;
    if (name == "IQ1_M") at = 48, n = 8;
    for (std::size_t i = 0; i < m.rows.size(); i += block_bytes)
      std::memcpy(m.rows.data() + i + at, scales.rows.data() + i + at, n);
    finish(&m);
    std::vector<float> x(std::size_t{n_cols} * 10);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool first_half = i / n_cols % 2 == 0;
      x[i] = first_half ? (byte < 128 ? 127.0f : -127.0f) : (i % 2 == 0 ? 127.0f : -127.0f);
    }
    ThreadPool pool(1);
    for (const Isa isa : available_isas()) {
      force_isa(isa);
      for (const Weights& w : views(m)) {
        for (const std::uint32_t n_tokens : {2u, 10u}) {
          const std::vector<float> y = product(pool, w, x, n_tokens);
          for (std::size_t i = 0; i < y.size(); ++i) {
            const Sums s = reference(m, i % 16, x.data() + i / 16 * n_cols);
            ASSERT_NEAR(static_cast<double>(y[i]), s.with_rounded_x, 1e-6 * s.of_sizes)
                << to_string(isa) << " byte " << byte << " tokens " << n_tokens;
          }
        }
      }
    }
  }
}

/// Integer parts: what differs between two sets is the rounding of a few sums of floats.
TEST_P(MatMul, ThreadsChangeNothingAndBatchesOnlyRounding) {
  const Matrix m = make_matrix(GetParam(), 200, 768, 500);
  const std::vector<float> x = make_activations(768 * 40, 501);
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    for (const Weights& w : views(m)) {
      ThreadPool one(1);
      const std::vector<float> first = product(one, w, x, 40);
      for (const unsigned threads : {2u, 3u, 4u}) {
        ThreadPool pool(threads);
        EXPECT_EQ(product(pool, w, x, 40), first) << to_string(isa) << " " << threads;
      }
      for (const std::uint32_t n_tokens : {1u, 2u, 3u, 5u, 8u, 9u, 17u}) {
        const std::vector<float> y = product(one, w, x, n_tokens);
        // The order of floating-point operations is one for all numbers of columns.
        EXPECT_TRUE(std::equal(y.begin(), y.end(), first.begin()))
            << to_string(isa) << " " << n_tokens;
      }
    }
  }
}

TEST_P(MatMul, StacksChosenRowsBiasAndResidual) {
  const std::uint32_t n_rows = 40, n_cols = 512, n_matrices = 3;
  std::vector<Matrix> stack;
  for (unsigned i = 0; i < n_matrices; ++i)
    stack.push_back(make_matrix(GetParam(), n_rows, n_cols, 600 + i));
  const std::vector<float> x = make_activations(n_cols * 30, 610);
  const std::vector<float> bias = make_activations(n_rows, 611);
  const std::vector<float> residual = make_activations(30 * 50, 612);
  ThreadPool pool(2);
  const std::vector<std::uint32_t> few = {29, 3, 3},
                                   many = {0, 2, 4, 6, 8, 1, 3, 5, 7, 9, 29, 28, 27, 26, 25};
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    for (const bool in_panels : {false, true}) {
      if (in_panels && !has_panels(GetParam())) continue;
      const std::size_t bytes = in_panels ? stack[0].panel_bytes : stack[0].rows.size();
      std::vector<std::byte> buffer(n_matrices * bytes + 64);
      std::byte* data =
          buffer.data() + (64 - reinterpret_cast<std::uintptr_t>(buffer.data()) % 64) % 64;
      for (unsigned i = 0; i < n_matrices; ++i) {
        std::memcpy(data + i * bytes, in_panels ? stack[i].panels : stack[i].rows.data(), bytes);
      }
      const Weights w = {GetParam(), in_panels ? Weights::Layout::panels : Weights::Layout::rows,
                         n_rows,     n_cols,
                         n_matrices, data,
                         bytes};
      Activations activations;
      activations.set(x.data(), 30, n_cols, n_cols);
      std::vector<float> y0(few.size() * 50), y1(many.size() * n_rows), y2 = residual, y3(9 * 41);
      const Product products[] = {
          {&w, 2, &activations, few.data(), 0, 3, y0.data(), 50, bias.data(), residual.data()},
          {&w, 0, &activations, many.data(), 0, 15, y1.data(), n_rows, bias.data()},
          {&w, 1, &activations, nullptr, 7, 20, y2.data(), 50, nullptr, y2.data()},
          {&w, 1, &activations, nullptr, 0, 0, nullptr, 0},
          {&w, 1, &activations, nullptr, 1, 9, y3.data(), 41}};
      take_weight_bytes_read();
      multiply(pool, products);
      EXPECT_EQ(take_weight_bytes_read(),
                in_panels ? 4 * 48 * stack[0].row_bytes() : 4 * n_rows * stack[0].row_bytes());
      const auto expect = [&](float y, unsigned matrix, std::uint32_t row, std::uint32_t x_row,
                              float plus) {
        const Sums s = reference(stack[matrix], row, x.data() + std::size_t{x_row} * n_cols);
        ASSERT_NEAR(static_cast<double>(y), s.with_rounded_x + static_cast<double>(plus),
                    2e-6 * s.of_sizes + 1e-6)
            << to_string(isa) << " matrix " << matrix << " row " << row << " x " << x_row;
      };
      for (std::uint32_t r = 0; r < n_rows; ++r) {
        for (std::size_t t = 0; t < few.size(); ++t)
          expect(y0[t * 50 + r], 2, r, few[t], bias[r] + residual[t * 50 + r]);
        for (std::size_t t = 0; t < many.size(); ++t)
          expect(y1[t * n_rows + r], 0, r, many[t], bias[r]);
        for (std::uint32_t t = 0; t < 20; ++t)
          expect(y2[t * 50 + r], 1, r, 7 + t, residual[t * 50 + r]);
        for (std::uint32_t t = 0; t < 9; ++t) expect(y3[t * 41 + r], 1, r, 1 + t, 0);
      }
      // Between and behind rows nothing is written.
      for (std::size_t i = 0; i < 3 * 50; ++i) {
        if (i % 50 >= n_rows) {
          EXPECT_EQ(y0[i], 0.0f);
        }
      }
      for (std::size_t t = 0; t < 9; ++t) EXPECT_EQ(y3[t * 41 + 40], 0.0f);
      EXPECT_EQ(y2[49], residual[49]);
    }
  }
}

TEST_P(MatMul, PanelsHaveTheBytesOfTheirRows) {
  if (!has_panels(GetParam())) GTEST_SKIP() << "stays in rows";
  const hwdb::TensorFormat& format = hwdb::format_of(GetParam());
  EXPECT_EQ(panel_bytes(GetParam(), 4096, 4096),
            std::size_t{4096} * 4096 / format.block_weights * format.block_bytes);
  EXPECT_EQ(panel_bytes(GetParam(), 17, 512),
            (std::size_t{32} * 512 / format.block_weights * format.block_bytes + 63) / 64 * 64);
}

INSTANTIATE_TEST_SUITE_P(Types, MatMul, testing::ValuesIn(all_types()), [](const auto& type) {
  return std::string(hwdb::format_of(type.param).name);
});

TEST(MatMulTypes, EveryCodecHasProducts) {
  for (const QuantCodec& codec : quant_codecs())
    EXPECT_TRUE(can_multiply(codec.type)) << hwdb::format_of(codec.type).name;
  EXPECT_GE(quant_codecs().size(), 25u);
  EXPECT_FALSE(can_multiply(hwdb::tensor_type("I32")));
  EXPECT_FALSE(has_panels(hwdb::tensor_type("IQ2_XXS")));
}

/// A form of activations is made once for all products that share it, and anew after set.
TEST(Activations, AreMadeAnewAfterSet) {
  const Matrix m = make_matrix(hwdb::tensor_type("Q8_0"), 16, 256, 700);
  const Weights w = views(m)[0];
  std::vector<float> x = make_activations(256, 701);
  Activations activations;
  activations.set(x.data(), 1, 256, 256);
  float y[16];
  ThreadPool pool(1);
  const Product p = {&w, 0, &activations, nullptr, 0, 1, y, 16};
  multiply(pool, {&p, 1});
  const float before = y[0];
  for (float& v : x) v *= 2;
  multiply(pool, {&p, 1});
  EXPECT_EQ(y[0], before);  // the earlier form
  activations.set(x.data(), 1, 256, 256);
  multiply(pool, {&p, 1});
  EXPECT_EQ(y[0], 2 * before);
}

}  // namespace
}  // namespace engine::cpu
