// SPDX-License-Identifier: MIT
#include "engine/run/experts.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "engine/cpu/elementwise.h"

namespace engine {
namespace {

constexpr float kSmallestSum = 6.103515625e-5f;  // the smallest normal number of 16 bits
constexpr float kNever = -std::numeric_limits<float>::infinity();

/// One token's choice; its arrays are kept from token to token.
class Chooser {
 public:
  Chooser(const ModelParams& params, std::uint32_t n_experts, std::uint32_t n_used)
      : params_(params),
        n_used_(n_used),
        scores_(n_experts),
        ranked_(n_experts),
        order_(n_experts) {}

  /// The chosen experts, best first; weights()[i] belongs to the i-th.
  std::span<const std::uint32_t> choose(const float* logits, const float* selection_bias) {
    score(logits);
    // A NaN would have no place in an order; it is never chosen first.
    std::ranges::transform(scores_, ranked_.begin(),
                           [](float x) { return std::isnan(x) ? kNever : x; });
    if (selection_bias != nullptr) {
      for (std::size_t e = 0; e < ranked_.size(); ++e) {
        const float biased = ranked_[e] + selection_bias[e];
        ranked_[e] = std::isnan(biased) ? kNever : biased;
      }
    }
    if (params_.n_expert_groups > 1) drop_groups();
    std::iota(order_.begin(), order_.end(), 0u);
    std::ranges::partial_sort(order_, order_.begin() + n_used_,
                              [&](std::uint32_t a, std::uint32_t b) {
                                return ranked_[a] != ranked_[b] ? ranked_[a] > ranked_[b] : a < b;
                              });
    weigh();
    return {order_.data(), n_used_};
  }
  const std::vector<float>& weights() const { return weights_; }

 private:
  void score(const float* logits) {
    switch (params_.router) {
      case RunTraits::Router::softmax:
        cpu::softmax(logits, scores_.size(), scores_.data());
        break;
      case RunTraits::Router::sigmoid:
        std::transform(logits, logits + scores_.size(), scores_.begin(),
                       [](float x) { return 1 / (1 + std::exp(-x)); });
        break;
      case RunTraits::Router::softmax_of_chosen:
        std::copy_n(logits, scores_.size(), scores_.begin());
        break;
    }
  }

  /// Leaves the groups with the largest sums of their two best experts.
  void drop_groups() {
    const std::size_t n_groups = params_.n_expert_groups, size = ranked_.size() / n_groups;
    std::vector<float> sums(n_groups);
    for (std::size_t g = 0; g < n_groups; ++g) {
      float best = kNever, second = kNever;
      for (std::size_t i = 0; i < size; ++i) {
        const float value = ranked_[g * size + i];
        second = std::max(second, std::min(best, value));
        best = std::max(best, value);
      }
      sums[g] = size > 1 ? best + second : best;
    }
    std::vector<float> sorted = sums;
    std::ranges::nth_element(sorted, sorted.begin() + params_.n_expert_groups_used - 1,
                             std::greater<>());
    const float least = sorted[params_.n_expert_groups_used - 1];
    std::uint32_t kept = 0;
    for (std::size_t g = 0; g < n_groups; ++g) {
      if (sums[g] >= least && kept < params_.n_expert_groups_used) {
        ++kept;
        continue;
      }
      std::fill_n(ranked_.begin() + static_cast<std::ptrdiff_t>(g * size), size, kNever);
    }
  }

  void weigh() {
    weights_.resize(n_used_);
    for (std::uint32_t i = 0; i < n_used_; ++i) weights_[i] = scores_[order_[i]];
    if (params_.router == RunTraits::Router::softmax_of_chosen) {
      cpu::softmax(weights_.data(), n_used_, weights_.data());
    }
    if (params_.normalize_chosen) {
      const float sum =
          std::max(std::accumulate(weights_.begin(), weights_.end(), 0.0f), kSmallestSum);
      for (float& w : weights_) w /= sum;
    }
    for (float& w : weights_) w *= params_.expert_weights_scale;
  }

  const ModelParams& params_;
  std::uint32_t n_used_;
  std::vector<float> scores_, ranked_, weights_;
  std::vector<std::uint32_t> order_;
};

}  // namespace

void choose_experts(const ModelParams& params, const float* logits, std::uint32_t n_tokens,
                    std::uint32_t n_experts, std::uint32_t n_used, const float* selection_bias,
                    ExpertChoice* choice) {
  Chooser chooser(params, n_experts, n_used);
  const std::size_t n_pairs = std::size_t{n_tokens} * n_used;
  std::vector<std::uint32_t> experts(n_pairs);
  std::vector<float> weights(n_pairs);
  std::vector<std::uint32_t> firsts(n_experts + 1);
  for (std::uint32_t t = 0; t < n_tokens; ++t) {
    const auto chosen = chooser.choose(logits + std::size_t{t} * n_experts, selection_bias);
    for (std::uint32_t i = 0; i < n_used; ++i) {
      experts[std::size_t{t} * n_used + i] = chosen[i];
      weights[std::size_t{t} * n_used + i] = chooser.weights()[i];
      ++firsts[chosen[i] + 1];
    }
  }
  choice->groups.clear();
  for (std::uint32_t e = 0; e < n_experts; ++e) {
    if (firsts[e + 1] > 0) choice->groups.push_back({e, firsts[e], firsts[e + 1]});
    firsts[e + 1] += firsts[e];
  }
  choice->token_of.resize(n_pairs);
  choice->weight_of.resize(n_pairs);
  choice->pair_of.resize(n_pairs);
  for (std::size_t p = 0; p < n_pairs; ++p) {
    const std::uint32_t at = firsts[experts[p]]++;
    choice->token_of[at] = static_cast<std::uint32_t>(p / n_used);
    choice->weight_of[at] = weights[p];
    choice->pair_of[p] = at;
  }
}

}  // namespace engine
