// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hwdb/model.h"
#include "hwdb/result.h"
#include "hwdb/weight_plan.h"

/// How llama.cpp cuts single matrices over several GPUs: by rows (-sm row) or by heads and
/// feed-forward columns (-sm tensor).
namespace hwdb {

enum class SliceRule {
  rows,   // matrices of two dimensions by rows; the rest stays with the layer's GPU
  heads,  // attention by heads with its cache, feed-forward by width; the rest on every GPU
};

struct SliceRequest {
  SliceRule rule = SliceRule::rows;
  std::vector<double> shares;  // one a GPU; all 0: equal
  /// Rows of a slice are a multiple of this: 128 for matrix kernels of Volta and later and of AMD
  /// cards, 64 for older ones.
  std::uint32_t row_multiple = 128;
};

/// What each GPU holds of each layer. GPUs count as in the request.
struct TensorSlices {
  struct Layer {
    /// Bytes on GPU `d` when the layer belongs to GPU `owner`: at [owner * n_gpus + d]. For
    /// SliceRule::heads the owner makes no difference.
    std::vector<std::uint64_t> dense, experts;
    /// SliceRule::heads: shares of the layer's cache and state by GPU; a mirrored cache has 1
    /// everywhere. Empty for rows: the cache is the owner's.
    std::vector<double> kv_share, state_share;
  };
  SliceRule rule = SliceRule::rows;
  std::uint32_t n_gpus = 0;
  std::vector<Layer> layers;
  std::vector<std::uint64_t> output;  // as Layer::dense
};

/// Slices a typed list (names as in GGUF). Draft layers, side towers and embeddings are left out.
/// Errors: usage.value (fewer than two GPUs or more than 64; an architecture that llama.cpp does
/// not split by heads).
Result<TensorSlices> slice_tensors(const ModelShape& shape, std::span<const PlannedTensor> tensors,
                                   const SliceRequest& request);

}  // namespace hwdb
