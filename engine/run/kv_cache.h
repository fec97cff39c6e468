// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cpu/attention.h"
#include "engine/runtime/huge_memory.h"
#include "hwdb/kv_cache.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace engine {

/// The keys and values of all layers and sequences, as many bytes as hwdb's rules say.
class KvCache {
 public:
  /// `request.n_ctx` counts all sequences together. Errors: those of hwdb::cache_of_layers;
  /// cache.type (a type or a head's width that the engine does not read); run.memory.
  static hwdb::Result<KvCache> make(const hwdb::ModelShape& shape,
                                    const std::vector<hwdb::LayerShape>& layers,
                                    const hwdb::CacheRequest& request);

  const cpu::LayerKv& layer(std::size_t i) const { return layers_[i].kv; }
  /// Bytes that one cached token has in that layer.
  std::uint64_t bytes_per_token(std::size_t i) const { return layers_[i].bytes_per_token; }
  std::uint64_t bytes() const { return memory_.size(); }
  /// The smallest number of positions that some layer still holds behind the newest: what lies
  /// further back cannot be taken up again. 0: all layers hold everything.
  std::uint32_t shortest_window() const { return shortest_window_; }

 private:
  struct Layer {
    cpu::LayerKv kv;
    std::uint64_t bytes_per_token = 0;
  };
  KvCache() = default;

  std::vector<Layer> layers_;
  HugeMemory memory_;
  std::uint32_t shortest_window_ = 0;
};

}  // namespace engine
