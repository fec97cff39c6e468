// SPDX-License-Identifier: MIT
#include "engine/cpu/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/cpu/isa.h"
#include "engine/quant/half.h"

namespace engine::cpu {
namespace {

using Rows = std::vector<float>;

hwdb::TensorType type_of(const char* name) {
  return hwdb::tensor_type(name);
}

std::size_t bytes_of_row(hwdb::TensorType type, std::uint32_t n) {
  const hwdb::TensorFormat& format = hwdb::format_of(type);
  return n / format.block_weights * format.block_bytes;
}

/// A row of the cache, read value by value as the formats are written down.
std::vector<double> read_row(hwdb::TensorType type, const std::byte* row, std::uint32_t n) {
  const std::string_view name = hwdb::format_of(type).name;
  const auto half = [&](std::size_t at) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, row + at, 2);
    return bits;
  };
  std::vector<double> values(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t block = i / 32, in_block = i % 32;
    if (name == "F32") {
      float x = 0;
      std::memcpy(&x, row + 4 * i, 4);
      values[i] = double{x};
    } else if (name == "F16") {
      values[i] = double{quant::fp16_to_float(half(2 * i))};
    } else if (name == "BF16") {
      values[i] = double{quant::bf16_to_float(half(2 * i))};
    } else if (name == "Q8_0") {
      const double scale = double{quant::fp16_to_float(half(34 * block))};
      values[i] = scale * static_cast<std::int8_t>(row[34 * block + 2 + in_block]);
    } else {
      const double scale = double{quant::fp16_to_float(half(18 * block))};
      const auto byte = static_cast<unsigned>(row[18 * block + 2 + in_block % 16]);
      values[i] = scale * (static_cast<int>(in_block < 16 ? byte & 15 : byte >> 4) - 8);
    }
  }
  return values;
}

/// What is asked of attention in a test; passes are run in order.
struct Case {
  const char* type_k = "F32";
  const char* type_v = "F32";
  std::uint32_t n_heads = 4, n_kv_heads = 2, head_dim_k = 64, head_dim_v = 64;
  bool values_in_keys = false;
  std::uint32_t n_cells = 256, n_sequences = 1;
  std::uint32_t window = 0, chunk = 0;
  float softcap = 0, scale = 0, key_size = 1;  // scale 0: 1 / sqrt(head_dim_k)
  bool sinks = false;
  std::vector<std::vector<TokenPlace>> passes;

  std::string text() const {
    return std::string(type_k) + "/" + type_v + " heads " + std::to_string(n_heads) + "/" +
           std::to_string(n_kv_heads) + " dims " + std::to_string(head_dim_k) + "/" +
           std::to_string(head_dim_v) + " window " + std::to_string(window) + " chunk " +
           std::to_string(chunk);
  }
  std::size_t n_tokens() const {
    std::size_t n = 0;
    for (const auto& pass : passes) n += pass.size();
    return n;
  }
};

std::vector<TokenPlace> places(std::uint32_t sequence, std::uint32_t first, std::uint32_t n) {
  std::vector<TokenPlace> tokens;
  for (std::uint32_t i = 0; i < n; ++i) tokens.push_back({sequence, first + i});
  return tokens;
}

/// Queries, keys and values of all tokens of all passes, the same for one token however the passes
/// are cut.
struct Data {
  Rows q, k, v, sinks;

  explicit Data(const Case& c) {
    for (const auto& pass : c.passes) {
      for (const TokenPlace& place : pass) {
        std::mt19937 random(1000 * place.sequence + place.position + 1);
        std::normal_distribution<float> normal;
        for (std::uint32_t i = 0; i < c.n_heads * c.head_dim_k; ++i) q.push_back(normal(random));
        for (std::uint32_t i = 0; i < c.n_kv_heads * c.head_dim_k; ++i) {
          k.push_back(normal(random) * c.key_size);
        }
        if (c.values_in_keys) continue;
        for (std::uint32_t i = 0; i < c.n_kv_heads * c.head_dim_v; ++i) v.push_back(normal(random));
      }
    }
    for (std::uint32_t head = 0; head < c.n_heads; ++head) {
      sinks.push_back(0.5f * static_cast<float>(head) - 1.0f);
    }
  }
};

