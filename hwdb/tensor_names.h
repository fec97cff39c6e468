// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "hwdb/model.h"

namespace hwdb {

/// What a GGUF tensor directory tells about a model's shape by which tensors are there: biases,
/// norms, fused matrices, which layers attend and which have experts.
struct TensorNames {
  enum Mark : std::uint32_t {
    kAttention = 1u << 0,  // keys of its own: attn_k or a latent
    kFusedQkv = 1u << 1,
    kRecurrent = 1u << 2,
    kLatentKeys = 1u << 3,  // attn_k_b: the cache can hold the latent
    kQkvBias = 1u << 4,
    kOutBias = 1u << 5,
    kDenseFfn = 1u << 6,
    kFfnGate = 1u << 7,
    kMlpBias = 1u << 8,
    kExperts = 1u << 9,
    kExpertBias = 1u << 10,
    kSharedExpert = 1u << 11,
    kSharedGate = 1u << 12,
    kRouterBias = 1u << 13,
    kSinks = 1u << 14,
    kQkNorm = 1u << 15,
    kValues = 1u << 16,  // attn_v
    kSsmNorm = 1u << 17,
    kBcDtNorm = 1u << 18,
    kMtp = 1u << 19,
  };
  struct Layer {
    std::uint32_t marks = 0;
    std::uint32_t norms = 0;
    std::uint32_t tensors = 0;
  };
  using Extents = std::array<std::uint64_t, 4>;

  std::vector<Layer> layers;  // up to the highest block number, at most kLayers + 1 of them
  std::uint32_t any = 0;      // all marks together
  bool has_tensors = false, output = false, norm_bias = false;
  // Extents of single tensors; all zero when absent.
  Extents token_embd{}, position_embd{}, per_layer_embd{}, q_norm{}, q{}, ffn_up{}, ffn_up_shared{},
      ffn_up_experts{}, laurel{};

  bool has(Mark mark) const { return (any & mark) != 0; }
  /// The layers with that mark, ascending.
  std::vector<std::uint32_t> layers_with(std::uint32_t marks) const;
};

TensorNames summarize_names(std::span<const TensorInfo> tensors);

}  // namespace hwdb
