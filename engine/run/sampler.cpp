// SPDX-License-Identifier: MIT
#include "engine/run/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
// Up to here a small heap finds the best faster than a partition of all candidates.
constexpr std::uint32_t kHeapTopK = 1024;
constexpr std::size_t kFirstSorted = 128;

/// e^x for x <= 0 by operations that round the same everywhere (this file is compiled without
/// fused multiply-add); the C library's may differ in the last bit from machine to machine.
double exp_of(double x) {
  if (!(x > -700.0)) return 0.0;
  constexpr double kLog2e = 1.4426950408889634, kLn2High = 6.93147180369123816490e-01,
                   kLn2Low = 1.90821492927058770002e-10;
  const double n = std::floor(x * kLog2e + 0.5);
  const double r = x - n * kLn2High - n * kLn2Low;  // |r| <= ln(2) / 2
  double sum = 1.0;
  for (int k = 13; k > 0; --k) sum = 1.0 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

/// The better one first: higher logit, then lower id.
bool is_better(const std::pair<float, TokenId>& a, const std::pair<float, TokenId>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

float never_if_nan(float logit) {
  return std::isnan(logit) ? kNever : logit;
}

}  // namespace

TokenId greedy_token(std::span<const float> logits) {
  std::size_t best = 0;
  float highest = kNever;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > highest) {
      highest = logits[i];
      best = i;
    }
  }
  return static_cast<TokenId>(best);
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {}

void Sampler::accept(TokenId token) {
  if (options_.repeat_last_n == 0 || options_.repeat_penalty == 1.0) return;
  if (recent_.size() < options_.repeat_last_n) {
    recent_.push_back(token);
    return;
  }
  recent_[next_recent_] = token;
  next_recent_ = (next_recent_ + 1) % recent_.size();
}

void Sampler::mark_recent(std::size_t n_vocab) {
  if (recent_.empty()) return;
  is_recent_.assign(n_vocab, false);
  for (const TokenId token : recent_) {
    if (token >= 0 && static_cast<std::size_t>(token) < n_vocab) {
      is_recent_[static_cast<std::size_t>(token)] = true;
    }
  }
}

float Sampler::penalized(float logit, std::size_t token) const {
  logit = never_if_nan(logit);
  if (recent_.empty() || !is_recent_[token]) return logit;
  const auto penalty = static_cast<float>(options_.repeat_penalty);
  return never_if_nan(logit > 0 ? logit / penalty : logit * penalty);
}

void Sampler::collect(std::span<const float> logits) {
  candidates_.clear();
  candidates_.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    candidates_.emplace_back(penalized(logits[i], i), static_cast<TokenId>(i));
  }
}

/// The best `top_k`, best first.
void Sampler::collect_top_k(std::span<const float> logits) {
  const std::size_t k = options_.top_k;
  if (k > kHeapTopK) {
    collect(logits);
    if (k < candidates_.size()) {
      std::ranges::nth_element(candidates_, candidates_.begin() + static_cast<std::ptrdiff_t>(k),
                               is_better);
      candidates_.resize(k);
    }
  } else {
    candidates_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const Candidate candidate(penalized(logits[i], i), static_cast<TokenId>(i));
      if (candidates_.size() == k) {
        if (!is_better(candidate, candidates_.front())) continue;
        std::ranges::pop_heap(candidates_, is_better);
        candidates_.back() = candidate;
      } else {
        candidates_.push_back(candidate);
      }
      std::ranges::push_heap(candidates_, is_better);
    }
  }
  std::ranges::sort(candidates_, is_better);
}

void Sampler::weigh(double temperature) {
  weights_.resize(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const float logit = candidates_[i].first;
    weights_[i] = logit == best_ ? 1.0 : exp_of((double{logit} - double{best_}) / temperature);
  }
}

/// The shortest list of the best whose weights reach the share top_p of all.
void Sampler::keep_top_p() {
  weigh(1.0);
  double all = 0;
  for (const double weight : weights_) all += weight;
  const double wanted = options_.top_p * all;
  double sum = 0;
  std::size_t kept = 0, sorted = 0;
  while (kept < candidates_.size()) {
    if (kept == sorted) {
      sorted = std::min(candidates_.size(), std::max(kFirstSorted, 4 * sorted));
      std::ranges::partial_sort(candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                                candidates_.begin() + static_cast<std::ptrdiff_t>(sorted),
                                candidates_.end(), is_better);
    }
    const float logit = candidates_[kept++].first;
    sum += logit == best_ ? 1.0 : exp_of(double{logit} - double{best_});
    if (sum >= wanted) break;
  }
  candidates_.resize(kept);
}

double Sampler::uniform() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

TokenId Sampler::sample(std::span<const float> logits) {
  if (logits.empty()) return 0;
  mark_recent(logits.size());
  if (!(options_.temperature > 0)) {
    if (recent_.empty()) return greedy_token(logits);
    collect(logits);
    return std::ranges::min_element(candidates_, is_better)->second;
  }
  if (options_.top_k > 0) {
    collect_top_k(logits);
    best_ = candidates_.front().first;
  } else {
    collect(logits);
    best_ = std::ranges::min_element(candidates_, is_better)->first;
  }
  // Without any possible token the first one, as greedy does.
  if (best_ == kNever) return std::ranges::min_element(candidates_, is_better)->second;
  if (options_.top_p < 1.0) keep_top_p();
  if (options_.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate& c) {
      return c.first != best_ && exp_of(double{c.first} - double{best_}) < options_.min_p;
    });
  }
  weigh(options_.temperature);
  double all = 0;
  for (const double weight : weights_) all += weight;
  double left = uniform() * all;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    left -= weights_[i];
    if (left < 0) return candidates_[i].second;
  }
  // Rounding left nothing over: the last one that can come at all.
  for (std::size_t i = candidates_.size(); i-- > 0;) {
    if (weights_[i] > 0) return candidates_[i].second;
  }
  return candidates_.front().second;
}

}  // namespace engine