Attention attention_of(const Case& c, const Data& data, std::vector<std::byte>& k,
                       std::vector<std::byte>& v) {
  Attention a;
  a.kv = {type_of(c.type_k), type_of(c.type_v), nullptr,      nullptr,
          c.n_kv_heads,      c.head_dim_k,      c.head_dim_v, c.n_cells};
  const std::size_t n_rows = std::size_t{c.n_sequences} * c.n_kv_heads * c.n_cells;
  k.assign(n_rows * bytes_of_row(a.kv.type_k, c.head_dim_k), std::byte{0xff});
  v.assign(n_rows * bytes_of_row(a.kv.type_v, c.head_dim_v), std::byte{0xff});
  a.kv.k = k.data();
  a.kv.v = c.values_in_keys ? nullptr : v.data();
  a.n_heads = c.n_heads;
  a.scale = c.scale != 0 ? c.scale : 1.0f / std::sqrt(static_cast<float>(c.head_dim_k));
  a.softcap = c.softcap;
  a.window = c.window;
  a.chunk = c.chunk;
  a.sinks = c.sinks ? data.sinks.data() : nullptr;
  return a;
}

Rows run(ThreadPool& pool, const Case& c, const Data& data) {
  std::vector<std::byte> k, v;
  const Attention attention = attention_of(c, data, k, v);
  Rows out(c.n_tokens() * c.n_heads * c.head_dim_v, std::nanf(""));
  std::size_t token = 0;
  for (const auto& pass : c.passes) {
    store_kv(pool, attention.kv, pass, data.k.data() + token * c.n_kv_heads * c.head_dim_k,
             data.v.data() + token * c.n_kv_heads * c.head_dim_v * !c.values_in_keys);
    attend(pool, attention, pass, data.q.data() + token * c.n_heads * c.head_dim_k,
           out.data() + token * c.n_heads * c.head_dim_v);
    token += pass.size();
  }
  return out;
}

/// The query as int8 caches are multiplied with: 127 steps a block of 32.
std::vector<double> quantized(const std::vector<float>& q) {
  std::vector<double> out(q.size());
  for (std::size_t block = 0; block < q.size(); block += 32) {
    float greatest = 0;
    for (std::size_t i = block; i < block + 32; ++i) greatest = std::max(greatest, std::fabs(q[i]));
    const float scale = greatest / 127.0f;
    for (std::size_t i = block; i < block + 32; ++i) {
      out[i] = double{scale} * static_cast<double>(std::nearbyint(q[i] * (1.0f / scale)));
    }
  }
  return out;
}

