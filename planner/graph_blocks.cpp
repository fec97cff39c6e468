// SPDX-License-Identifier: MIT
#include "planner/graph_blocks.h"

#include <algorithm>

#include "planner/graph_traits.h"

namespace planner {
namespace {

bool same_kind(const hwdb::LayerShape& x, const hwdb::LayerShape& y) {
  return x.kind == y.kind && x.n_heads == y.n_heads && x.n_kv_heads == y.n_kv_heads &&
         x.head_dim_k == y.head_dim_k && x.head_dim_v == y.head_dim_v && x.v_is_k == y.v_is_k &&
         x.owns_cache == y.owns_cache && (x.window > 0) == (y.window > 0) && x.n_ff == y.n_ff &&
         x.n_experts == y.n_experts;
}

int device_of(const ComputePlacement& placement, std::uint32_t layer) {
  const int host = static_cast<int>(placement.n_gpus);
  if (layer < placement.first_gpu_layer || placement.n_gpus == 0) return host;
  std::uint32_t end = placement.first_gpu_layer;
  for (std::uint32_t gpu = 0; gpu < placement.n_gpus; ++gpu) {
    end += placement.layers_on_gpu[gpu];
    if (layer < end) return static_cast<int>(gpu);
  }
  return host - 1;
}

bool turns(const hwdb::ModelShape& shape, const GraphTraits& traits, std::uint32_t index,
           const hwdb::LayerShape& layer) {
  const std::uint32_t every = shape.rope.none_every;
  if (!traits.rope || (every > 0 && (index + 1) % every == 0)) return false;
  return !traits.rope_on_windows_only || layer.window > 0;
}

}  // namespace

BlockKinds::BlockKinds(const hwdb::ModelShape& shape) : layers_(hwdb::layers_of(shape)) {
  const GraphTraits traits = graph_traits(shape);
  std::vector<std::uint32_t> first_of_kind;
  for (std::uint32_t i = 0; i < layers_.size(); ++i) {
    rope_.push_back(turns(shape, traits, i, layers_[i]) ? 1 : 0);
    const auto known = std::ranges::find_if(first_of_kind, [&](std::uint32_t other) {
      return same_kind(layers_[other], layers_[i]) && rope_[other] == rope_[i];
    });
    kind_.push_back(static_cast<std::uint32_t>(known - first_of_kind.begin()));
    if (known == first_of_kind.end()) first_of_kind.push_back(i);
  }
}

std::vector<Block> BlockKinds::representatives(const ComputePlacement& placement) const {
  const int host = static_cast<int>(placement.n_gpus);
  struct Neighbours {
    std::uint64_t before, here;
    int times;
  };
  std::vector<Neighbours> seen;
  std::vector<Block> kept;
  std::uint64_t before = ~std::uint64_t{0};
  for (std::uint32_t i = 0; i < layers_.size(); ++i) {
    Block block;
    block.index = i;
    block.kind = kind_[i];
    block.device = device_of(placement, i);
    block.cache_device = placement.cache_on_host ? host : block.device;
    block.expert_device = i < placement.n_cpu_moe ? host : block.device;
    block.last = i + 1 == layers_.size();
    const std::uint64_t here = (std::uint64_t{block.kind} << 32) |
                               (static_cast<std::uint64_t>(block.device) << 16) |
                               (static_cast<std::uint64_t>(block.cache_device) << 8) |
                               static_cast<std::uint64_t>(block.expert_device);
    auto known = std::ranges::find_if(
        seen, [&](const Neighbours& n) { return n.before == before && n.here == here; });
    if (known == seen.end()) known = seen.insert(seen.end(), {before, here, 0});
    before = here;
    // Two of each neighbourhood: the second one runs on holes that the first has left.
    if (known->times++ >= 2 && !block.last) continue;
    block.layer = layers_[i];
    block.rope = rope_[i] != 0;
    kept.push_back(block);
  }
  return kept;
}

}  // namespace planner
