// SPDX-License-Identifier: MIT
#include "hwdb/tensor_slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string_view>

#include "hwdb/op_counts.h"
#include "hwdb/tensor_traits.h"

namespace hwdb {
namespace {

constexpr std::size_t kMaxGpus = 64;
// CUDA pads the last row of a matrix to this many weights (MATRIX_ROW_PADDING).
constexpr std::uint64_t kRowPadding = 512;

using Parts = std::vector<std::uint64_t>;  // one a GPU

/// One GPU's rows by llama.cpp's get_row_split, with its 32-bit shares.
class RowSplit {
 public:
  RowSplit(const SliceRequest& request) : multiple_(std::max(request.row_multiple, 1u)) {
    float sum = 0;
    for (const double share : request.shares) {
      begins_.push_back(sum);
      sum += static_cast<float>(share);
    }
    for (std::size_t i = 0; i < begins_.size(); ++i) {
      begins_[i] =
          sum > 0 ? begins_[i] / sum : static_cast<float>(i) / static_cast<float>(begins_.size());
    }
  }
  Parts rows(std::uint64_t n) const {
    const auto at = [&](std::size_t gpu) {
      if (gpu == 0) return std::uint64_t{0};
      if (gpu == begins_.size()) return n;
      const auto row = static_cast<std::uint64_t>(static_cast<float>(n) * begins_[gpu]);
      return row - row % multiple_;
    };
    Parts parts;
    for (std::size_t g = 0; g < begins_.size(); ++g) parts.push_back(at(g + 1) - at(g));
    return parts;
  }

 private:
  std::uint64_t multiple_;
  std::vector<float> begins_;
};

/// The slices of a length: whole grains but for the last GPU, the order of rounding turned by
/// `rotation` (llama_meta_device_get_split_state).
Parts cut(std::uint64_t length, std::uint64_t grain, const std::vector<double>& shares,
          std::size_t rotation) {
  const std::size_t n = shares.size();
  std::vector<float> until(n);
  float sum = 0;
  for (std::size_t j = 0; j < n; ++j)
    until[j] = sum += static_cast<float>(shares[(j + rotation) % n]);
  Parts parts(n);
  std::uint64_t low = 0;
  for (std::size_t j = 0; j + 1 < n; ++j) {
    std::uint64_t high =
        sum == 0 ? length * (j + 1) / n
                 : static_cast<std::uint64_t>(static_cast<float>(length) * until[j] / sum);
    high -= high % std::max<std::uint64_t>(grain, 1);
    high = std::max(high, low);
    parts[(j + rotation) % n] = high - low;
    low = high;
  }
  parts[(n - 1 + rotation) % n] = length - low;
  return parts;
}

struct Segment {
  std::uint64_t length = 0, times = 1, grain = 1;
};

/// How one tensor is cut: along `axis`, or kept whole on every GPU.
struct Cut {
  int axis = -1;
  std::vector<Segment> segments;
};

/// The rules of -sm tensor for one model, read from src/llama-model.cpp, de3ff815.
class HeadSplit {
 public:
  HeadSplit(const ModelShape& shape, const TensorTraits& traits,
            std::span<const PlannedTensor> tensors, const SliceRequest& request)
      : shape_(shape), traits_(traits), layers_(layers_of(shape)), request_(request) {
    blocks_of_.resize(layers_.size());
    for (const PlannedTensor& tensor : tensors) {
      if (tensor.layer < 0 || static_cast<std::size_t>(tensor.layer) >= layers_.size()) continue;
      Blocks& blocks = blocks_of_[static_cast<std::size_t>(tensor.layer)];
      const std::uint64_t weights = format_of(tensor.info.type).block_weights;
      const std::string_view name = rest_of(tensor.info.name);
      if (name == "attn_output.weight") blocks.attention = weights;
      if (name == "ssm_out.weight") blocks.recurrent = weights;
      if (name == "ffn_down.weight") blocks.ffn = weights;
      if (name == "ffn_down_exps.weight" && blocks.ffn == 0) blocks.ffn = weights;
    }
  }

  Parts bytes(const PlannedTensor& tensor) const {
    const TensorInfo& info = tensor.info;
    const std::size_t n = request_.shares.size();
    const Cut how = cut_of(tensor);
    if (how.axis < 0) return Parts(n, info.bytes);
    const std::uint64_t other = how.axis == 0 ? info.rows() : info.ne[2] * info.ne[3];
    Parts out(n);
    for (const Segment& segment : how.segments) {
      const Parts parts = cut(segment.length, segment.grain, request_.shares, rotation(tensor));
      for (std::size_t g = 0; g < n; ++g) {
        const std::uint64_t one = how.axis == 0 ? row_bytes(info.type, parts[g])
                                                : parts[g] * row_bytes(info.type, info.ne[0]);
        out[g] += segment.times * other * one;
      }
    }
    return out;
  }

