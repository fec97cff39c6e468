// SPDX-License-Identifier: MIT
#include "planner/unknown_bounds.h"

#include <algorithm>

#include "hwdb/kv_cache.h"
#include "planner/graph/compute_memo.h"

namespace planner {
namespace {

/// As wide as the widest FFN of the catalogue, in widths of the model.
constexpr std::uint32_t kWidestFfn = 8;

/// A plain decoder of the stated sizes, with what is not stated at its largest.
hwdb::ModelShape plain_decoder(const hwdb::ModelShape& stated) {
  hwdb::ModelShape shape;
  shape.architecture = stated.architecture;
  shape.known_architecture = true;
  shape.n_layers = stated.n_layers;
  shape.n_embd = stated.n_embd;
  shape.n_vocab = stated.n_vocab;
  const bool heads = !stated.n_heads.empty() && stated.head_dim_k > 0;
  shape.n_heads = heads ? stated.n_heads : hwdb::PerLayer(1);
  shape.n_kv_heads = heads && !stated.n_kv_heads.empty() ? stated.n_kv_heads : shape.n_heads;
  shape.head_dim_k = heads ? stated.head_dim_k : stated.n_embd;
  shape.head_dim_v = heads && stated.head_dim_v > 0 ? stated.head_dim_v : shape.head_dim_k;
  shape.n_ff = stated.n_ff.empty() ? hwdb::PerLayer(kWidestFfn * stated.n_embd) : stated.n_ff;
  return shape;
}

}  // namespace

std::optional<MemoryBounds> bounds_of_unknown(const PlanInputs& inputs) {
  const hwdb::ModelShape& stated = inputs.model->shape;
  if (stated.n_layers == 0 || stated.n_embd == 0) return std::nullopt;
  const hwdb::ModelShape shape = plain_decoder(stated);
  if (!hwdb::check_sizes(shape)) return std::nullopt;
  const auto request = cache_request_of(inputs.settings);
  if (!request) return std::nullopt;
  const auto recipe = hwdb::make_cache_recipe(shape, *request);
  if (!recipe) return std::nullopt;
  const auto cache = hwdb::cache_totals(*recipe, *request);
  if (!cache) return std::nullopt;

  MemoryBounds bounds;
  bounds.cache_high = cache->kv;
  ComputeMemo memo(shape);
  ComputeRequest compute;
  compute.cells = hwdb::context_per_sequence(*request);
  compute.n_seq = request->n_seq;
  compute.n_tokens = request->n_ubatch;
  compute.n_outputs = request->n_seq;
  compute.type_k = request->type_k;
  compute.type_v = request->type_v;
  bounds.compute_low = memo.find(compute, {}).host;
  compute.n_outputs = compute.n_tokens;
  compute.flash_attn = false;
  bounds.compute_high = memo.find(compute, {}).host;
  bounds.missing = {"how its blocks mix tokens", "recurrent state", "speed"};
  if (stated.n_heads.empty()) bounds.missing.emplace_back("attention heads");
  if (stated.n_ff.empty()) bounds.missing.emplace_back("FFN width");
  return bounds;
}

}  // namespace planner
