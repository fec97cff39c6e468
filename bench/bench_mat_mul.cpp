// SPDX-License-Identifier: MIT
// Products of weights with activations, for each type, set of instructions and number of tokens, on
// one thread and on all: bytes_per_second is what is read of the weights, items_per_second
// multiplications and additions. More weights than caches hold are taken in turn.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "engine/cpu/isa.h"
#include "engine/cpu/mat_mul.h"
#include "engine/quant/quant_codec.h"
#include "engine/runtime/thread_binding.h"
#include "engine/runtime/thread_pool.h"

namespace {

using engine::cpu::Weights;

constexpr std::uint32_t kRows = 4096, kColumns = 4096;

struct FreeAligned {
  void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{64}); }
};

/// A stack of equal random matrices in the best layout that the type has.
struct Stack {
  Weights weights;
  std::unique_ptr<std::byte[], FreeAligned> bytes;
};

Stack make_stack(hwdb::TensorType type, std::uint32_t n_matrices) {
  const hwdb::TensorFormat& format = hwdb::format_of(type);
  const std::size_t row_bytes = std::size_t{kColumns / format.block_weights} * format.block_bytes;
  std::vector<std::byte> rows(row_bytes * kRows);
  std::mt19937 random(1);
  const engine::QuantCodec* codec = engine::find_quant_codec(type);
  if (codec->encode != nullptr) {
    std::normal_distribution<float> normal;
    std::vector<float> row(kColumns);
    for (float& value : row) value = normal(random);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      if (r < 16) {
        std::ranges::shuffle(row, random);
        codec->encode(row.data(), kColumns, nullptr, rows.data() + r * row_bytes);
      } else {
        std::memcpy(rows.data() + r * row_bytes, rows.data() + r % 16 * row_bytes, row_bytes);
      }
    }
  } else {
    for (std::byte& byte : rows) byte = static_cast<std::byte>(random() % 64);
  }
  const bool panels = engine::cpu::has_panels(type);
  const std::size_t matrix_bytes =
      panels ? engine::cpu::panel_bytes(type, kRows, kColumns) : rows.size();
  Stack stack;
  stack.bytes.reset(
      static_cast<std::byte*>(::operator new[](matrix_bytes* n_matrices, std::align_val_t{64})));
  for (std::uint32_t m = 0; m < n_matrices; ++m) {
    std::byte* matrix = stack.bytes.get() + m * matrix_bytes;
    if (panels) {
      engine::cpu::make_panels(type, rows.data(), kRows, kColumns, 0, kRows / 16, matrix);
    } else {
      std::memcpy(matrix, rows.data(), rows.size());
    }
  }
  stack.weights = {type,        panels ? Weights::Layout::panels : Weights::Layout::rows,
                   kRows,       kColumns,
                   n_matrices,  stack.bytes.get(),
                   matrix_bytes};
  return stack;
}

void run(benchmark::State& state, hwdb::TensorType type, engine::cpu::Isa isa,
         std::uint32_t n_tokens, unsigned n_threads) {
  engine::cpu::force_isa(isa);
  const Stack stack = make_stack(type, n_tokens == 1 ? 24 : 2);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(std::size_t{n_tokens} * kColumns), y(std::size_t{n_tokens} * kRows);
  for (float& value : x) value = normal(random);
  engine::ThreadPool pool(n_threads);
  engine::cpu::Activations activations;
  std::uint32_t matrix = 0;
  for (auto _ : state) {
    activations.set(x.data(), n_tokens, kColumns, kColumns);
    const engine::cpu::Product product = {&stack.weights, matrix,   &activations, nullptr, 0,
                                          n_tokens,       y.data(), kRows};
    engine::cpu::multiply(pool, {&product, 1});
    matrix = (matrix + 1) % stack.weights.n_matrices;
  }
  const double calls = static_cast<double>(state.iterations());
  state.SetBytesProcessed(
      static_cast<std::int64_t>(calls * static_cast<double>(stack.weights.matrix_bytes)));
  state.SetItemsProcessed(static_cast<std::int64_t>(calls * 2.0 * kRows * kColumns * n_tokens));
  engine::cpu::force_isa(std::nullopt);
}

}  // namespace

int main(int argc, char** argv) {
  for (const engine::QuantCodec& codec : engine::quant_codecs()) {
    for (const engine::cpu::Isa isa : engine::cpu::available_isas()) {
      if (isa == engine::cpu::Isa::plain) continue;
      for (const unsigned n_threads : {1u, engine::read_usable_cpus()}) {
        for (const std::uint32_t n_tokens : {1u, 4u, 16u, 512u}) {
          const std::string name = std::string(hwdb::format_of(codec.type).name) + "/" +
                                   std::string(engine::cpu::to_string(isa)) +
                                   "/tokens:" + std::to_string(n_tokens) +
                                   "/threads:" + std::to_string(n_threads);
          benchmark::RegisterBenchmark(name.c_str(), run, codec.type, isa, n_tokens, n_threads)
              ->UseRealTime()
              ->Unit(benchmark::kMicrosecond);
        }
        if (engine::read_usable_cpus() == 1) break;
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
