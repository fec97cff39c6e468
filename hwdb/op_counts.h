// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "hwdb/model.h"
#include "hwdb/units.h"
#include "hwdb/weight_plan.h"

/// Bytes and FLOPs of a model's operations: the one set of formulas that the planner predicts with
/// and the engine counts by.
namespace hwdb {

/// What one layer holds and what a token costs in it. A multiply-add is two FLOPs.
struct LayerCosts {
  LayerKind kind = LayerKind::full_attention;
  std::uint64_t attention_bytes = 0;  // weights of token mixing
  std::uint64_t dense_ffn_bytes = 0;  // dense FFN, shared experts, router, norms
  std::uint64_t expert_bytes = 0;     // all routed experts
  double dense_flops_per_token = 0;  // products with attention and dense FFN weights, state updates
  double mixing_flops_per_token = 0;  // of dense_flops: what is not the FFN's
  double expert_flops_per_token = 0;  // with the n_experts_used experts that a token takes
  double attention_flops_per_token_and_cell =
      0;                        // 2 * n_heads * (head_dim_k + head_dim_v); MLA: on the latent
  std::uint32_t window = 0;     // cells seen at most; 0: all
  std::uint32_t n_matmuls = 0;  // matrix products, for dispatch overhead
  /// Numbers that a token's products take and give, which travel through memory between them.
  double activations_per_token = 0;
  std::uint32_t n_scores = 0;  // of a token with one cell: query heads; 0 without attention
};

/// Bytes of 256 weights in the largest matrix of each kind: what a GPU needs room for when it
/// borrows one from the host. The initial values are those of Q4_K_M.
struct LargestMatrices {
  std::uint32_t block = 210;   // attention and dense FFN
  std::uint32_t expert = 210;  // routed experts
  std::uint32_t output = 210;  // vocabulary
  bool operator==(const LargestMatrices&) const = default;
};

/// A model with its weights typed: all that the estimators need, per layer, made once per model and
/// quantization.
struct ModelCosts {
  ModelShape shape;
  std::string quant;  // preset or file type in words
  std::vector<LayerCosts> layers;
  std::uint64_t embedding_bytes = 0;  // token_embd (and per-layer and position tables): host
  std::uint64_t output_bytes =
      0;  // vocabulary matrix and output norm as offloaded; a tied table counted again
  bool output_is_tied = false;
  std::uint64_t tied_bytes = 0;  // of output_bytes, what the embedding is on the same device
  std::uint64_t mtp_bytes = 0;
  std::uint64_t side_tower_bytes = 0;  // vision or audio parts inside the file
  double output_flops_per_token = 0;
  std::uint64_t file_bytes = 0;    // header included; estimated when there is no file
  std::uint64_t tensor_bytes = 0;  // without padding and header
  double params_total = 0, params_active = 0;
  double bits_per_weight = 0;  // tensor bytes over elements
  struct TypeShare {
    TensorType type;
    std::uint64_t bytes;
  };
  std::vector<TypeShare> types;  // largest first; formats outside GGUF: their 16-bit part alone
  /// The same by what reads them, for rates that depend on the type; formats outside GGUF: none.
  struct RoleTypes {
    std::vector<TypeShare> layers;  // attention and dense FFN
    std::vector<TypeShare> experts;
    std::vector<TypeShare> output;  // a tied table counts here
  } role_types;
  /// Matrices outside the embedding that llama.cpp's CPU backend copies into another layout when it
  /// has all of the model, by instruction set; the rest is used from the file's pages.
  struct RepackBytes {
    std::uint64_t avx2 = 0, avx512 = 0;  // avx512: with what avx2 repacks
    std::uint64_t neon = 0;              // dot product or 8-bit matrix instructions
  };
  RepackBytes repack;
  LargestMatrices largest;
  bool sizes_only = false;  // unknown architecture: bytes are exact, cache and speed are not known
};

/// FLOPs of one token with one tensor, by what reads it.
struct TokenFlops {
  double dense = 0;    // a layer's products for every token
  double experts = 0;  // of n_experts_used of n_experts
  double output = 0;   // outside the layers
};
TokenFlops flops_per_token(const ModelShape& shape, const PlannedTensor& tensor);

/// A matrix that activations are multiplied by; norms, biases and convolutions are vectors' work.
bool is_product(const TensorInfo& info);

/// True for the tensors of built-in draft layers.
bool is_draft_tensor(const ModelShape& shape, const PlannedTensor& tensor);

/// The typed tensors of a GGUF file with their roles, and those that a preset makes of a shape.
/// Errors as tensor_list and apply_preset.
std::vector<PlannedTensor> tensors_of_file(const ModelFile& file);
Result<std::vector<PlannedTensor>> tensors_of_preset(const ModelShape& shape,
                                                     const QuantOptions& options);

/// Sums a tensor list (of a file, or made by tensor_list and apply_preset) by layer and role.
/// Error: model.overflow.
Result<ModelCosts> model_costs(const ModelShape& shape, std::string quant,
                               const std::vector<PlannedTensor>& tensors, Bytes file_bytes);

/// The catalogue way: tensor_list, apply_preset, model_costs.
Result<ModelCosts> model_costs_of_preset(const ModelShape& shape, const QuantOptions& options);
/// The file way. A file of an unknown architecture gives `sizes_only`.
Result<ModelCosts> model_costs_of_file(const ModelFile& file);
/// Formats outside GGUF (FP8, AWQ, MLX...): matrices of the blocks at `bits_per_weight`,
/// embeddings, norms, routers and output in 16 bit; MLX quantizes the vocabulary tables too. The
/// file's header (some kB) is not counted. Error: quant.unknown for bits outside (0, 32].
Result<ModelCosts> model_costs_of_format(const ModelShape& shape, std::string format,
                                         double bits_per_weight);

/// The expected share of a layer's routed experts that `tokens` tokens touch together: 1 - (1 -
/// k/E)^tokens.
double expected_expert_share(std::uint32_t n_experts, std::uint32_t n_experts_used, double tokens);

}  // namespace hwdb
