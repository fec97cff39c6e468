// SPDX-License-Identifier: MIT
#include "engine/synth/synth_shape.h"

#include <algorithm>

namespace engine {
namespace {

void keep_first(std::uint32_t n, hwdb::PerLayer* list) {
  if (list->values.size() <= 1) return;
  list->values.resize(std::min<std::size_t>(list->values.size(), n));
  if (std::ranges::count(list->values, list->values.front()) ==
      static_cast<std::ptrdiff_t>(list->values.size())) {
    list->values.resize(1);
  }
}

void keep_below(std::uint32_t n, std::vector<std::uint32_t>* layers) {
  std::erase_if(*layers, [n](std::uint32_t layer) { return layer >= n; });
}

void cut_layers(std::uint32_t n, hwdb::ModelShape* shape) {
  const std::uint32_t before = shape->n_layers;
  shape->n_layers = n;
  keep_first(n, &shape->n_heads);
  keep_first(n, &shape->n_kv_heads);
  keep_first(n, &shape->n_ff);
  keep_below(n, &shape->global_layers);
  keep_below(n, &shape->attention_layers);
  if (shape->sliding_window > 0 || shape->chunked_attention > 0) {
    shape->all_layers_sliding = shape->global_layers.empty();
  }
  if (!shape->layer_pattern.empty()) shape->layer_pattern.resize(n);
  shape->first_dense_layers = std::min(shape->first_dense_layers, n - 1);
  shape->hash_routed_layers = std::min(shape->hash_routed_layers, n);
  // The layers that own a cache come first, and they are what is kept.
  const std::uint32_t owners = before - std::min(before, shape->kv_shared_layers);
  shape->kv_shared_layers = n > owners ? n - owners : 0;
}

}  // namespace

hwdb::ModelShape cut_shape(const hwdb::ModelShape& shape, const SynthCuts& cuts) {
  hwdb::ModelShape out = shape;
  out.mtp_layers = 0;
  out.vision = false;
  if (cuts.n_layers && *cuts.n_layers < shape.n_layers) {
    cut_layers(std::max(*cuts.n_layers, 1u), &out);
  }
  if (cuts.n_experts && shape.n_experts > 0) {
    out.n_experts = std::clamp(*cuts.n_experts, shape.n_experts_used, shape.n_experts);
  }
  if (cuts.n_vocab) {
    out.n_vocab = std::min(*cuts.n_vocab, shape.n_vocab);
    out.per_layer_vocab = std::min(shape.per_layer_vocab, out.n_vocab);
  }
  return out;
}

}  // namespace engine
