// SPDX-License-Identifier: MIT
#include "hwdb/kv_cache.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "hwdb/limits.h"
#include "hwdb/tensor_traits.h"

namespace hwdb {
namespace {

constexpr std::uint64_t kCellPadding = 256;  // llama.cpp pads every context and window to this

bool follows_llama_cpp(Runtime runtime) {
  return runtime != Runtime::vllm && runtime != Runtime::mlx;
}

Error overflow() {
  return Error{"model.overflow", "the cache exceeds 2^63 bytes", {}, "lower the context"};
}

/// Sums and products that remember when they did not fit.
class Checked {
 public:
  std::uint64_t mul(std::uint64_t a, std::uint64_t b) {
    std::uint64_t out = 0;
    failed_ = !checked_mul(a, b, &out) || failed_;
    return out;
  }
  std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    std::uint64_t out = 0;
    failed_ = !checked_add(a, b, &out) || failed_;
    return out;
  }
  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

/// Elements of keys and values that one token leaves in one layer.
struct CellWidth {
  std::uint64_t k = 0, v = 0, index = 0;
  bool operator==(const CellWidth&) const = default;
};

CellWidth width_of(const ModelShape& shape, const LayerShape& layer, std::size_t index,
                   bool latent) {
  CellWidth width;
  if (layer.kind == LayerKind::recurrent || layer.kind == LayerKind::none || !layer.owns_cache) {
    return width;
  }
  if (layer.kind == LayerKind::mla && latent) {
    width.k = std::uint64_t{shape.mla->kv_lora_rank} + shape.mla->qk_rope_dim;
  } else if (layer.kind == LayerKind::mla) {
    width.k = std::uint64_t{layer.n_heads} * layer.head_dim_k;
    width.v = std::uint64_t{layer.n_heads} * layer.head_dim_v;
  } else {
    width.k = std::uint64_t{layer.n_kv_heads} * layer.head_dim_k;
    width.v = std::uint64_t{layer.n_kv_heads} * layer.head_dim_v;
  }
  if (shape.indexer && layer.window == 0 && index >= shape.indexer->first_layer)
    width.index = shape.indexer->head_dim;
  return width;
}

/// Bytes of one element of the convolution's history and of the state proper. llama.cpp keeps both
/// in 32 bits; the others keep the history in the model's 16 bits, and vLLM the state too (its
/// "auto"), but for delta attention with a gate per channel.
struct StateWidth {
  std::uint64_t history = 4, state = 4;
};

StateWidth state_width(SsmShape::Kind kind, Runtime runtime) {
  if (follows_llama_cpp(runtime)) return {4, 4};
  if (runtime == Runtime::vllm && kind != SsmShape::Kind::kda) return {2, 2};
  return {2, 4};
}

/// Bytes of the fixed state of one recurrent layer for one sequence.
std::uint64_t state_bytes(const ModelShape& shape, const SsmShape& ssm, Runtime runtime,
                          Checked* checked) {
  const std::uint64_t taps = ssm.d_conv > 0 ? ssm.d_conv - 1 : 0;
  const std::uint64_t inner = std::uint64_t{ssm.n_heads} * ssm.head_dim;
  const std::uint64_t keys = std::uint64_t{ssm.n_k_heads} * ssm.head_k;
  const std::uint64_t values = std::uint64_t{ssm.n_v_heads} * ssm.head_v;
  const std::uint64_t groups = std::max<std::uint32_t>(ssm.n_groups, 1);
  std::uint64_t channels = 0, state = 0;
  switch (ssm.kind) {
    case SsmShape::Kind::mamba1:
      channels = ssm.d_inner;
      state = checked->mul(ssm.d_state, ssm.d_inner);
      break;
    case SsmShape::Kind::mamba2:
      channels = checked->add(ssm.d_inner, checked->mul(2 * groups, ssm.d_state));
      state = checked->mul(ssm.d_state, ssm.d_inner);
      break;
    case SsmShape::Kind::gated_deltanet:
      channels = checked->add(checked->mul(2, keys), values);
      state = checked->mul(values, ssm.head_k);
      break;
    case SsmShape::Kind::kda:
      channels = checked->mul(3, inner);
      state = checked->mul(inner, ssm.head_dim);
      break;
    case SsmShape::Kind::lightning_attention:
      state = checked->mul(inner, ssm.head_dim);
      break;
    case SsmShape::Kind::short_conv:
      channels = shape.n_embd;
      break;
    case SsmShape::Kind::rwkv5:
    case SsmShape::Kind::rwkv7: {
      // Two shifted tokens instead of a convolution.
      const StateWidth bytes = state_width(ssm.kind, runtime);
      return checked->add(checked->mul(bytes.history, 2 * std::uint64_t{shape.n_embd}),
                          checked->mul(bytes.state, checked->mul(shape.n_embd, ssm.head_dim)));
    }
  }
  const StateWidth bytes = state_width(ssm.kind, runtime);
  return checked->add(checked->mul(bytes.history, checked->mul(taps, channels)),
                      checked->mul(bytes.state, state));
}

Result<std::uint64_t> checked_row_bytes(TensorType type, std::uint64_t elements) {
  auto bytes = tensor_bytes(format_of(type), elements, 1);
  if (bytes) return bytes;
  const bool overflowed = bytes.error().code == "gguf.size";
  return Error{overflowed ? "model.overflow" : "cache.type", bytes.error().what,
               std::string(format_of(type).name), "take f16, bf16 or f32 for the cache"};
}

/// What tells layers of different groups apart.
struct GroupKey {
  CellWidth width;
  std::uint32_t window = 0;
  bool has_state = false;
  bool operator==(const GroupKey&) const = default;
};

/// The rule of one layer; `stored_v` elements of V have a place, whatever is read.
Result<CacheRecipe::Group> group_of(const GroupKey& key, std::uint64_t stored_v,
                                    const CacheRequest& request, Checked* checked) {
  CacheRecipe::Group group;
  const auto k = checked_row_bytes(request.type_k, key.width.k);
  if (!k) return k.error();
  const auto v = checked_row_bytes(request.type_v, key.width.v);
  if (!v) return v.error();
  const auto stored = checked_row_bytes(request.type_v, stored_v);
  if (!stored) return stored.error();
  const auto index = checked_row_bytes(request.type_k, key.width.index);
  if (!index) return index.error();
  group.bytes_per_token = checked->add(checked->add(*k, *v), *index);
  group.bytes_per_cell = checked->add(checked->add(*k, *stored), *index);
  group.window = key.window;
  group.n_layers = 1;
  return group;
}

/// vLLM's block pool. Layers of one kind have pages of `block_tokens` each. Where kinds are mixed,
/// all pages have one size: an attention page grows until a recurrent state fits into one and
/// narrow layers put more tokens into theirs; layers go into groups of equally many, short ones
/// filled up (vllm/v1/core/kv_cache_utils.py, 001cabc1).
void set_pages(const CacheRequest& request, std::vector<CacheRecipe::Group>* groups) {
  const std::uint64_t block = std::max<std::uint32_t>(request.block_tokens, 1);
  std::uint64_t largest_state = 0, widest = 0;
  bool mixed = false;
  const CacheRecipe::Group* first = nullptr;
  std::uint32_t fewest = 0, most = 0;
  for (const auto& group : *groups) {
    if (group.bytes_per_cell == 0 && group.state_bytes == 0) continue;
    if (first == nullptr) first = &group;
    mixed = mixed || group.window != first->window ||
            (group.state_bytes > 0) != (first->state_bytes > 0);
    largest_state = std::max(largest_state, group.state_bytes);
    widest = std::max(widest, group.bytes_per_cell);
    fewest = fewest == 0 ? group.n_layers : std::min(fewest, group.n_layers);
    most = std::max(most, group.n_layers);
  }
  if (first == nullptr) return;
  std::uint64_t tokens = block;
  if (mixed && largest_state > 0 && widest > 0) {
    tokens = std::max(tokens, pad_up((largest_state + widest - 1) / widest, block));
  }
  // Nearly equal kinds form one group each, filled up to the larger; else all are cut to the
  // smaller.
  const std::uint32_t size = 2 * std::uint64_t{most} < 3 * std::uint64_t{fewest} ? most : fewest;
  for (auto& group : *groups) {
    if (group.bytes_per_cell == 0 && group.state_bytes == 0) continue;
    if (!mixed) {
      group.page_tokens = group.bytes_per_cell > 0 ? block : 0;
      group.page_bytes = group.page_tokens * group.bytes_per_cell;
      continue;
    }
    group.page_bytes = widest > 0 ? tokens * widest : largest_state;
    group.page_tokens =
        group.bytes_per_cell > 0 ? group.page_bytes / group.bytes_per_cell / block * block : 0;
    group.padding_layers = (size - group.n_layers % size) % size;
  }
}

/// What a request makes of a group: cells or pages of one layer, for all sequences.
struct Extent {
  std::uint64_t cells = 0;    // of one sequence, or of the pool
  std::uint64_t streams = 1;  // how many times
  std::uint64_t states = 0;   // recurrent states of one layer
};

Extent llama_cpp_extent(const CacheRecipe::Group& group, const CacheRequest& request,
                        std::uint64_t full) {
  Extent extent;
  extent.streams = request.unified ? 1 : request.n_seq;
  extent.cells = full;
  if (group.window > 0) {
    const std::uint64_t seen = std::uint64_t{group.window} * (request.unified ? request.n_seq : 1);
    extent.cells = pad_up(std::min(full, seen + request.n_ubatch), kCellPadding);
  }
  extent.states = std::uint64_t{request.n_seq} * (1 + std::uint64_t{request.rollback_copies});
  return extent;
}

Extent vllm_extent(const CacheRecipe::Group& group, const CacheRequest& request,
                   std::uint64_t per_sequence) {
  Extent extent;
  extent.streams = request.n_seq;
  extent.states = std::uint64_t{request.n_seq} * (1 + std::uint64_t{request.rollback_copies});
  if (group.page_tokens == 0) return extent;
  std::uint64_t pages = (per_sequence + group.page_tokens - 1) / group.page_tokens;
  if (group.window > 0) {
    const std::uint64_t kept =
        std::min(std::uint64_t{group.window} - 1 + request.n_ubatch, per_sequence);
    pages = std::min(pages, (kept + group.page_tokens - 1) / group.page_tokens + 1);
  }
  extent.cells = pages * group.page_tokens;
  return extent;
}

Extent mlx_extent(const CacheRecipe::Group& group, const CacheRequest& request,
                  std::uint64_t per_sequence) {
  Extent extent;
  extent.streams = request.n_seq;
  extent.states = std::uint64_t{request.n_seq} * (1 + std::uint64_t{request.rollback_copies});
  extent.cells = pad_up(per_sequence, kCellPadding);
  if (group.window > 0) extent.cells = std::min<std::uint64_t>(extent.cells, group.window);
  return extent;
}

Extent extent_of(const CacheRecipe::Group& group, const CacheRequest& request, std::uint64_t full) {
  switch (request.runtime) {
    case Runtime::vllm:
      return vllm_extent(group, request, full);
    case Runtime::mlx:
      return mlx_extent(group, request, full);
    default:
      return llama_cpp_extent(group, request, full);
  }
}

struct LayerBytes {
  std::uint64_t kv = 0, state = 0, cells = 0;
};

LayerBytes layer_bytes(const CacheRecipe::Group& group, const CacheRequest& request,
                       std::uint64_t full, Checked* checked) {
  const Extent extent = extent_of(group, request, full);
  LayerBytes bytes;
  bytes.cells = group.bytes_per_cell > 0 ? extent.cells : 0;
  const std::uint64_t one_state = group.page_bytes > 0 && group.state_bytes > 0
                                      ? std::max(group.page_bytes, group.state_bytes)
                                      : group.state_bytes;
  bytes.state = checked->mul(one_state, extent.states);
  if (group.page_tokens > 0) {
    bytes.kv = checked->mul(checked->mul(extent.cells / group.page_tokens, group.page_bytes),
                            extent.streams);
  } else {
    bytes.kv = checked->mul(checked->mul(group.bytes_per_cell, extent.cells), extent.streams);
  }
  return bytes;
}

Status check_request(const CacheRequest& request) {
  if (request.n_ctx == 0 || request.n_ctx > limits::kContext) {
    return Error{"model.range",
                 "the context must be 1 to " + std::to_string(limits::kContext) + " tokens",
                 {},
                 {}};
  }
  if (request.n_seq == 0) {
    return Error{"model.range", "there must be at least one sequence", {}, {}};
  }
  return Ok{};
}

}  // namespace

std::uint64_t context_per_sequence(const CacheRequest& request) {
  const std::uint64_t n_seq = std::max<std::uint32_t>(request.n_seq, 1);
  if (!follows_llama_cpp(request.runtime)) return std::max<std::uint64_t>(request.n_ctx / n_seq, 1);
  const std::uint64_t total = pad_up(request.n_ctx, kCellPadding);
  return request.unified ? total : pad_up(std::max<std::uint64_t>(total / n_seq, 1), kCellPadding);
}

Result<CacheRecipe> make_cache_recipe(const ModelShape& shape, const CacheRequest& request) {
  if (auto ok = check_sizes(shape); !ok) return ok.error();
  const std::vector<LayerShape> layers = layers_of(shape);
  const TensorTraits* traits = find_tensor_traits(shape.architecture);
  const bool llama_cpp = follows_llama_cpp(request.runtime);
  const bool latent =
      shape.mla &&
      (!llama_cpp || (shape.mla->split_kv_b && (traits == nullptr || !traits->kv_b_in_one_piece)));
  Checked checked;
  const std::uint64_t state =
      shape.ssm ? state_bytes(shape, *shape.ssm, request.runtime, &checked) : 0;
  if (checked.failed()) return overflow();
  std::vector<CellWidth> widths(layers.size());
  std::uint64_t widest_v = 0;
  bool v_varies = false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    widths[i] = width_of(shape, layers[i], i, latent);
    if (widths[i].k == 0) continue;
    v_varies = v_varies || (widest_v != 0 && widths[i].v != widest_v);
    widest_v = std::max(widest_v, widths[i].v);
  }