  std::vector<double> kv_share(std::size_t layer) const {
    const LayerShape& l = layers_[layer];
    const std::uint64_t width = std::uint64_t{l.n_kv_heads} * l.head_dim_k;
    return share(layer, width, blocks_of_[layer].attention, query_grain(layer) / group(l));
  }
  std::vector<double> state_share(std::size_t layer) const {
    if (!shape_.ssm || shape_.ssm->kind != SsmShape::Kind::gated_deltanet)
      return std::vector<double>(request_.shares.size(), 1.0);
    const SsmShape& ssm = *shape_.ssm;
    return share(layer, std::uint64_t{ssm.n_v_heads} * ssm.head_v * ssm.head_v,
                 blocks_of_[layer].recurrent, recurrent_grain(layer) * ssm.head_k);
  }

 private:
  struct Blocks {
    std::uint64_t attention = 0, recurrent = 0, ffn = 0;  // weights in a block; 0: no such tensor
  };

  static std::string_view rest_of(std::string_view name) {
    if (!name.starts_with("blk.")) return name;
    return name.substr(std::min(name.find('.', 4), name.size() - 1) + 1);
  }
  static std::uint64_t group(const LayerShape& layer) {
    return layer.n_kv_heads > 0 ? std::max(layer.n_heads / layer.n_kv_heads, 1u) : 1;
  }
  static bool is_recurrent(const LayerShape& layer) { return layer.kind == LayerKind::recurrent; }

  std::vector<double> share(std::size_t layer, std::uint64_t width, std::uint64_t block,
                            std::uint64_t grain) const {
    const std::size_t n = request_.shares.size();
    if (width == 0 || block == 0) return std::vector<double>(n, 1.0);
    std::vector<double> out;
    for (const std::uint64_t part : cut(width, grain, request_.shares, rotation_of(layer)))
      out.push_back(static_cast<double>(part) / static_cast<double>(width));
    return out;
  }

  // Layers of one kind take turns in who gets the remainder.
  std::size_t rotation_of(std::size_t layer) const {
    std::size_t before = 0;
    for (std::size_t i = 0; i < layer; ++i) {
      before += is_recurrent(layers_[i]) == is_recurrent(layers_[layer]) &&
                (layers_[i].window > 0) == (layers_[layer].window > 0);
    }
    return before % request_.shares.size();
  }
  std::size_t rotation(const PlannedTensor& tensor) const {
    return tensor.layer >= 0 ? rotation_of(static_cast<std::size_t>(tensor.layer))
                             : shape_.n_layers % request_.shares.size();
  }

  // Queries that share a key head stay together; blocks grow while every GPU still has work.
  std::uint64_t query_grain(std::size_t layer) const {
    const LayerShape& l = layers_[layer];
    const std::uint64_t queries = group(l) * l.head_dim_k;
    std::uint64_t block = std::max<std::uint64_t>(blocks_of_[layer].attention, 1);
    while (block < 128 && block * request_.shares.size() < queries) block *= 2;
    return std::lcm(std::max<std::uint64_t>(queries, 1), block);
  }
  std::uint64_t recurrent_grain(std::size_t layer) const {
    const std::uint64_t block = std::max<std::uint64_t>(blocks_of_[layer].recurrent, 1);
    return std::lcm(std::lcm(block, std::uint64_t{128}),
                    std::max<std::uint64_t>(shape_.ssm->head_k, 1));
  }

  static Cut whole() { return {}; }
  static Cut along(int axis, std::vector<Segment> segments) { return {axis, std::move(segments)}; }

  Cut cut_of(const PlannedTensor& tensor) const {
    const std::string_view name = rest_of(tensor.info.name);
    if (tensor.layer < 0) {
      if (name == "output.weight") return along(1, {{tensor.info.ne[1], 1, 1}});
      if (name == "output.bias") return along(0, {{tensor.info.ne[0], 1, 1}});
      return whole();
    }
    const auto layer = static_cast<std::size_t>(tensor.layer);
    if (layer >= layers_.size()) return whole();
    if (name.starts_with("ffn_")) return feed_forward(tensor.info, name, layer);
    if (is_recurrent(layers_[layer])) return recurrent(tensor.info, name, layer);
    return attention(tensor.info, name, layer);
  }

