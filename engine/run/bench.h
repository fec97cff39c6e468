// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/run/token_model.h"
#include "hwdb/result.h"

namespace engine {

/// One question of speed: a prompt, an answer, or one after the other.
struct BenchTest {
  std::uint32_t n_prompt = 0, n_gen = 0;  // tokens of each sequence
  std::uint32_t n_depth = 0;              // tokens in the cache before, not timed
  std::uint32_t n_seq = 1;                // sequences side by side
  std::uint32_t n_batch = 2048;           // tokens of one call
  /// Tokens that the time is divided into.
  std::uint64_t n_tokens() const { return static_cast<std::uint64_t>(n_prompt + n_gen) * n_seq; }
  /// Cache that a sequence needs.
  std::uint32_t n_ctx() const { return n_depth + n_prompt + n_gen; }
};

struct BenchOptions {
  std::uint32_t repetitions = 5;
  bool warm_up = true;         // one run of each part that is not counted
  std::uint64_t seed = 42;     // of the random tokens; the same ones in each repetition
  std::optional<TokenId> bos;  // begins each sequence where the model wants it
  const std::atomic<bool>* cancel = nullptr;
  /// Called before each run with the runs done so far, the warm-up being the first.
  std::function<void(std::uint32_t done, std::uint32_t of)> on_run;
};

struct BenchSamples {
  std::vector<std::uint64_t> samples_ns;  // one a repetition, in the order taken
  std::uint64_t warm_up_ns = 0;           // 0: there was none
  OpCounts counts;                        // of one repetition, the mean of all
  bool interrupted = false;               // then the samples are those before that
};

/// Takes the samples of one test: random tokens from a fixed seed, a warm-up of one prompt and one
/// token, then each repetition from an empty cache (or one filled to n_depth). Errors: those of
/// Context::decode.
hwdb::Result<BenchSamples> run_bench(TokenModel& model, const BenchTest& test,
                                     const BenchOptions& options);

}  // namespace engine
