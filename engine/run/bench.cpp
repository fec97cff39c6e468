// SPDX-License-Identifier: MIT
#include "engine/run/bench.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint32_t kWarmUpGen = 1;

/// Runs the parts of a test and tells how long they took.
class BenchRunner {
 public:
  BenchRunner(TokenModel& model, const BenchTest& test, const BenchOptions& options)
      : model_(model), test_(test), options_(options) {}

  /// Empties every sequence, or takes it back to the depth that it was filled to.
  hwdb::Status rewind(bool to_depth) {
    bool kept = to_depth && filled_;
    for (std::uint32_t s = 0; s < test_.n_seq; ++s) {
      if (kept && !model_.truncate(s, test_.n_depth)) kept = false;
    }
    random_.seed(options_.seed);
    if (kept) {
      // The tokens after it are the same ones in each repetition, wherever it came from.
      random_.discard(static_cast<std::uint64_t>(test_.n_depth) * test_.n_seq);
      begun_ = test_.n_depth > 0;
      return hwdb::Ok{};
    }
    for (std::uint32_t s = 0; s < test_.n_seq; ++s) {
      if (auto status = model_.truncate(s, 0); !status) return status;
    }
    begun_ = filled_ = false;
    if (!to_depth || test_.n_depth == 0) return hwdb::Ok{};
    auto status = prefill(test_.n_depth);
    filled_ = status.has_value();
    return status;
  }

  /// n tokens of every sequence, n_batch tokens a call.
  hwdb::Status prefill(std::uint32_t n) {
    for (std::uint32_t done = 0; done < n;) {
      const std::uint32_t per_sequence =
          std::min(n - done, std::max(test_.n_batch / test_.n_seq, 1u));
      batch_.clear();
      for (std::uint32_t s = 0; s < test_.n_seq; ++s) {
        for (std::uint32_t i = 0; i < per_sequence; ++i)
          batch_.push_back({next_token(done + i == 0), s, i + 1 == per_sequence});
      }
      if (auto status = model_.decode(batch_); !status) return status;
      done += per_sequence;
    }
    if (n > 0) begun_ = true;
    return hwdb::Ok{};
  }

  /// n steps of one token for every sequence.
  hwdb::Status decode(std::uint32_t n) {
    for (std::uint32_t done = 0; done < n; ++done) {
      batch_.clear();
      for (std::uint32_t s = 0; s < test_.n_seq; ++s)
        batch_.push_back({next_token(done == 0), s, true});
      if (auto status = model_.decode(batch_); !status) return status;
    }
    return hwdb::Ok{};
  }

  hwdb::Result<std::uint64_t> timed(std::uint32_t n_prompt, std::uint32_t n_gen) {
    const auto begin = Clock::now();
    if (auto status = prefill(n_prompt); !status) return status.error();
    if (auto status = decode(n_gen); !status) return status.error();
    const auto spent = Clock::now() - begin;
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count());
  }

 private:
  TokenId next_token(bool first) {
    // A draw for the begin token too, so that discard() counts right.
    const auto drawn = static_cast<TokenId>(random_() % std::max<std::size_t>(model_.n_vocab(), 1));
    return first && !begun_ && options_.bos ? *options_.bos : drawn;
  }

  TokenModel& model_;
  const BenchTest& test_;
  const BenchOptions& options_;
  std::mt19937_64 random_;
  std::vector<BatchToken> batch_;
  bool begun_ = false, filled_ = false;  // sequences have tokens; they have n_depth of them
};

bool is_interrupt(const hwdb::Error& error) {
  return error.code == "run.interrupted";
}

}  // namespace

hwdb::Result<BenchSamples> run_bench(TokenModel& model, const BenchTest& test,
                                     const BenchOptions& options) {
  BenchSamples out;
  BenchRunner runner(model, test, options);
  const std::uint32_t warm = options.warm_up ? 1 : 0, all = options.repetitions + warm;
  OpCounts sum;
  const auto cancelled = [&] { return options.cancel != nullptr && options.cancel->load(); };
  for (std::uint32_t run = 0; run < all; ++run) {
    if (cancelled()) break;
    if (options.on_run) options.on_run(run, all);
    const bool counted = run >= warm;
    auto status = runner.rewind(counted);
    if (!status && !is_interrupt(status.error())) return status.error();
    if (!status) break;
    model.reset_counts();
    const auto spent =
        runner.timed(test.n_prompt, counted ? test.n_gen : std::min(test.n_gen, kWarmUpGen));
    if (!spent && !is_interrupt(spent.error())) return spent.error();
    if (!spent) break;
    if (counted) {
      out.samples_ns.push_back(std::max<std::uint64_t>(*spent, 1));
      sum += model.counts();
    } else {
      out.warm_up_ns = *spent;
    }
  }
  out.interrupted = out.samples_ns.size() < options.repetitions;
  if (const auto n = static_cast<double>(out.samples_ns.size()); n > 0) {
    out.counts = {sum.weight_bytes_read / n, sum.cache_bytes_read / n, sum.cache_bytes_written / n,
                  sum.flops / n};
  }
  return out;
}

}  // namespace engine