/// Softmax and sums in double over the very values that a cache holds.
std::vector<double> expected(const Case& c, const Data& data, bool exact_queries = false) {
  Case flat = c;  // a cache where nothing is overwritten
  flat.n_cells = 0;
  std::vector<TokenPlace> all;
  for (const auto& pass : c.passes) {
    for (const TokenPlace& place : pass) {
      all.push_back(place);
      flat.n_cells = std::max(flat.n_cells, place.position + 1);
    }
  }
  std::vector<std::byte> k, v;
  const Attention a = attention_of(flat, data, k, v);
  ThreadPool pool(1);
  force_isa(Isa::plain);
  store_kv(pool, a.kv, all, data.k.data(), data.v.data());
  force_isa(std::nullopt);
  const std::size_t k_bytes = bytes_of_row(a.kv.type_k, c.head_dim_k);
  const std::size_t v_bytes = bytes_of_row(a.kv.type_v, c.head_dim_v);
  const std::uint32_t group = c.n_heads / c.n_kv_heads;
  const bool int8_keys = hwdb::format_of(a.kv.type_k).block_weights > 1;

  std::vector<std::vector<double>> keys(std::size_t{c.n_sequences} * c.n_kv_heads * flat.n_cells);
  std::vector<std::vector<double>> values(keys.size());
  for (const TokenPlace& place : all) {
    for (std::uint32_t head = 0; head < c.n_kv_heads; ++head) {
      const std::size_t at =
          (std::size_t{place.sequence} * c.n_kv_heads + head) * flat.n_cells + place.position;
      keys[at] = read_row(a.kv.type_k, k.data() + at * k_bytes, c.head_dim_k);
      values[at] = c.values_in_keys ? keys[at]
                                    : read_row(a.kv.type_v, v.data() + at * v_bytes, c.head_dim_v);
    }
  }
  std::vector<double> out;
  for (std::size_t token = 0; token < all.size(); ++token) {
    const std::uint32_t own = all[token].position;
    for (std::uint32_t head = 0; head < c.n_heads; ++head) {
      const std::size_t first_cell =
          (std::size_t{all[token].sequence} * c.n_kv_heads + head / group) * flat.n_cells;
      std::vector<float> scaled(c.head_dim_k);
      for (std::uint32_t i = 0; i < c.head_dim_k; ++i) {
        scaled[i] = data.q[(token * c.n_heads + head) * c.head_dim_k + i] * a.scale;
      }
      const std::vector<double> q = int8_keys && !exact_queries
                                        ? quantized(scaled)
                                        : std::vector<double>(scaled.begin(), scaled.end());
      std::vector<double> scores(own + 1, -INFINITY);
      double most = c.sinks ? double{data.sinks[head]} : -INFINITY;
      for (std::uint32_t p = 0; p <= own; ++p) {
        if (c.window != 0 && own - p >= c.window) continue;
        if (c.chunk != 0 && p / c.chunk != own / c.chunk) continue;
        double score = 0;
        for (std::uint32_t i = 0; i < c.head_dim_k; ++i) score += q[i] * keys[first_cell + p][i];
        if (c.softcap != 0) score = c.softcap * std::tanh(score / c.softcap);
        scores[p] = score;
        most = std::max(most, score);
      }
      double total = c.sinks ? std::exp(data.sinks[head] - most) : 0;
      std::vector<double> sum(c.head_dim_v);
      for (std::uint32_t p = 0; p <= own; ++p) {
        const double weight = std::exp(scores[p] - most);
        if (weight == 0) continue;
        total += weight;
        for (std::uint32_t i = 0; i < c.head_dim_v; ++i)
          sum[i] += weight * values[first_cell + p][i];
      }
      for (double x : sum) out.push_back(x / total);
    }
  }
  return out;
}

double greatest_difference(const Rows& a, const std::vector<double>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(double{a[i]} - b[i]);
    if (!(difference <= most)) most = difference;  // NaN stays
  }
  return most;
}

/// Sum of squared errors over the sum of squares.
double error_share(const Rows& a, const std::vector<double>& b) {
  double errors = 0, squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    errors += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    squares += b[i] * b[i];
  }
  return errors / squares;
}

void expect_right_everywhere(const Case& c, double tolerance = 1e-5) {
  const Data data(c);
  const std::vector<double> right = expected(c, data);
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    ThreadPool pool(2);
    const Rows out = run(pool, c, data);
    ASSERT_EQ(out.size(), right.size());
    EXPECT_LT(greatest_difference(out, right), tolerance) << to_string(isa) << " " << c.text();
  }
  force_isa(std::nullopt);
}

const char* const kTypes[] = {"F32", "F16", "BF16", "Q8_0", "Q4_0"};

class AttentionHeads : public testing::TestWithParam<std::pair<std::uint32_t, std::uint32_t>> {};