  CacheRecipe recipe;
  recipe.group_of_layer.reserve(layers.size());
  std::vector<GroupKey> keys;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerShape& layer = layers[i];
    // llama.cpp has no window where all layers slide, and none with --swa-full.
    const bool windowed = !llama_cpp || !(shape.all_layers_sliding ||
                                          shape.llama_cpp_ignores_window || request.swa_full);
    const GroupKey key{widths[i], windowed && widths[i].k > 0 ? layer.window : 0, layer.has_state};
    const auto found = std::ranges::find(keys, key);
    recipe.group_of_layer.push_back(static_cast<std::uint16_t>(found - keys.begin()));
    if (found != keys.end()) {
      ++recipe.groups[recipe.group_of_layer.back()].n_layers;
      continue;
    }
    // Without flash attention V lies transposed, and llama.cpp gives all layers equal rows.
    const bool pads_v = llama_cpp && !request.flash_attn && v_varies && key.width.v > 0;
    auto group = group_of(key, pads_v ? widest_v : key.width.v, request, &checked);
    if (!group) return group.error();
    group->state_bytes = layer.has_state ? state : 0;
    keys.push_back(key);
    recipe.groups.push_back(*group);
  }
  if (checked.failed()) return overflow();
  if (request.runtime == Runtime::vllm) set_pages(request, &recipe.groups);
  return recipe;
}

