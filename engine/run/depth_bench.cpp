// SPDX-License-Identifier: MIT
#include "engine/run/depth_bench.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;
using hwdb::Ok;
using hwdb::Result;
using hwdb::Status;

class DepthRunner {
 public:
  DepthRunner(TokenModel& model, const DepthBenchOptions& options)
      : model_(model), options_(options), random_(options.seed) {
    for (const std::uint32_t depth : options.depths) {
      // A token of an answer takes about as long as several of a prompt.
      constexpr double kGenWeight = 8;
      all_ = std::max<double>(all_, depth);
      all_ += options.prompt_repetitions * options.n_prompt +
              kGenWeight * options.gen_repetitions * options.n_gen;
    }
  }

  Result<std::vector<DepthSamples>> run() {
    std::vector<DepthSamples> out;
    if (auto status = cut(0); !status) return status.error();
    if (auto status = warm_up(); !status)
      return is_interrupt(status) ? Result<std::vector<DepthSamples>>(out) : status.error();
    for (const std::uint32_t depth : options_.depths) {
      DepthSamples samples;
      samples.depth = depth;
      const Status status = at_depth(&samples);
      if (!status && !is_interrupt(status)) return status.error();
      if (!status) break;
      out.push_back(std::move(samples));
    }
    return out;
  }

 private:
  static bool is_interrupt(const Status& status) {
    return status.error().code == "run.interrupted";
  }

  /// The first pass of its size makes memory grow and pages come.
  Status warm_up() {
    if (auto status = feed(options_.n_prompt, options_.n_batch); !status) return status;
    if (auto status = feed(std::min(options_.n_gen, 2u), 1); !status) return status;
    return cut(0);
  }

  Status cut(std::uint32_t to) {
    Status status = model_.truncate(0, to);
    if (status) length_ = to;
    return status;
  }

  Status at_depth(DepthSamples* samples) {
    const std::uint32_t depth = samples->depth;
    if (auto status = feed(depth - std::min(depth, length_), options_.n_batch); !status)
      return status;
    const auto repeat = [&](std::uint32_t times, std::uint32_t n, std::uint32_t n_batch,
                            std::vector<std::uint64_t>* to) -> Status {
      for (std::uint32_t i = 0; i < times && n > 0; ++i) {
        // Refused where a window is full: then the sequence goes on from where it is.
        if (length_ > depth) static_cast<void>(cut(depth));
        const auto begin = Clock::now();
        if (auto status = feed(n, n_batch); !status) return status;
        const auto spent =
            std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
        to->push_back(static_cast<std::uint64_t>(std::max<std::int64_t>(spent, 1)));
      }
      return Ok{};
    };
    if (auto status = repeat(options_.gen_repetitions, options_.n_gen, 1, &samples->gen_ns);
        !status)
      return status;
    return repeat(options_.prompt_repetitions, options_.n_prompt, options_.n_batch,
                  &samples->prompt_ns);
  }

  /// `n` random tokens, `n_batch` a call; the last of each call gets logits.
  Status feed(std::uint32_t n, std::uint32_t n_batch) {
    if (options_.on_part) options_.on_part(all_ > 0 ? std::min(1.0, done_ / all_) : 0);
    for (std::uint32_t fed = 0; fed < n;) {
      if (options_.cancel != nullptr && options_.cancel->load())
        return hwdb::Error{"run.interrupted", "interrupted while measuring", {}, {}};
      const std::uint32_t now = std::min(n - fed, n_batch);
      batch_.clear();
      for (std::uint32_t i = 0; i < now; ++i) batch_.push_back({next_token(), 0, i + 1 == now});
      if (auto status = model_.decode(batch_); !status) return status;
      fed += now;
      length_ += now;
      done_ += n_batch == 1 ? 8.0 * now : now;
    }
    return Ok{};
  }

  TokenId next_token() {
    const auto drawn = static_cast<TokenId>(random_() % std::max<std::size_t>(model_.n_vocab(), 1));
    const bool first = length_ == 0 && batch_.empty();
    return first && options_.bos ? *options_.bos : drawn;
  }

  TokenModel& model_;
  const DepthBenchOptions& options_;
  std::mt19937_64 random_;
  std::vector<BatchToken> batch_;
  std::uint32_t length_ = 0;   // of the sequence
  double done_ = 0, all_ = 0;  // in tokens of a prompt
};

}  // namespace

std::uint32_t DepthBenchOptions::n_ctx() const {
  const std::uint32_t deepest = depths.empty() ? 0 : *std::ranges::max_element(depths);
  // Where nothing can be forgotten, repetitions follow each other.
  return deepest + std::max(1u, prompt_repetitions) * n_prompt +
         std::max(1u, gen_repetitions) * n_gen + 1;
}

Result<std::vector<DepthSamples>> run_depths(TokenModel& model, const DepthBenchOptions& options) {
  return DepthRunner(model, options).run();
}

}  // namespace engine
