// SPDX-License-Identifier: MIT
#include "planner/graph_traits.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace planner {
namespace {

template <std::size_t n>
bool is_any(std::string_view name, const std::array<std::string_view, n>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

GraphTraits graph_traits(const hwdb::ModelShape& shape) {
  using namespace std::literals;
  const std::string_view name = shape.architecture;
  GraphTraits t;
  t.parallel_ffn = is_any(name, std::array{"falcon"sv, "phi2"sv, "command-r"sv, "cohere2"sv,
                                           "cohere2moe"sv, "gptneox"sv, "plamo"sv});
  t.norm_after_only = is_any(name, std::array{"olmo2"sv, "exaone4"sv});
  t.outputs_after_blocks = is_any(name, std::array{"gpt-oss"sv, "gemma4"sv, "mimo2"sv, "step35"sv});
  t.residual_first = is_any(name, std::array{"phi3"sv, "phimoe"sv});
  t.rope = shape.learned_positions == 0 &&
           !is_any(name, std::array{"gpt2"sv, "starcoder"sv, "bloom"sv, "mpt"sv});
  t.joined_gate_up = shape.fused_gate_up;
  t.router_picks_first = name == "gpt-oss";
  t.router_normalizes = is_any(
      name,
      std::array{"llama"sv,       "qwen3moe"sv,  "phi3"sv,      "phimoe"sv,     "granitemoe"sv,
                 "dbrx"sv,        "grok"sv,      "glm4moe"sv,   "minimax-m2"sv, "ernie4_5-moe"sv,
                 "hunyuan-moe"sv, "qwen3next"sv, "qwen35moe"sv, "lfm2moe"sv,    "bailingmoe"sv,
                 "bailingmoe2"sv, "gemma4"sv,    "mimo2"sv,     "step35"sv,     "granitehybrid"sv});
  // DeepSeek V3 and its relatives choose by sigmoid with a bias; V2 by softmax alone.
  const bool biased_choice =
      name == "deepseek2" && shape.n_experts >= 128 && shape.first_dense_layers > 1;
  t.router_normalizes = t.router_normalizes || biased_choice;
  t.router_bias_picks =
      biased_choice ||
      is_any(name, std::array{"glm4moe"sv, "minimax-m2"sv, "ernie4_5-moe"sv, "lfm2moe"sv,
                              "bailingmoe2"sv, "mimo2"sv, "step35"sv});
  t.router_groups = biased_choice && shape.n_experts == 256;
  t.weighs_before_experts = name == "llama4";
  return t;
}

}  // namespace planner