  Cut attention(const TensorInfo& info, std::string_view name, std::size_t layer) const {
    if (blocks_of_[layer].attention == 0) return whole();
    const LayerShape& l = layers_[layer];
    const std::uint64_t grain = query_grain(layer),
                        queries = std::uint64_t{l.n_heads} * l.head_dim_k;
    const std::uint64_t keys = std::uint64_t{l.n_kv_heads} * l.head_dim_k;
    const std::uint64_t key_grain = grain / group(l);
    const bool bias = name.ends_with(".bias");
    const int axis = bias ? 0 : 1;
    const std::uint64_t length = bias ? info.ne[0] : info.ne[1];
    const std::string_view stem = name.substr(0, name.find('.'));
    // With an output gate the queries' matrix holds both, head by head.
    const bool gated = length == 2 * queries;
    if (stem == "attn_q") {
      const std::uint64_t doubled = std::lcm(2 * group(l) * l.head_dim_k, grain);
      return along(axis, {{length, 1, gated ? doubled : grain}});
    }
    if (stem == "attn_k" || stem == "attn_v") return along(axis, {{length, 1, key_grain}});
    if (stem == "attn_qkv") {
      if (length < 2 * keys) return whole();
      return along(axis, {{length - 2 * keys, 1, grain}, {keys, 2, key_grain}});
    }
    if (name == "attn_output.weight") return along(0, {{info.ne[0], 1, grain}});
    if (name == "attn_gate.weight") {
      const bool per_head = info.ne[1] == l.n_heads;
      return along(1, {{info.ne[1], 1, per_head ? grain / l.head_dim_k : grain}});
    }
    if ((name == "attn_q_norm.weight" || name == "attn_k_norm.weight") && info.ne[1] > 1)
      return along(1, {{info.ne[1], 1, 1}});
    if (name == "attn_sinks.weight")
      return along(0, {{info.ne[0], 1, grain / std::max(l.head_dim_k, 1u)}});
    return whole();
  }

  Cut recurrent(const TensorInfo& info, std::string_view name, std::size_t layer) const {
    const bool cuts = shape_.ssm && shape_.ssm->kind == SsmShape::Kind::gated_deltanet &&
                      blocks_of_[layer].recurrent > 0;
    if (!cuts) return whole();
    const SsmShape& ssm = *shape_.ssm;
    const std::uint64_t grain = recurrent_grain(layer), head = std::max(ssm.head_k, 1u);
    const std::uint64_t keys = std::uint64_t{ssm.n_k_heads} * ssm.head_k;
    const std::uint64_t values = std::uint64_t{ssm.n_v_heads} * ssm.head_v;
    const std::uint64_t ratio = ssm.n_k_heads > 0 ? ssm.n_v_heads / ssm.n_k_heads : 1;
    // Value heads follow their key head one by one, or all first value heads come first.
    const bool key_by_key = traits_.one_beta_alpha;
    const auto value_segments = [&](std::uint64_t length, std::uint64_t g) {
      if (key_by_key || ratio == 0) return std::vector<Segment>{{length, 1, g}};
      return std::vector<Segment>{{length / ratio, ratio, g}};
    };
    if (name == "attn_qkv.weight" || name == "ssm_conv1d.weight") {
      if (key_by_key) return along(1, {{keys, 2, grain}, {values, 1, grain}});
      return along(1, {{keys, 2 + ratio, grain}});
    }
    if (name == "attn_gate.weight") return along(1, value_segments(info.ne[1], grain));
    if (name == "ssm_out.weight") return along(0, value_segments(info.ne[0], grain));
    if (name == "ssm_dt.bias" || name == "ssm_a")
      return along(0, value_segments(info.ne[0], grain / head));
    if (name == "ssm_alpha.weight" || name == "ssm_beta.weight")
      return along(1, value_segments(info.ne[1], grain / head));
    if (name == "ssm_ba.weight") return along(1, {{info.ne[1], 1, 2 * (grain / head)}});
    return whole();
  }

  Cut feed_forward(const TensorInfo& info, std::string_view name, std::size_t layer) const {
    const std::uint64_t block = blocks_of_[layer].ffn;
    if (block == 0) return whole();
    const std::uint64_t grain = std::lcm(block, std::uint64_t{128});
    const std::string_view stem = name.substr(0, name.find('.'));
    const bool bias = name.ends_with(".bias"), weight = name.ends_with(".weight");
    const std::uint64_t length = bias ? info.ne[0] : info.ne[1];
    if (weight && (stem == "ffn_down" || stem == "ffn_down_exps"))
      return along(0, {{info.ne[0], 1, grain}});
    const bool up =
        stem == "ffn_up" || stem == "ffn_gate" || stem == "ffn_up_exps" || stem == "ffn_gate_exps";
    const bool both = stem == "ffn_gate_up" || stem == "ffn_gate_up_exps" ||
                      (stem == "ffn_up" && shape_.fused_gate_up);
    if (both && weight) return along(1, {{length / 2, 2, grain}});
    if (up && (bias || weight)) return along(bias ? 0 : 1, {{length, 1, grain}});
    return whole();
  }

