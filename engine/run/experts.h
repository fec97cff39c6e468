// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/model_params.h"

namespace engine {

/// Which experts a pass's tokens take, ordered by expert: what products over experts need.
struct ExpertChoice {
  /// One entry a taken pair of token and expert, all of one expert side by side.
  std::vector<std::uint32_t> token_of;  // row of the activations
  std::vector<float> weight_of;         // of the expert's answer
  std::vector<std::uint32_t> pair_of;   // pair_of[token * n_used + i]: where the token's i-th is
  struct Group {
    std::uint32_t expert = 0, first = 0, n = 0;  // pairs [first, first + n)
  };
  std::vector<Group> groups;  // experts that were taken, ascending
};

/// Chooses for every row of `logits` (n_tokens, n_experts) the n_used experts and their weights.
/// `selection_bias` is added for choosing only; or null.
void choose_experts(const ModelParams& params, const float* logits, std::uint32_t n_tokens,
                    std::uint32_t n_experts, std::uint32_t n_used, const float* selection_bias,
                    ExpertChoice* choice);

}  // namespace engine
