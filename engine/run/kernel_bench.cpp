// SPDX-License-Identifier: MIT
#include "engine/run/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "engine/cpu/mat_mul.h"
#include "engine/quant/quant_codec.h"
#include "engine/run/statistics.h"
#include "engine/synth/random_weights.h"

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;
using hwdb::Error;
using hwdb::Ok;
using hwdb::Result;
using hwdb::Status;

constexpr std::uint64_t kAlignment = 64;  // of a matrix in panels
constexpr std::uint64_t kSeed = 1;
constexpr std::uint32_t kLeastWindows = 3, kDifferentRows = 64;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Bytes that random weights are made of, as in a file.
Result<std::vector<std::byte>> random_rows(const KernelBench::Question& question,
                                           ThreadPool& pool) {
  hwdb::TensorInfo info;
  info.name = "weight";
  info.type = question.type;
  // Encoders that search take longer than what is measured; the same rows again cost the same.
  const std::uint32_t different = std::min(question.rows, kDifferentRows);
  info.ne = {question.ne0, different, 1, 1};
  WeightRule rule;
  rule.spread = 1 / std::sqrt(static_cast<float>(question.ne0));
  RandomWeights random(kSeed, pool);
  auto source = random.open(info, rule);
  if (!source) return source.error();
  const std::uint64_t row_bytes = hwdb::row_bytes(question.type, question.ne0);
  std::vector<std::byte> rows(row_bytes * question.rows);
  random.make(*source, 0, std::span(rows).first(row_bytes * different));
  for (std::uint32_t r = different; r < question.rows; ++r)
    std::memcpy(&rows[r * row_bytes], &rows[r % different * row_bytes], row_bytes);
  return rows;
}

}  // namespace

Result<KernelBench> KernelBench::make(ThreadPool& pool, std::uint64_t memory_bytes) {
  HugeMemory memory(memory_bytes);
  if (memory.data() == nullptr)
    return Error{"run.memory", fmt::format("the system refuses {} bytes", memory_bytes), {}, {}};
  return KernelBench(pool, std::move(memory));
}

std::uint64_t KernelBench::matrix_bytes(const Question& q) const {
  const std::uint64_t bytes = cpu::has_panels(q.type) ? cpu::panel_bytes(q.type, q.rows, q.ne0)
                                                      : hwdb::row_bytes(q.type, q.ne0) * q.rows;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool KernelBench::can_time(const Question& q) const {
  const hwdb::TensorFormat& format = hwdb::format_of(q.type);
  return q.rows > 0 && q.ne0 > 0 && q.tokens > 0 && cpu::can_multiply(q.type) &&
         find_quant_codec(q.type) != nullptr && q.ne0 % format.block_weights == 0 &&
         matrix_bytes(q) <= memory_.size();
}

Status KernelBench::fill(const Question& q) {
  if (n_copies_ > 0 && filled_.type == q.type && filled_.rows == q.rows && filled_.ne0 == q.ne0)
    return Ok{};
  n_copies_ = 0;
  auto rows = random_rows(q, *pool_);
  if (!rows) return rows.error();
  const std::uint64_t bytes = matrix_bytes(q);
  const auto n_copies = static_cast<std::uint32_t>(memory_.size() / bytes);
  std::byte* const first = memory_.data();
  if (cpu::has_panels(q.type)) {
    const std::uint32_t n_panels = (q.rows + 15) / 16;
    pool_->for_each(n_panels, [&](std::size_t panel, unsigned) {
      cpu::make_panels(q.type, rows->data(), q.rows, q.ne0, static_cast<std::uint32_t>(panel), 1,
                       first);
    });
  } else {
    std::memcpy(first, rows->data(), rows->size());
  }
  pool_->for_each(n_copies - 1, [&](std::size_t copy, unsigned) {
    std::memcpy(first + (copy + 1) * bytes, first, bytes);
  });
  filled_ = q;
  n_copies_ = n_copies;
  next_copy_ = 0;
  return Ok{};
}

Result<hwdb::KernelReading> KernelBench::time(const Question& q, const Options& options) {
  if (!can_time(q)) {
    return Error{
        "quant.unsupported",
        fmt::format("{} with {} columns cannot be timed", hwdb::format_of(q.type).name, q.ne0),
        {},
        {}};
  }
  if (auto status = fill(q); !status) return status.error();
  const cpu::Weights weights = {
      q.type,
      cpu::has_panels(q.type) ? cpu::Weights::Layout::panels : cpu::Weights::Layout::rows,
      q.rows,
      q.ne0,
      n_copies_,
      memory_.data(),
      matrix_bytes(q)};
  std::vector<float> x(std::size_t{q.tokens} * q.ne0), y(std::size_t{q.tokens} * q.rows);
  fill_random(kSeed + 1, 0, 0, 1, x);
  cpu::Activations activations;
  const auto multiply = [&] {
    activations.set(x.data(), q.tokens, q.ne0, q.ne0);
    const cpu::Product product{.weights = &weights,
                               .matrix = next_copy_,
                               .x = &activations,
                               .n_tokens = q.tokens,
                               .y = y.data(),
                               .y_stride = q.rows};
    cpu::multiply(*pool_, {&product, 1});
    next_copy_ = (next_copy_ + 1) % n_copies_;
  };

  const auto begin = Clock::now();
  multiply();  // scratch memory grows, workers wake up
  std::vector<double> samples;
  while (samples.size() < options.windows) {
    if (options.cancel != nullptr && options.cancel->load())
      return Error{"run.interrupted", "interrupted while measuring", {}, {}};
    const double spent = seconds_since(begin);
    if (samples.size() >= kLeastWindows && spent > options.budget_seconds) break;
    std::uint32_t calls = 0;
    double window = 0;
    const auto window_begin = Clock::now();
    do {
      multiply();
      ++calls;
      window = seconds_since(window_begin);
    } while (window < options.window_seconds);
    samples.push_back(window / calls);
  }
  hwdb::KernelReading reading;
  reading.type = q.type;
  reading.rows = q.rows;
  reading.ne0 = q.ne0;
  reading.tokens = q.tokens;
  reading.seconds = median_of(samples);
  reading.spread = reading.seconds > 0
                       ? (quantile_of(samples, 0.9) - quantile_of(samples, 0.1)) / reading.seconds
                       : 0;
  return reading;
}

}  // namespace engine
