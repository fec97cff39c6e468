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

/// Speeds of one sequence at rising depths of context. Filling the cache takes most of the time, so
/// it is filled once for all of them.
struct DepthBenchOptions {
  std::vector<std::uint32_t> depths;  // tokens in the cache, ascending
  std::uint32_t n_prompt = 512;       // of a timed prompt; 0: none
  std::uint32_t n_gen = 16;           // of a timed answer; 0: none
  std::uint32_t prompt_repetitions = 3, gen_repetitions = 5;
  std::uint32_t n_batch = 512;  // tokens of one call
  std::uint64_t seed = 42;      // of the random tokens
  std::optional<TokenId> bos;
  const std::atomic<bool>* cancel = nullptr;
  /// Called before each part with the share of the work that is done.
  std::function<void(double share)> on_part;

  /// Cache that the sequence needs.
  std::uint32_t n_ctx() const;
};

struct DepthSamples {
  std::uint32_t depth = 0;
  std::vector<std::uint64_t> prompt_ns, gen_ns;  // one a repetition, in the order taken
};

/// The samples of every depth that was reached before `cancel`; depths whose samples are not
/// complete then are left out. Each repetition starts from the depth again; where a sliding window
/// has forgotten what lay before, the next one starts where the last ended. Errors: those of
/// Context::decode, run.interrupted aside.
hwdb::Result<std::vector<DepthSamples>> run_depths(TokenModel& model,
                                                   const DepthBenchOptions& options);

}  // namespace engine