TEST_P(AttentionHeads, OfAllTypesAndGroups) {
  const auto [head_dim_k, head_dim_v] = GetParam();
  for (const char* type : kTypes) {
    if (!can_cache(type_of(type), head_dim_k) || !can_cache(type_of(type), head_dim_v)) continue;
    for (const std::uint32_t group : {1u, 4u, 7u, 8u}) {
      Case c;
      c.type_k = c.type_v = type;
      c.head_dim_k = head_dim_k;
      c.head_dim_v = head_dim_v;
      c.n_kv_heads = 2;
      c.n_heads = 2 * group;
      c.passes = {places(0, 0, 70), places(0, 70, 1), places(0, 71, 2), places(0, 73, 1)};
      expect_right_everywhere(c);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Dims, AttentionHeads,
                         testing::Values(std::pair{8u, 8u}, std::pair{64u, 64u},
                                         std::pair{80u, 80u}, std::pair{96u, 96u},
                                         std::pair{128u, 128u}, std::pair{192u, 128u},
                                         std::pair{256u, 256u}, std::pair{20u, 12u}));

TEST(Attention, KeysAndValuesOfDifferentTypes) {
  for (const char* type_k : kTypes) {
    for (const char* type_v : kTypes) {
      Case c;
      c.type_k = type_k;
      c.type_v = type_v;
      c.passes = {places(0, 0, 40), places(0, 40, 1)};
      expect_right_everywhere(c);
    }
  }
}

TEST(Attention, ValuesThatAreTheBeginningOfKeys) {
  for (const char* type : kTypes) {
    for (const std::uint32_t n_heads : {4u, 16u, 128u}) {
      Case c;
      c.type_k = c.type_v = type;
      c.n_heads = n_heads;
      c.n_kv_heads = 1;
      c.head_dim_k = 576;
      c.head_dim_v = 512;
      c.values_in_keys = true;
      c.passes = {places(0, 0, n_heads == 128 ? 9 : 67), places(0, n_heads == 128 ? 9 : 67, 1)};
      expect_right_everywhere(c);
    }
  }
}

TEST(Attention, WindowInARingThatWraps) {
  for (const char* type : {"F16", "Q8_0"}) {
    for (const std::uint32_t window : {1u, 24u, 100u}) {
      Case c;
      c.type_k = c.type_v = type;
      c.window = window;
      c.n_cells = window + 48;
      std::uint32_t position = 0;
      for (const std::uint32_t n : {48u, 1u, 30u, 48u, 7u, 48u, 1u, 1u, 48u, 20u, 1u}) {
        c.passes.push_back(places(0, position, n));
        position += n;
      }
      expect_right_everywhere(c);
    }
  }
}

TEST(Attention, ChunksCapsSinksAndSlopes) {
  Case plain;
  plain.n_heads = 6;
  plain.passes = {places(0, 0, 90), places(0, 90, 1), places(0, 91, 37), places(0, 128, 1)};
  for (int what = 0; what < 6; ++what) {
    for (const char* type : {"F32", "Q8_0"}) {
      Case c = plain;
      c.type_k = c.type_v = type;
      if (what == 0 || what == 5) c.chunk = 32;
      if (what == 1 || what == 5) c.softcap = 2;
      if (what == 2 || what == 5) c.sinks = true;
      if (what == 4 || what == 5) c.window = 20;
      expect_right_everywhere(c);
    }
  }
}

TEST(Attention, SequencesOfDifferentLengthsInOnePass) {
  Case c;
  c.n_sequences = 4;
  c.n_heads = 8;
  c.n_cells = 400;
  c.type_k = c.type_v = "F16";
  c.passes = {places(0, 0, 300), places(3, 0, 5)};
  std::vector<TokenPlace> mixed = places(0, 300, 1);
  for (const TokenPlace& place : places(1, 0, 50)) mixed.push_back(place);
  for (const TokenPlace& place : places(3, 5, 2)) mixed.push_back(place);
  // Alternating tokens of two sequences.
  for (std::uint32_t i = 0; i < 6; ++i) {
    mixed.push_back({2, i});
    mixed.push_back({0, 301 + i});
  }
  c.passes.push_back(mixed);
  c.passes.push_back({{0, 307}, {1, 50}, {2, 6}, {3, 7}});
  expect_right_everywhere(c);
}

TEST(Attention, LongRangesAreSplitAndJoined) {
  for (const char* type : {"F16", "Q8_0", "Q4_0"}) {
    Case c;
    c.type_k = c.type_v = type;
    c.n_heads = 4;
    c.n_cells = 1500;
    c.sinks = true;
    c.passes = {places(0, 0, 1400), places(0, 1400, 1), places(0, 1401, 3)};
    const Data data(c);
    const std::vector<double> right = expected(c, data);
    for (const Isa isa : available_isas()) {
      force_isa(isa);
      ThreadPool pool(2);
      EXPECT_LT(greatest_difference(run(pool, c, data), right), 1e-5) << to_string(isa) << type;
    }
    force_isa(std::nullopt);
  }
}

TEST(Attention, TheSameBitsForAnyNumberOfThreads) {
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    for (const char* type : {"F16", "Q8_0"}) {
      Case c;
      c.type_k = c.type_v = type;
      c.n_sequences = 2;
      c.n_cells = 1300;
      c.n_heads = 8;
      c.passes = {places(0, 0, 700), places(1, 0, 100), {{0, 700}, {1, 100}}};
      const Data data(c);
      ThreadPool one(1);
      const Rows right = run(one, c, data);
      for (unsigned n_threads = 2; n_threads <= 4; ++n_threads) {
        ThreadPool pool(n_threads);
        EXPECT_EQ(run(pool, c, data), right) << to_string(isa) << " " << n_threads;
      }
    }
  }
  force_isa(std::nullopt);
}

TEST(Attention, HowAPromptIsCutDoesNotMatter) {
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    ThreadPool pool(2);
    for (const char* type : kTypes) {
      Case whole;
      whole.type_k = whole.type_v = type;
      whole.n_heads = 8;
      whole.window = 60;
      whole.n_cells = 400;
      whole.passes = {places(0, 0, 150)};
      const Rows right = run(pool, whole, Data(whole));
      for (const std::uint32_t step : {1u, 3u, 33u, 128u}) {
        Case cut = whole;
        cut.passes.clear();
        for (std::uint32_t i = 0; i < 150; i += step) {
          cut.passes.push_back(places(0, i, std::min(step, 150 - i)));
        }
        const Rows out = run(pool, cut, Data(cut));
        const std::vector<double> wide(right.begin(), right.end());
        EXPECT_LT(greatest_difference(out, wide), 1e-5) << to_string(isa) << type << step;
      }
    }
  }
  force_isa(std::nullopt);
}