  const ModelShape& shape_;
  const TensorTraits& traits_;
  std::vector<LayerShape> layers_;
  std::vector<Blocks> blocks_of_;
  const SliceRequest& request_;
};

/// Rows go to all GPUs where the layer's own one has any; else the matrix stays whole with it.
void add_rows(const RowSplit& split, const TensorInfo& info, bool sliced,
              std::vector<std::uint64_t>* total, std::size_t n) {
  const Parts rows = sliced ? split.rows(info.rows()) : Parts(n, 0);
  for (std::size_t owner = 0; owner < n; ++owner) {
    if (rows[owner] == 0) {
      (*total)[owner * n + owner] += info.bytes;
      continue;
    }
    for (std::size_t g = 0; g < n; ++g) {
      if (rows[g] == 0) continue;
      (*total)[owner * n + g] += rows[g] * row_bytes(info.type, info.ne[0]);
      if (const std::uint64_t over = info.ne[0] % kRowPadding; over != 0)
        (*total)[owner * n + g] += row_bytes(info.type, kRowPadding - over);
    }
  }
}

void add_parts(const Parts& parts, std::vector<std::uint64_t>* total, std::size_t n) {
  for (std::size_t owner = 0; owner < n; ++owner)
    for (std::size_t g = 0; g < n; ++g) (*total)[owner * n + g] += parts[g];
}

bool has_own_output(std::span<const PlannedTensor> tensors) {
  return std::ranges::any_of(tensors, [](const PlannedTensor& tensor) {
    return tensor.role == TensorRole::output && tensor.info.rows() > 1;
  });
}

}  // namespace

Result<TensorSlices> slice_tensors(const ModelShape& shape, std::span<const PlannedTensor> tensors,
                                   const SliceRequest& request) {
  const std::size_t n = request.shares.size();
  if (n < 2 || n > kMaxGpus) {
    return Error{"usage.value", fmt::format("{} GPUs to split matrices over", n), "split_mode",
                 fmt::format("2 to {} are taken", kMaxGpus)};
  }
  const TensorTraits* known = find_tensor_traits(shape.architecture);
  const TensorTraits& traits = known != nullptr ? *known : plain_tensor_traits();
  const bool by_heads = request.rule == SliceRule::heads;
  if (by_heads && (known == nullptr || known->no_tensor_split)) {
    return Error{"usage.value",
                 fmt::format("llama.cpp does not split the architecture \"{}\" by tensors",
                             shape.architecture),
                 "split_mode", "take layer or row"};
  }
  TensorSlices slices;
  slices.rule = request.rule;
  slices.n_gpus = static_cast<std::uint32_t>(n);
  slices.layers.resize(shape.n_layers);
  for (TensorSlices::Layer& layer : slices.layers) {
    layer.dense.resize(n * n);
    layer.experts.resize(n * n);
  }
  slices.output.resize(n * n);
  const RowSplit rows(request);
  const HeadSplit heads(shape, traits, tensors, request);
  const bool tied = !has_own_output(tensors);
  for (const PlannedTensor& tensor : tensors) {
    const bool table = tensor.role == TensorRole::token_embedding;
    const bool looked_up = table || tensor.role == TensorRole::position_embedding ||
                           tensor.role == TensorRole::per_layer_embedding;
    if (is_draft_tensor(shape, tensor) || tensor.role == TensorRole::side_tower ||
        (looked_up && !(table && tied))) {
      continue;
    }
    const bool outside = tensor.layer < 0 || looked_up;
    if (!outside && static_cast<std::uint32_t>(tensor.layer) >= shape.n_layers) continue;
    std::vector<std::uint64_t>* total = &slices.output;
    if (!outside) {
      TensorSlices::Layer& layer = slices.layers[static_cast<std::size_t>(tensor.layer)];
      total = tensor.role == TensorRole::routed_experts ? &layer.experts : &layer.dense;
    }
    if (by_heads) {
      add_parts(heads.bytes(tensor), total, n);
    } else {
      const bool sliced = tensor.info.ne[2] * tensor.info.ne[3] == 1 && is_product(tensor.info);
      add_rows(rows, tensor.info, sliced, total, n);
    }
  }
  for (std::size_t i = 0; by_heads && i < slices.layers.size(); ++i) {
    slices.layers[i].kv_share = heads.kv_share(i);
    slices.layers[i].state_share = heads.state_share(i);
  }
  return slices;
}

}  // namespace hwdb
