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
  SamplerOptions options_;
  std::mt19937_64 random_;
  std::vector<TokenId> recent_;
  std::vector<std::pair<float, TokenId>> candidates_;
};

/// The token of the highest logit, the lowest id among equals.
TokenId greedy_token(std::span<const float> logits);

}  // namespace engine
