// SPDX-License-Identifier: MIT
#include "engine/run/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/run/sampler.h"

namespace engine {
namespace {

using Clock = std::chrono::steady_clock;

// Distributions that a context holds at a time: a chunk of a large vocabulary is scored in parts.
constexpr std::size_t kLogitBytes = std::size_t{64} << 20;
constexpr std::size_t kLeastRows = 16;

/// ln of the sum of exp(logits), without overflow.
double log_sum_exp(std::span<const float> logits) {
  const float top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - top);
  return static_cast<double>(top) + std::log(sum);
}

/// What one prediction says, beside the reference's where there is one.
struct Score {
  double ln_p = 0, ln_p_reference = 0, kld = 0;
  bool same_top = false;
};

/// Of softmax(reference) to softmax(logits), whose ln of sums are known.
double divergence_of(std::span<const float> reference, double z_p, std::span<const float> logits,
                     double z_q) {
  double sum = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double ln_p = static_cast<double>(reference[i]) - z_p;
    const double ln_q = static_cast<double>(logits[i]) - z_q;
    const double p = std::exp(static_cast<float>(ln_p));
    // A token that the reference rules out adds nothing, whatever the model says.
    if (p > 0) sum += p * (ln_p - ln_q);
  }
  return sum;
}

Score score_of(std::span<const float> reference, std::span<const float> logits, TokenId next) {
  const auto at = static_cast<std::size_t>(next);
  const double z_q = log_sum_exp(logits);
  Score score;
  score.ln_p = static_cast<double>(logits[at]) - z_q;
  if (reference.empty()) return score;
  const double z_p = log_sum_exp(reference);
  score.ln_p_reference = static_cast<double>(reference[at]) - z_p;
  score.kld = divergence_of(reference, z_p, logits, z_q);
  score.same_top = greedy_token(reference) == greedy_token(logits);
  return score;
}

Figure perplexity_of(const Figure& nll) {
  const double value = std::exp(nll.value);
  return {value, value * nll.error};
}

/// Runs chunks through one model or two, and hands each scored prediction on.
class ChunkRunner {
 public:
  ChunkRunner(std::vector<TokenModel*> models, ThreadPool& pool, std::span<const TokenId> tokens,
              const PerplexityOptions& options)
      : models_(std::move(models)), pool_(pool), tokens_(tokens), options_(options) {
    const std::size_t row_bytes = sizeof(float) * std::max<std::size_t>(models_[0]->n_vocab(), 1);
    rows_ = std::max(kLogitBytes / row_bytes, kLeastRows);
    seconds_.resize(models_.size());
  }

  hwdb::Status check() const {
    if (options_.n_ctx < 4)
      return hwdb::Error{"usage.text", "a chunk has at least 4 tokens", "", ""};
    if (tokens_.size() < options_.n_ctx)
      return hwdb::Error{
          "usage.text",
          fmt::format("the text has {} tokens, one chunk takes {}", tokens_.size(), options_.n_ctx),
          "", "give a longer text or a smaller -c"};
    for (const TokenModel* model : models_) {
      if (model->n_vocab() != models_[0]->n_vocab())
        return hwdb::Error{"usage.text",
                           fmt::format("vocabularies of {} and {} tokens cannot be compared",
                                       models_[0]->n_vocab(), model->n_vocab()),
                           "", ""};
    }
    const auto n_vocab = static_cast<TokenId>(models_[0]->n_vocab());
    for (const TokenId token : tokens_) {
      if (token < 0 || token >= n_vocab)
        return hwdb::Error{"run.token",
                           fmt::format("token {} is outside the vocabulary of {}", token, n_vocab),
                           "", ""};
    }
    return hwdb::Ok{};
  }

  std::uint32_t n_chunks() const {
    const auto all = static_cast<std::uint32_t>(tokens_.size() / options_.n_ctx);
    return options_.n_chunks == 0 ? all : std::min(all, options_.n_chunks);
  }

  /// The scores of one chunk in order of their positions. Error run.interrupted, and decode's.
  hwdb::Result<std::vector<Score>> run(std::uint32_t chunk) {
    const std::uint32_t n_ctx = options_.n_ctx, first = n_ctx / 2;
    const std::span<const TokenId> text =
        tokens_.subspan(static_cast<std::size_t>(chunk) * n_ctx, n_ctx);
    for (TokenModel* model : models_) {
      if (auto status = model->truncate(0, 0); !status) return status.error();
    }
    std::vector<Score> scores(n_ctx - 1 - first);
    for (std::uint32_t begin = 0; begin < n_ctx;) {
      const std::uint32_t scored = std::max(begin, first);
      const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(n_ctx, scored + rows_));
      batch_.clear();
      for (std::uint32_t p = begin; p < end; ++p)
        batch_.push_back(
            {p == 0 && options_.bos ? *options_.bos : text[p], 0, p >= first && p + 1 < n_ctx});
      for (std::size_t m = 0; m < models_.size(); ++m) {
        const auto started = Clock::now();
        if (auto status = models_[m]->decode(batch_); !status) return status.error();
        seconds_[m] += std::chrono::duration<double>(Clock::now() - started).count();
      }
      const std::uint32_t n = std::min(end, n_ctx - 1) - scored;
      pool_.for_each(n, [&](std::size_t row, unsigned) {
        const auto reference =
            models_.size() > 1 ? models_[0]->logits(row) : std::span<const float>();
        scores[scored - first + row] =
            score_of(reference, models_.back()->logits(row), text[scored + row + 1]);
      });
      begin = end;
    }
    return scores;
  }

  double seconds(std::size_t model) const { return seconds_[model]; }

 private:
  std::vector<TokenModel*> models_;
  ThreadPool& pool_;
  std::span<const TokenId> tokens_;
  const PerplexityOptions& options_;
  std::size_t rows_ = 0;
  std::vector<BatchToken> batch_;
  std::vector<double> seconds_;
};

