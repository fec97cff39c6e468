// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/model.h"
#include "hwdb/result.h"
#include "hwdb/units.h"

namespace hwdb {

enum class Runtime { llama_cpp, ollama, lmstudio, vllm, mlx, tokwatt };
/// As flags, scenarios and records write it: "llama.cpp".
constexpr std::string_view to_string(Runtime runtime) {
  switch (runtime) {
    case Runtime::llama_cpp:
      return "llama.cpp";
    case Runtime::ollama:
      return "ollama";
    case Runtime::lmstudio:
      return "lmstudio";
    case Runtime::vllm:
      return "vllm";
    case Runtime::mlx:
      return "mlx";
    case Runtime::tokwatt:
      return "tokwatt";
  }
  return "";
}

/// The cache type that every runtime starts with.
inline const TensorType kDefaultCacheType = tensor_type("F16");

/// What the cache has to hold. Rules (padding, window cells, sharing) belong to the runtime.
struct CacheRequest {
  std::uint64_t n_ctx = 4096;  // all sequences together, as llama.cpp's -c
  std::uint32_t n_seq = 1;
  bool unified = false;          // one pool of cells for all sequences
  std::uint32_t n_ubatch = 512;  // tokens of one pass; vLLM: max_num_batched_tokens
  TensorType type_k = kDefaultCacheType, type_v = kDefaultCacheType;
  bool swa_full = false;  // llama.cpp's --swa-full: no saving on sliding layers
  Runtime runtime = Runtime::llama_cpp;
  bool flash_attn = true;             // without it llama.cpp pads V to the widest layer
  std::uint32_t rollback_copies = 0;  // further recurrent states a sequence, for undoing drafts
  std::uint32_t block_tokens = 16;    // vLLM: tokens of a page
};

/// The cache of one layer.
struct LayerCache {
  Bytes kv;                           // keys and values, index keys included
  Bytes state;                        // recurrent state and convolution history
  std::uint64_t cells = 0;            // per sequence (or of the pool when unified)
  std::uint64_t bytes_per_token = 0;  // read per cached token and sequence in one decode step
};

/// The cache of every layer. Errors: model.overflow, model.range (no context or no sequence),
/// cache.type (rows that do not divide into the type's block). For many requests on one model,
/// make a CacheRecipe once.
Result<std::vector<LayerCache>> cache_of_layers(const ModelShape& shape,
                                                const CacheRequest& request);
/// n_ctx of one sequence after the runtime's padding; of the pool when unified.
std::uint64_t context_per_sequence(const CacheRequest& request);

/// All of a model's cache rules that do not depend on context, sequences or micro-batch, worked
/// out once; the three functions below then take nanoseconds and allocate nothing.
struct CacheRecipe {
  /// Layers with equal rules.
  struct Group {
    std::uint64_t bytes_per_cell = 0;   // of one layer: keys, values and index keys as allocated
    std::uint64_t bytes_per_token = 0;  // of one layer: read per cached token in a decode step
    std::uint64_t state_bytes = 0;      // of one layer and one sequence
    std::uint32_t window = 0;           // tokens kept; 0: the whole context
    std::uint32_t n_layers = 0;
    std::uint32_t padding_layers = 0;  // vLLM: layers that exist only to fill a group
    std::uint64_t page_bytes = 0;      // vLLM: bytes of one layer's page; else 0
    std::uint64_t page_tokens = 0;     // vLLM: tokens in it; 0: one page holds the state
  };
  std::vector<Group> groups;
  std::vector<std::uint16_t> group_of_layer;  // n_layers entries
};

/// Uses the runtime, the types, `flash_attn`, `swa_full` and `block_tokens` of `request`; the
/// other members may change between calls of the functions below. Errors: cache.type,
/// model.overflow.
Result<CacheRecipe> make_cache_recipe(const ModelShape& shape, const CacheRequest& request);

struct CacheTotals {
  Bytes kv, state;
};
/// Sum over all layers. Errors: model.overflow, model.range.
Result<CacheTotals> cache_totals(const CacheRecipe& recipe, const CacheRequest& request);
/// Fills one entry a layer; `out` has n_layers entries. Errors as above.
Status fill_layer_caches(const CacheRecipe& recipe, const CacheRequest& request,
                         std::span<LayerCache> out);
/// Bytes of keys and values that one sequence with `depth` tokens in the cache reads in one decode
/// step of one layer; a window (0: none) limits it.
inline double cache_bytes_read(std::uint64_t bytes_per_token, double window, double depth) {
  return static_cast<double>(bytes_per_token) * (window > 0 && window < depth ? window : depth);
}
/// The same of all layers.
double cache_bytes_read(const CacheRecipe& recipe, std::uint64_t depth);

}  // namespace hwdb