TEST(Attention, ExtremeScores) {
  for (const char* type : {"F32", "F16", "Q8_0"}) {
    Case c;
    c.type_k = c.type_v = type;
    c.scale = 100;  // scores of some +-1e4, of which floats keep three digits after the point
    c.key_size = 10;
    c.passes = {places(0, 0, 90), places(0, 90, 1)};
    expect_right_everywhere(c, 2e-2);
    c.sinks = true;
    expect_right_everywhere(c, 2e-2);
    c.scale = 1e-30f;  // and all alike
    expect_right_everywhere(c);
  }
}

TEST(Attention, OneKeyGivesItsValue) {
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    ThreadPool pool(1);
    Case c;
    c.passes = {places(0, 0, 1)};
    const Data data(c);
    const Rows out = run(pool, c, data);
    for (std::uint32_t head = 0; head < c.n_heads; ++head) {
      for (std::uint32_t i = 0; i < 64; ++i) {
        ASSERT_FLOAT_EQ(out[head * 64 + i], data.v[head / 2 * 64 + i]) << to_string(isa);
      }
    }
  }
  force_isa(std::nullopt);
}

TEST(Attention, Int8KeysAreNearTheExactProduct) {
  Case c;
  c.type_k = c.type_v = "Q8_0";
  c.head_dim_k = c.head_dim_v = 128;
  c.passes = {places(0, 0, 120)};
  const Data data(c);
  ThreadPool pool(2);
  const Rows out = run(pool, c, data);
  EXPECT_LT(error_share(out, expected(c, data, true)), 5e-4);
  Case exact = c;
  exact.type_k = exact.type_v = "F32";
  EXPECT_LT(error_share(out, expected(exact, data)), 5e-4);
}

