// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hwdb/model.h"
#include "hwdb/result.h"
#include "hwdb/units.h"

namespace hwdb {

enum class Runtime { llama_cpp, ollama, lmstudio, vllm, mlx, tokwatt };

/// What the cache has to hold. Rules (padding, window cells, sharing) belong to the runtime.
struct CacheRequest {
  std::uint64_t n_ctx = 4096;  // all sequences together, as llama.cpp's -c
  std::uint32_t n_seq = 1;
  bool unified = false;  // one pool of cells for all sequences
  std::uint32_t n_ubatch = 512;
  TensorType type_k = tensor_type("F16"), type_v = tensor_type("F16");
  bool swa_full = false;
  Runtime runtime = Runtime::llama_cpp;
};

/// The cache of one layer.
struct LayerCache {
  Bytes kv;                           // keys and values
  Bytes state;                        // recurrent state and convolution history
  std::uint64_t cells = 0;            // per sequence (or of the pool when unified)
  std::uint64_t bytes_per_token = 0;  // read per cached token and sequence in one decode step
};

/// The cache of every layer. Errors: model.overflow, cache.type (rows that do not divide into the
/// type's block).
Result<std::vector<LayerCache>> cache_of_layers(const ModelShape& shape,
                                                const CacheRequest& request);
/// n_ctx of one sequence after the runtime's padding.
std::uint64_t context_per_sequence(const CacheRequest& request);

}  // namespace hwdb