/// Runs all chunks. `take` gets each score; `nll` is what progress tells.
template <class Take>
hwdb::Result<std::uint32_t> run_chunks(ChunkRunner& runner, const PerplexityOptions& options,
                                       const MeanSum& nll, const Take& take) {
  const std::uint32_t n_chunks = runner.n_chunks();
  std::uint32_t done = 0;
  for (; done < n_chunks; ++done) {
    if (options.on_chunk) options.on_chunk(done, n_chunks, nll.mean());
    if (options.cancel != nullptr && options.cancel->load()) return done;
    const auto scores = runner.run(done);
    if (!scores && scores.error().code == "run.interrupted") return done;
    if (!scores) return scores.error();
    for (const Score& score : *scores) take(score);
  }
  if (options.on_chunk) options.on_chunk(done, n_chunks, nll.mean());
  return done;
}

PerplexityResult result_of(const MeanSum& nll, std::uint32_t done, std::uint32_t planned,
                           const PerplexityOptions& options, double seconds,
                           const TokenModel& model) {
  PerplexityResult out;
  out.nll = nll.figure();
  out.perplexity = perplexity_of(out.nll);
  out.n_chunks = done;
  out.n_chunks_planned = planned;
  out.n_scored = nll.n();
  out.n_run = static_cast<std::uint64_t>(done) * options.n_ctx;
  out.seconds = seconds;
  out.counts = model.counts();
  out.interrupted = done < planned;
  return out;
}

}  // namespace

double log_probability(std::span<const float> logits, TokenId token) {
  return static_cast<double>(logits[static_cast<std::size_t>(token)]) - log_sum_exp(logits);
}

double divergence_of(std::span<const float> reference, std::span<const float> logits) {
  return divergence_of(reference, log_sum_exp(reference), logits, log_sum_exp(logits));
}

hwdb::Result<PerplexityResult> measure_perplexity(TokenModel& model, ThreadPool& pool,
                                                  std::span<const TokenId> tokens,
                                                  const PerplexityOptions& options) {
  ChunkRunner runner({&model}, pool, tokens, options);
  if (auto status = runner.check(); !status) return status.error();
  model.reset_counts();
  MeanSum nll;
  const auto done = run_chunks(runner, options, nll, [&](const Score& s) { nll.add(-s.ln_p); });
  if (!done) return done.error();
  return result_of(nll, *done, runner.n_chunks(), options, runner.seconds(0), model);
}

hwdb::Result<DivergenceResult> measure_divergence(TokenModel& reference, TokenModel& model,
                                                  ThreadPool& pool, std::span<const TokenId> tokens,
                                                  const PerplexityOptions& options) {
  ChunkRunner runner({&reference, &model}, pool, tokens, options);
  if (auto status = runner.check(); !status) return status.error();
  reference.reset_counts();
  model.reset_counts();
  MeanSum nll, nll_reference, ratio, kld, same_top, change;
  std::vector<double> divergences;
  DivergenceResult out;
  const auto done = run_chunks(runner, options, nll, [&](const Score& s) {
    nll.add(-s.ln_p);
    nll_reference.add(-s.ln_p_reference);
    ratio.add(s.ln_p_reference - s.ln_p);
    kld.add(s.kld);
    divergences.push_back(s.kld);
    same_top.add(s.same_top ? 1 : 0);
    const double p_change = std::exp(s.ln_p) - std::exp(s.ln_p_reference);
    change.add(p_change);
    if (std::fabs(p_change) > std::fabs(out.p_change_max)) out.p_change_max = p_change;
  });
  if (!done) return done.error();
  out.reference =
      result_of(nll_reference, *done, runner.n_chunks(), options, runner.seconds(0), reference);
  out.model = result_of(nll, *done, runner.n_chunks(), options, runner.seconds(1), model);
  out.kld = kld.figure();
  out.kld_median = median_of(divergences);
  out.kld_p90 = quantile_of(divergences, 0.9);
  out.kld_p99 = quantile_of(divergences, 0.99);
  out.kld_max = quantile_of(divergences, 1);
  out.same_top = same_top.figure();
  // The mean of differences: its error is that of the two means less twice their covariance.
  out.ln_ppl_ratio = ratio.figure();
  out.p_change = change.figure();
  out.p_change_rms = std::sqrt(change.mean_of_squares());
  return out;
}

}  // namespace engine
