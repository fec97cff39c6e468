// SPDX-License-Identifier: MIT
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/cpu/attention.h"
#include "engine/cpu/isa.h"

// Attention of one layer on all threads. Decode: bytes of the cache read a second, to be held
// against the bandwidth that `probe --measure` finds. Prefill: floating-point operations a second.
namespace {

using engine::ThreadPool;
using engine::cpu::TokenPlace;

struct Shape {
  std::uint32_t n_heads, n_kv_heads, head_dim;
};

/// Layers side by side, so that every call finds the cache of its layer in memory and not in the
/// processor, as a model does.
struct Layers {
  std::vector<std::vector<std::byte>> k, v;
  std::vector<engine::cpu::Attention> attention;

  Layers(const Shape& shape, const char* type, std::uint32_t n_cells, std::uint64_t least_bytes) {
    const hwdb::TensorFormat& format = *hwdb::find_tensor_format(type);
    const std::uint64_t bytes = std::uint64_t{shape.n_kv_heads} * n_cells * shape.head_dim /
                                format.block_weights * format.block_bytes;
    const std::uint64_t n_layers = least_bytes / (2 * bytes) + 1;
    for (std::uint64_t layer = 0; layer < n_layers; ++layer) {
      k.emplace_back(bytes);
      v.emplace_back(bytes);
      engine::cpu::Attention a;
      a.kv = {format.type,      format.type,    k.back().data(), v.back().data(),
              shape.n_kv_heads, shape.head_dim, shape.head_dim,  n_cells};
      a.n_heads = shape.n_heads;
      a.scale = 0.1f;
      attention.push_back(a);
    }
  }
};

std::vector<float> random_floats(std::size_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& value : x) value = normal(random);
  return x;
}

void fill(ThreadPool& pool, const Layers& layers, std::uint32_t depth) {
  const engine::cpu::LayerKv& kv = layers.attention[0].kv;
  const std::vector<float> x = random_floats(std::size_t{kv.n_kv_heads} * kv.head_dim_k * 64);
  for (const engine::cpu::Attention& a : layers.attention) {
    for (std::uint32_t first = 0; first < depth; first += 64) {
      std::vector<TokenPlace> tokens;
      for (std::uint32_t i = first; i < std::min(depth, first + 64); ++i) tokens.push_back({0, i});
      store_kv(pool, a.kv, tokens, x.data(), x.data());
    }
  }
}

unsigned n_threads() {
  return std::thread::hardware_concurrency();
}

void decode(benchmark::State& state, Shape shape, const char* type) {
  ThreadPool pool(n_threads());
  const auto depth = static_cast<std::uint32_t>(state.range(0));
  const Layers layers(shape, type, depth, std::uint64_t{600} << 20);
  fill(pool, layers, depth);
  const std::vector<float> q = random_floats(std::size_t{shape.n_heads} * shape.head_dim);
  std::vector<float> out(q.size());
  const std::vector<TokenPlace> token = {{0, depth - 1}};
  engine::cpu::take_cache_bytes_read();
  std::size_t layer = 0;
  for (auto _ : state) {
    attend(pool, layers.attention[layer], token, q.data(), out.data());
    layer = (layer + 1) % layers.attention.size();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(engine::cpu::take_cache_bytes_read()));
}

void prefill(benchmark::State& state, Shape shape, const char* type) {
  constexpr std::uint32_t kTokens = 512;
  ThreadPool pool(n_threads());
  const auto depth = static_cast<std::uint32_t>(state.range(0));
  const Layers layers(shape, type, depth + kTokens, 0);
  fill(pool, layers, depth + kTokens);
  const std::vector<float> q = random_floats(std::size_t{kTokens} * shape.n_heads * shape.head_dim);
  std::vector<float> out(q.size());
  std::vector<TokenPlace> tokens;
  for (std::uint32_t i = 0; i < kTokens; ++i) tokens.push_back({0, depth + i});
  for (auto _ : state) attend(pool, layers.attention[0], tokens, q.data(), out.data());
  const double pairs = double{kTokens} * depth + double{kTokens} * (kTokens + 1) / 2;
  state.counters["FLOP/s"] = benchmark::Counter(4.0 * pairs * shape.n_heads * shape.head_dim,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

constexpr Shape kLlama8b = {32, 8, 128}, kTinyLlama = {32, 4, 64};

void depths(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(512)->Arg(4096)->Arg(16384)->UseRealTime();
}
void prompts(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(0)->Arg(4096)->UseRealTime();
}

#define TOKWATT_ATTENTION(type)                                                  \
  BENCHMARK_CAPTURE(decode, llama_8b_##type, kLlama8b, #type)->Apply(depths);    \
  BENCHMARK_CAPTURE(decode, tinyllama_##type, kTinyLlama, #type)->Apply(depths); \
  BENCHMARK_CAPTURE(prefill, llama_8b_##type, kLlama8b, #type)->Apply(prompts);  \
  BENCHMARK_CAPTURE(prefill, tinyllama_##type, kTinyLlama, #type)->Apply(prompts);
TOKWATT_ATTENTION(F16)
TOKWATT_ATTENTION(Q8_0)
TOKWATT_ATTENTION(Q4_0)
#undef TOKWATT_ATTENTION

}  // namespace

BENCHMARK_MAIN();