Result<CacheTotals> cache_totals(const CacheRecipe& recipe, const CacheRequest& request) {
  if (auto ok = check_request(request); !ok) return ok.error();
  const std::uint64_t full = context_per_sequence(request);
  Checked checked;
  std::uint64_t kv = 0, state = 0;
  for (const CacheRecipe::Group& group : recipe.groups) {
    const LayerBytes bytes = layer_bytes(group, request, full, &checked);
    const std::uint64_t n = std::uint64_t{group.n_layers} + group.padding_layers;
    kv = checked.add(kv, checked.mul(bytes.kv, n));
    state = checked.add(state, checked.mul(bytes.state, n));
  }
  if (checked.failed() || checked.add(kv, state) > (1ull << 63) || checked.failed()) {
    return overflow();
  }
  return CacheTotals{Bytes(kv), Bytes(state)};
}

Status fill_layer_caches(const CacheRecipe& recipe, const CacheRequest& request,
                         std::span<LayerCache> out) {
  if (auto ok = check_request(request); !ok) return ok;
  const std::uint64_t full = context_per_sequence(request);
  Checked checked;
  std::uint64_t total = 0;
  const std::size_t n = std::min(out.size(), recipe.group_of_layer.size());
  // Neighbours mostly belong to few groups: each of the first ones is worked out once.
  std::array<LayerBytes, 8> first;
  for (std::size_t g = 0; g < std::min(first.size(), recipe.groups.size()); ++g) {
    first[g] = layer_bytes(recipe.groups[g], request, full, &checked);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t g = recipe.group_of_layer[i];
    const CacheRecipe::Group& group = recipe.groups[g];
    const LayerBytes bytes =
        g < first.size() ? first[g] : layer_bytes(group, request, full, &checked);
    out[i].kv = Bytes(bytes.kv);
    out[i].state = Bytes(bytes.state);
    out[i].cells = bytes.cells;
    out[i].bytes_per_token = group.bytes_per_token;
    total = checked.add(total, checked.add(bytes.kv, bytes.state));
  }
  if (checked.failed() || total > (1ull << 63)) return overflow();
  return Ok{};
}

double cache_bytes_read(const CacheRecipe& recipe, std::uint64_t depth) {
  double bytes = 0;
  for (const CacheRecipe::Group& group : recipe.groups)
    bytes += group.n_layers *
             cache_bytes_read(group.bytes_per_token, group.window, static_cast<double>(depth));
  return bytes;
}

Result<std::vector<LayerCache>> cache_of_layers(const ModelShape& shape,
                                                const CacheRequest& request) {
  const auto recipe = make_cache_recipe(shape, request);
  if (!recipe) return recipe.error();
  std::vector<LayerCache> layers(recipe->group_of_layer.size());
  if (auto ok = fill_layer_caches(*recipe, request, layers); !ok) return ok.error();
  return layers;
}

}  // namespace hwdb
