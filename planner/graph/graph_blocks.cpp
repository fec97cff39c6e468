// SPDX-License-Identifier: MIT
#include "planner/graph/graph_blocks.h"

#include <algorithm>
#include <array>

#include "planner/graph/graph_traits.h"

namespace planner {
namespace {

constexpr std::uint32_t kRepeats = 4;  // 2 halves the work, and 0.3 % more buffers are 2 % off

bool same_kind(const hwdb::LayerShape& x, const hwdb::LayerShape& y) {
  return x.kind == y.kind && x.n_heads == y.n_heads && x.n_kv_heads == y.n_kv_heads &&
         x.head_dim_k == y.head_dim_k && x.head_dim_v == y.head_dim_v && x.v_is_k == y.v_is_k &&
         x.owns_cache == y.owns_cache && (x.window > 0) == (y.window > 0) && x.n_ff == y.n_ff &&
         x.n_experts == y.n_experts;
}

/// The block whose cache block `i` reads: its own, or the last owner's of the same reach.
std::uint32_t cache_owner(const std::vector<hwdb::LayerShape>& layers, std::uint32_t i) {
  for (std::uint32_t owner = i; owner > 0 && !layers[i].owns_cache; --owner)
    if (layers[owner - 1].owns_cache && (layers[owner - 1].window > 0) == (layers[i].window > 0))
      return owner - 1;
  return i;
}

bool turns(const hwdb::ModelShape& shape, const GraphTraits& traits, std::uint32_t index,
           const hwdb::LayerShape& layer) {
  const std::uint32_t every = shape.rope.none_every;
  if (!traits.rope || (every > 0 && (index + 1) % every == 0)) return false;
  return !traits.rope_on_windows_only || layer.window > 0;
}

}  // namespace

int device_of_block(const ComputePlacement& placement, std::uint32_t layer) {
  const int host = static_cast<int>(placement.n_gpus);
  if (layer < placement.first_gpu_layer || placement.n_gpus == 0) return host;
  std::uint32_t end = placement.first_gpu_layer;
  for (std::uint32_t gpu = 0; gpu < placement.n_gpus; ++gpu) {
    end += placement.layers_on_gpu[gpu];
    if (layer < end) return static_cast<int>(gpu);
  }
  return host - 1;
}

BlockKinds::BlockKinds(const hwdb::ModelShape& shape) : layers_(hwdb::layers_of(shape)) {
  const GraphTraits traits = graph_traits(shape);
  all_count_ = traits.drops_blocks_without_ffn;
  copies_embeddings_ = traits.adds_layer_embeddings;
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
  using Neighbourhood = std::array<std::uint64_t, 3>;  // the two blocks before, and this
  struct Count {
    Neighbourhood blocks;
    std::uint32_t times, seen;
  };
  std::vector<Count> counts;
  std::vector<std::size_t> count_of;
  std::vector<Block> blocks, kept;
  Neighbourhood around{~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}};
  for (std::uint32_t i = 0; i < layers_.size(); ++i) {
    Block block;
    block.index = i;
    block.kind = kind_[i];
    block.device = device_of_block(placement, i);
    block.cache_device =
        placement.cache_on_host ? host : device_of_block(placement, cache_owner(layers_, i));
    block.expert_device = i < placement.n_cpu_moe ? host : block.device;
    block.last = i + 1 == layers_.size();
    block.layer = layers_[i];
    block.rope = rope_[i] != 0;
    const std::uint64_t here = (std::uint64_t{block.kind} << 32) |
                               (static_cast<std::uint64_t>(block.device) << 16) |
                               (static_cast<std::uint64_t>(block.cache_device) << 8) |
                               static_cast<std::uint64_t>(block.expert_device);
    around = {around[1], around[2], here};
    auto known = std::ranges::find_if(counts, [&](const Count& c) { return c.blocks == around; });
    if (known == counts.end()) known = counts.insert(counts.end(), {around, 0, 0});
    ++known->times;
    count_of.push_back(static_cast<std::size_t>(known - counts.begin()));
    blocks.push_back(block);
  }
  // What a dropped block has computed is never given back, and every block on another GPU gets a
  // copy of its layer embedding: each of them counts.
  if (all_count_ || (copies_embeddings_ && placement.n_gpus > 1)) return blocks;
  // A few of each neighbourhood: the later ones run on holes that the first have left. Tensors
  // often take turns between two places, so an odd number of blocks stays odd; the last is kept.
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    Count& count = counts[count_of[i]];
    const std::uint32_t odd = count.times % 2;
    const std::uint32_t enough =
        count_of[i] == count_of.back() ? kRepeats + 1 - odd : kRepeats + odd;
    if (count.seen++ < enough || blocks[i].last) kept.push_back(blocks[i]);
  }
  return kept;
}

}  // namespace planner
