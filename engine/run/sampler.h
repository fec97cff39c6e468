// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace engine {

/// How the next token is chosen. The order is llama.cpp's: repetition, top-k, top-p, min-p,
/// temperature.
struct SamplerOptions {
  double temperature = 0.8;     // 0: greedy
  std::uint32_t top_k = 40;     // 0: all
  double top_p = 0.95;          // 1: all
  double min_p = 0.05;          // 0: all
  double repeat_penalty = 1.0;  // 1: none
  std::uint32_t repeat_last_n = 64;
  std::uint64_t seed = 0;
};

/// Chooses tokens; the same seed and logits give the same tokens on every machine.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);
  /// Remembers a token of the prompt or the answer for the repetition penalty.
  void accept(TokenId token);
  /// The next token; logits of n_vocab floats, NaN counts as never.
  TokenId sample(std::span<const float> logits);

 private:
  using Candidate = std::pair<float, TokenId>;
  float penalized(float logit, std::size_t token) const;
  void mark_recent(std::size_t n_vocab);
  void collect(std::span<const float> logits);
  void collect_top_k(std::span<const float> logits);
  void keep_top_p();
  void weigh(double temperature);
  double uniform();

  SamplerOptions options_;
  std::mt19937_64 random_;
  std::vector<TokenId> recent_;        // a ring once it is full
  std::size_t next_recent_ = 0;        // the oldest, when full
  std::vector<bool> is_recent_;        // by token, during sample()
  std::vector<Candidate> candidates_;  // logit and token
  std::vector<double> weights_;        // of candidates_, the best has 1
  float best_ = 0;                     // the highest logit among candidates_
};

/// The token of the highest logit, the lowest id among equals.
TokenId greedy_token(std::span<const float> logits);

}  // namespace engine