TEST(StoreKv, CellsHoldWhatTheTypeCanHold) {
  const float worst[] = {0, 1e-6f, 0.01f, 1.0f / 127,
                         0.13f};  // share of a block's greatest, by type
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    ThreadPool pool(2);
    for (std::size_t t = 0; t < std::size(kTypes); ++t) {
      Case c;
      c.type_k = c.type_v = kTypes[t];
      c.n_cells = 16;
      c.n_sequences = 2;
      c.passes = {places(1, 10, 16)};
      const Data data(c);
      std::vector<std::byte> k, v;
      const Attention a = attention_of(c, data, k, v);
      store_kv(pool, a.kv, c.passes[0], data.k.data(), data.v.data());
      const std::size_t bytes = bytes_of_row(a.kv.type_k, 64);
      for (std::uint32_t token = 0; token < 16; ++token) {
        for (std::uint32_t head = 0; head < 2; ++head) {
          const std::size_t cell = (1 * 2 + head) * 16 + (10 + token) % 16;
          const auto read = read_row(a.kv.type_k, k.data() + cell * bytes, 64);
          const float* wrote = data.k.data() + (token * 2 + head) * 64;
          for (std::uint32_t block = 0; block < 64; block += 32) {
            double most = 0;
            for (std::uint32_t i = block; i < block + 32; ++i) {
              most = std::max(most, std::fabs(double{wrote[i]}));
            }
            const double allowed = kTypes[t] == std::string("F16") ? most / 2048 : most * worst[t];
            for (std::uint32_t i = block; i < block + 32; ++i) {
              ASSERT_LE(std::fabs(read[i] - double{wrote[i]}), allowed)
                  << to_string(isa) << " " << kTypes[t];
            }
          }
        }
      }
      // The other sequence is as it was.
      EXPECT_TRUE(std::all_of(k.begin(), k.begin() + static_cast<std::ptrdiff_t>(32 * bytes),
                              [](std::byte b) { return b == std::byte{0xff}; }));
    }
  }
  force_isa(std::nullopt);
}

TEST(StoreKv, EverySetWritesTheSameBytes) {
  for (const char* type : kTypes) {
    Case c;
    c.type_k = c.type_v = type;
    c.passes = {places(0, 0, 33)};
    Data data(c);
    std::fill_n(data.k.begin(), 32, 0.0f);  // a block of zeros
    data.k[40] = 1e30f;
    data.k[70] = 1e-41f;
    data.k[71] = -3e-7f;
    data.k[72] = 70000.0f;
    std::vector<std::byte> first_k, first_v;
    for (const Isa isa : available_isas()) {
      force_isa(isa);
      ThreadPool pool(1);
      std::vector<std::byte> k, v;
      const Attention a = attention_of(c, data, k, v);
      store_kv(pool, a.kv, c.passes[0], data.k.data(), data.v.data());
      if (first_k.empty()) {
        first_k = k;
        first_v = v;
      }
      EXPECT_EQ(k, first_k) << to_string(isa) << " " << type;
      EXPECT_EQ(v, first_v) << to_string(isa) << " " << type;
    }
  }
  force_isa(std::nullopt);
}

TEST(CanCache, BlocksDivideTheHead) {
  EXPECT_TRUE(can_cache(type_of("F16"), 80));
  EXPECT_TRUE(can_cache(type_of("Q8_0"), 96));
  EXPECT_FALSE(can_cache(type_of("Q8_0"), 80));
  EXPECT_FALSE(can_cache(type_of("Q4_0"), 8));
  EXPECT_FALSE(can_cache(type_of("Q4_K"), 256));
  EXPECT_FALSE(can_cache(type_of("F32"), 0));
}

TEST(CacheBytes, AreTheRowsThatDecodeReads) {
  ThreadPool pool(2);
  Case c;
  c.type_k = "Q8_0";
  c.type_v = "F16";
  c.n_cells = 1000;
  c.passes = {places(0, 0, 700)};
  const Data data(c);
  std::vector<std::byte> k, v;
  Attention a = attention_of(c, data, k, v);
  store_kv(pool, a.kv, c.passes[0], data.k.data(), data.v.data());
  Rows out(c.n_heads * 64);
  const std::vector<TokenPlace> last = {{0, 699}};
  take_cache_bytes_read();
  attend(pool, a, last, data.q.data(), out.data());
  EXPECT_EQ(take_cache_bytes_read(), 2 * 700 * (68 + 128));
  a.window = 100;
  attend(pool, a, last, data.q.data(), out.data());
  EXPECT_EQ(take_cache_bytes_read(), 2 * 100 * (68 + 128));
  EXPECT_EQ(take_cache_bytes_read(), 0);
  a.window = 0;
  a.kv.type_k = type_of("F16");
  a.kv.v = nullptr;
  attend(pool, a, std::vector<TokenPlace>{{0, 9}}, data.q.data(), out.data());
  EXPECT_EQ(take_cache_bytes_read(), 2 * 10 * 128);
}

}  // namespace
}  // namespace engine::cpu
