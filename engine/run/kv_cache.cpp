// SPDX-License-Identifier: MIT
#include "engine/run/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hwdb/units.h"

namespace engine {
namespace {

using hwdb::Error;
using hwdb::LayerShape;
using hwdb::Result;

Error refused(hwdb::TensorType type, std::uint32_t head_dim) {
  return Error{"cache.type",
               fmt::format("the engine has no cache of {} for heads of {} elements",
                           hwdb::format_of(type).name, head_dim),
               {},
               "f16, bf16, f32, q8_0 and q4_0 work where the type's block divides the head"};
}

/// The heads of a layer's cache: one latent head with latent attention, whose values are the first
/// part of its keys.
cpu::LayerKv heads_of(const hwdb::ModelShape& shape, const LayerShape& layer,
                      const hwdb::CacheRequest& request) {
  cpu::LayerKv kv;
  kv.type_k = request.type_k;
  kv.type_v = request.type_v;
  kv.n_kv_heads = layer.n_kv_heads;
  kv.head_dim_k = layer.head_dim_k;
  kv.head_dim_v = layer.head_dim_v;
  if (layer.kind != hwdb::LayerKind::mla) return kv;
  const hwdb::MlaShape& mla = *shape.mla;
  if (mla.split_kv_b) {
    kv.n_kv_heads = 1;
    kv.head_dim_k = mla.kv_lora_rank + mla.qk_rope_dim;
    kv.head_dim_v = mla.kv_lora_rank;
    kv.type_v = request.type_k;
  } else {
    kv.n_kv_heads = layer.n_heads;
    kv.head_dim_k = mla.qk_nope_dim + mla.qk_rope_dim;
    kv.head_dim_v = mla.v_head_dim;
  }
  return kv;
}

}  // namespace

Result<KvCache> KvCache::make(const hwdb::ModelShape& shape, const std::vector<LayerShape>& layers,
                              const hwdb::CacheRequest& request) {
  auto sizes = hwdb::cache_of_layers(shape, request);
  if (!sizes) return sizes.error();
  KvCache cache;
  std::uint64_t total = 0;
  std::vector<std::uint64_t> places;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    cpu::LayerKv kv = heads_of(shape, layers[i], request);
    const bool latent = layers[i].kind == hwdb::LayerKind::mla && shape.mla->split_kv_b;
    const bool caches = layers[i].kind != hwdb::LayerKind::none;
    if (caches && !cpu::can_cache(kv.type_k, kv.head_dim_k)) {
      return refused(kv.type_k, kv.head_dim_k);
    }
    if (caches && !latent && !cpu::can_cache(kv.type_v, kv.head_dim_v)) {
      return refused(kv.type_v, kv.head_dim_v);
    }
    kv.n_cells = static_cast<std::uint32_t>((*sizes)[i].cells);
    places.push_back(total);
    if (!hwdb::checked_add(total, (*sizes)[i].kv.value, &total)) {
      return Error{"model.overflow", "the cache does not fit 64 bits", {}, {}};
    }
    if (layers[i].window > 0) {
      cache.shortest_window_ = cache.shortest_window_ == 0
                                   ? layers[i].window
                                   : std::min(cache.shortest_window_, layers[i].window);
    }
    cache.layers_.push_back({kv, (*sizes)[i].bytes_per_token});
  }
  cache.memory_ = HugeMemory(total);
  if (cache.memory_.data() == nullptr && total > 0) {
    return Error{"run.memory",
                 fmt::format("the system refuses {} for the KV cache",
                             hwdb::format_bytes(hwdb::Bytes(total))),
                 {},
                 "a shorter -c, or -ctk q8_0 -ctv q8_0, needs less"};
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    cpu::LayerKv& kv = cache.layers_[i].kv;
    kv.k = cache.memory_.data() + places[i];
    const bool latent = layers[i].kind == hwdb::LayerKind::mla && shape.mla->split_kv_b;
    const std::uint64_t keys = hwdb::row_bytes(kv.type_k, kv.head_dim_k) * kv.n_kv_heads *
                               std::uint64_t{kv.n_cells} * request.n_seq;
    if (!latent) kv.v = kv.k + keys;
  }
  return cache;
}

}  // namespace engine
