// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/run/statistics.h"
#include "engine/run/token_model.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/result.h"

namespace engine {

/// How well a model predicts a text, scored as llama.cpp does it: the text is cut into chunks of
/// n_ctx tokens (what is left over is dropped), the first token of each is replaced by the begin
/// token, each is run from an empty cache, and the predictions made from its second half count.
struct PerplexityOptions {
  std::uint32_t n_ctx = 512;   // tokens of a chunk, at least 4
  std::uint32_t n_chunks = 0;  // at most so many; 0: all
  std::optional<TokenId> bos;  // absent: the first token stays
  const std::atomic<bool>* cancel = nullptr;
  /// Called after each chunk with the mean negative log probability so far, and before the first
  /// with done = 0.
  std::function<void(std::uint32_t done, std::uint32_t of, double nll)> on_chunk;
};

struct PerplexityResult {
  Figure nll;         // nats a token
  Figure perplexity;  // exp(nll); its error to first order
  std::uint32_t n_chunks = 0, n_chunks_planned = 0;
  std::uint64_t n_scored = 0, n_run = 0;  // tokens
  double seconds = 0;                     // of running and scoring this model
  OpCounts counts;
  bool interrupted = false;  // then the figures are those of the chunks before that
};

/// Errors: usage.text (shorter than a chunk), run.token, those of Context::decode.
hwdb::Result<PerplexityResult> measure_perplexity(TokenModel& model, ThreadPool& pool,
                                                  std::span<const TokenId> tokens,
                                                  const PerplexityOptions& options);

/// How far a model's predictions are from a reference's on the same chunks. Divergences are in
/// nats, of the reference's distribution to the model's.
struct DivergenceResult {
  PerplexityResult reference, model;
  Figure kld;
  double kld_median = 0, kld_p90 = 0, kld_p99 = 0, kld_max = 0;
  Figure same_top;      // share of tokens whose likeliest successor is the same
  Figure ln_ppl_ratio;  // ln(PPL / PPL of the reference); the error knows that the two go together
  Figure p_change;      // of the right token's probability, mean
  double p_change_rms = 0;
  double p_change_max = 0;  // the largest, either way
};

/// Both models side by side, chunk by chunk, so that memory is bounded by a few tokens'
/// distributions. Errors: as above, and usage.text for vocabularies of different size.
hwdb::Result<DivergenceResult> measure_divergence(TokenModel& reference, TokenModel& model,
                                                  ThreadPool& pool, std::span<const TokenId> tokens,
                                                  const PerplexityOptions& options);

/// ln of the probability that `logits` give a token.
double log_probability(std::span<const float> logits, TokenId token);
/// Sum over tokens of p ln(p / q), p being softmax(reference) and q softmax(logits).
double divergence_of(std::span<const float> reference, std::span<const float> logits);

}  // namespace engine
