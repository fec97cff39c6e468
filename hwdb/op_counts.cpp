// SPDX-License-Identifier: MIT
#include "hwdb/op_counts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "hwdb/limits.h"

namespace hwdb {
namespace {

const TensorType kF32 = tensor_type("F32");

bool is_matrix(const TensorInfo& info) {
  return info.ne[0] > 1 && info.rows() > 1;
}

/// Frequency tables and the like, which are no parameters.
bool is_computed(const TensorInfo& info) {
  return info.name.starts_with("rope_");
}

double attention_flops(const ModelShape& shape, const LayerShape& layer) {
  if (layer.kind == LayerKind::none || layer.kind == LayerKind::recurrent) return 0;
  if (layer.kind == LayerKind::mla) {
    // The query meets latent and rotary part, the weights are applied to the latent alone.
    const double rank = shape.mla->kv_lora_rank;
    return 2.0 * layer.n_heads * (rank + shape.mla->qk_rope_dim + rank);
  }
  return 2.0 * layer.n_heads * (double{1.0 * layer.head_dim_k} + layer.head_dim_v);
}

/// Decaying the state, adding one outer product and reading it: three multiply-adds an element.
double state_flops(const ModelShape& shape) {
  if (!shape.ssm) return 0;
  const SsmShape& ssm = *shape.ssm;
  double elements = 0;
  switch (ssm.kind) {
    case SsmShape::Kind::mamba1:
    case SsmShape::Kind::mamba2:
      elements = 1.0 * ssm.d_state * ssm.d_inner;
      break;
    case SsmShape::Kind::gated_deltanet:
      elements = 1.0 * ssm.n_v_heads * ssm.head_v * ssm.head_k;
      break;
    case SsmShape::Kind::kda:
    case SsmShape::Kind::lightning_attention:
      elements = 1.0 * ssm.n_heads * ssm.head_dim * ssm.head_dim;
      break;
    case SsmShape::Kind::short_conv:
      elements = 0;
      break;
    case SsmShape::Kind::rwkv5:
    case SsmShape::Kind::rwkv7:
      elements = 1.0 * shape.n_embd * ssm.head_dim;
      break;
  }
  return 6.0 * elements;
}

bool is_looked_up(const PlannedTensor& tensor) {
  return tensor.role == TensorRole::token_embedding ||
         tensor.role == TensorRole::position_embedding ||
         tensor.role == TensorRole::per_layer_embedding;
}

bool is_in_layer(const PlannedTensor& tensor) {
  // A file of an unknown architecture may have more blocks than its header could say.
  return tensor.layer >= 0 && static_cast<std::uint32_t>(tensor.layer) < limits::kLayers;
}

double used_expert_share(const ModelShape& shape) {
  return shape.n_experts > 0 ? static_cast<double>(shape.n_experts_used) / shape.n_experts : 1.0;
}

/// Sums tensors into a ModelCosts.
class CostSum {
 public:
  CostSum(const ModelShape& shape, std::string quant);

  /// The bytes of a tensor at its place.
  void add_bytes(const PlannedTensor& tensor);
  /// Its elements and the products with it.
  void add_arithmetic(const PlannedTensor& tensor);
  /// `elements` that carry the weights, for the bits per weight.
  Result<ModelCosts> finish(Bytes file_bytes);

 private:
  LayerCosts* layer_of(const PlannedTensor& tensor);
  void sum(std::uint64_t bytes, std::uint64_t* total) {
    overflow_ = !checked_add(*total, bytes, total) || overflow_;
  }

  /// Keeps the type's density when `tensor` is the largest matrix of its kind so far.
  void compare_size(const PlannedTensor& tensor);

  ModelCosts costs_;
  std::uint64_t largest_block_ = 0, largest_expert_ = 0, largest_output_ = 0, largest_table_ = 0;
  std::uint32_t table_density_ = 0;
  std::uint64_t tied_bytes_ = 0;
  double tied_elements_ = 0, elements_ = 0;
  bool has_output_ = false, overflow_ = false;
};

CostSum::CostSum(const ModelShape& shape, std::string quant) {
  costs_.shape = shape;
  costs_.quant = std::move(quant);
  const auto layers = layers_of(shape);
  costs_.layers.resize(layers.size());
  const double state = state_flops(shape);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    LayerCosts& out = costs_.layers[i];
    out.kind = layers[i].kind;
    out.window = layers[i].window;
    out.attention_flops_per_token_and_cell = attention_flops(shape, layers[i]);
    if (out.attention_flops_per_token_and_cell > 0) {
      out.n_matmuls += 2;
      out.n_scores = layers[i].n_heads;
    }
    if (layers[i].has_state) {
      out.dense_flops_per_token += state;
      out.mixing_flops_per_token += state;
    }
  }
}

LayerCosts* CostSum::layer_of(const PlannedTensor& tensor) {
  if (!is_in_layer(tensor)) return nullptr;
  const auto index = static_cast<std::size_t>(tensor.layer);
  if (index >= costs_.layers.size()) costs_.layers.resize(index + 1);
  return &costs_.layers[index];
}

void CostSum::compare_size(const PlannedTensor& tensor) {
  if (!is_product(tensor.info)) return;
  const auto keep = [&](std::uint64_t* largest, std::uint32_t* density) {
    if (tensor.info.bytes <= *largest) return;
    *largest = tensor.info.bytes;
    *density =
        static_cast<std::uint32_t>(std::lround(256.0 * static_cast<double>(tensor.info.bytes) /
                                               static_cast<double>(tensor.info.elements())));
  };
  switch (tensor.role) {
    case TensorRole::attention:
    case TensorRole::dense_ffn:
      return keep(&largest_block_, &costs_.largest.block);
    case TensorRole::routed_experts:
      return keep(&largest_expert_, &costs_.largest.expert);
    case TensorRole::output:
      return keep(&largest_output_, &costs_.largest.output);
    case TensorRole::token_embedding:
      return keep(&largest_table_, &table_density_);
    default:
      return;
  }
}

void CostSum::add_bytes(const PlannedTensor& tensor) {
  const std::uint64_t bytes = tensor.info.bytes;
  compare_size(tensor);
  sum(bytes, &costs_.tensor_bytes);
  if (is_draft_tensor(costs_.shape, tensor)) {
    sum(bytes, &costs_.mtp_bytes);
    return;
  }
  LayerCosts* layer = layer_of(tensor);
  switch (tensor.role) {
    case TensorRole::token_embedding:
      sum(bytes, &tied_bytes_);
      [[fallthrough]];
    case TensorRole::position_embedding:
    case TensorRole::per_layer_embedding:
      sum(bytes, &costs_.embedding_bytes);
      break;
    case TensorRole::attention:
      sum(bytes, layer != nullptr ? &layer->attention_bytes : &costs_.output_bytes);
      break;
    case TensorRole::dense_ffn:
      sum(bytes, layer != nullptr ? &layer->dense_ffn_bytes : &costs_.output_bytes);
      break;
    case TensorRole::routed_experts:
      sum(bytes, layer != nullptr ? &layer->expert_bytes : &costs_.output_bytes);
      break;
    case TensorRole::side_tower:
      sum(bytes, &costs_.side_tower_bytes);
      break;
    case TensorRole::output:
      has_output_ = has_output_ || is_matrix(tensor.info);
      [[fallthrough]];
    case TensorRole::other:
    case TensorRole::mtp:
      sum(bytes, &costs_.output_bytes);
      break;
  }
}

void CostSum::add_arithmetic(const PlannedTensor& tensor) {
  if (is_computed(tensor.info) || tensor.role == TensorRole::side_tower) return;
  const auto elements = static_cast<double>(tensor.info.elements());
  elements_ += elements;
  if (is_draft_tensor(costs_.shape, tensor)) return;
  const ModelShape& shape = costs_.shape;
  const bool routed = tensor.role == TensorRole::routed_experts;
  costs_.params_total += elements;
  costs_.params_active += routed ? elements * used_expert_share(shape) : elements;
  if (tensor.role == TensorRole::token_embedding) tied_elements_ += elements;
  const TokenFlops flops = flops_per_token(shape, tensor);
  costs_.output_flops_per_token += flops.output;
  LayerCosts* layer = layer_of(tensor);
  if (layer == nullptr) return;
  if (!is_looked_up(tensor) && is_product(tensor.info)) {
    ++layer->n_matmuls;
    const double ends =
        static_cast<double>(tensor.info.ne[0]) + static_cast<double>(tensor.info.ne[1]);
    layer->activations_per_token += routed ? ends * std::max(1u, shape.n_experts_used) : ends;
  }
  layer->expert_flops_per_token += flops.experts;
  layer->dense_flops_per_token += flops.dense;
  if (tensor.role == TensorRole::attention) layer->mixing_flops_per_token += flops.dense;
}

Result<ModelCosts> CostSum::finish(Bytes file_bytes) {
  if (!has_output_) {
    costs_.output_is_tied = tied_bytes_ > 0;
    if (table_density_ > 0) costs_.largest.output = table_density_;
    costs_.tied_bytes = tied_bytes_;
    sum(tied_bytes_, &costs_.output_bytes);
    costs_.output_flops_per_token += 2.0 * tied_elements_;
  }
  if (overflow_ || costs_.tensor_bytes > (1ull << 63)) {
    return Error{"model.overflow", "the weights exceed 2^63 bytes", costs_.shape.architecture, {}};
  }
  costs_.file_bytes = file_bytes.value;
  costs_.bits_per_weight =
      elements_ > 0
          ? 8.0 * static_cast<double>(costs_.tensor_bytes - costs_.side_tower_bytes) / elements_
          : 0;
  return std::move(costs_);
}

struct RepackRule {
  TensorType type;
  std::uint32_t avx2 = 0, avx512 = 0, neon = 0;  // rows must be a multiple; 0: stays as it is
};
// ggml_repack_get_optimal_repack_type of ggml/src/ggml-cpu/repack.cpp, llama.cpp de3ff815.
const RepackRule kRepackRules[] = {
    {tensor_type("Q4_0"), 8, 8, 4},  {tensor_type("Q4_K"), 8, 8, 8},
    {tensor_type("Q2_K"), 0, 8, 0},  {tensor_type("Q5_K"), 0, 0, 8},
    {tensor_type("Q6_K"), 0, 0, 8},  {tensor_type("IQ4_NL"), 8, 8, 4},
    {tensor_type("MXFP4"), 8, 8, 4}, {tensor_type("Q8_0"), 0, 0, 4},
};

ModelCosts::RepackBytes repack_bytes(const ModelShape& shape,
                                     const std::vector<PlannedTensor>& tensors) {
  ModelCosts::RepackBytes sum;
  for (const PlannedTensor& tensor : tensors) {
    const TensorInfo& info = tensor.info;
    const auto* rule = std::ranges::find(kRepackRules, info.type, &RepackRule::type);
    if (rule == std::end(kRepackRules) || is_looked_up(tensor) || is_draft_tensor(shape, tensor) ||
        tensor.role == TensorRole::side_tower || info.ne[3] != 1 || !is_product(info)) {
      continue;
    }
    // Three dimensions are taken for experts alone, not for the heads of latent attention.
    if (info.ne[2] != 1 && tensor.role != TensorRole::routed_experts) continue;
    const auto bytes = [&](std::uint32_t multiple) {
      return multiple > 0 && info.ne[1] % multiple == 0 ? info.bytes : 0;
    };
    sum.avx2 += bytes(rule->avx2);  // each bounded by the total, which is checked
    sum.avx512 += bytes(rule->avx512);
    sum.neon += bytes(rule->neon);
  }
  return sum;
}

void add_share(const TensorInfo& info, std::vector<ModelCosts::TypeShare>* shares) {
  auto share = std::ranges::find(*shares, info.type, &ModelCosts::TypeShare::type);
  if (share == shares->end()) {
    shares->push_back({info.type, 0});
    share = shares->end() - 1;
  }
  share->bytes += info.bytes;  // bounded by the total, which is checked
}

std::vector<ModelCosts::TypeShare> type_shares(const std::vector<PlannedTensor>& tensors) {
  std::vector<ModelCosts::TypeShare> shares;
  for (const PlannedTensor& tensor : tensors) add_share(tensor.info, &shares);
  std::ranges::stable_sort(shares, std::ranges::greater{}, &ModelCosts::TypeShare::bytes);
  return shares;
}

ModelCosts::RoleTypes role_types(const ModelShape& shape, const std::vector<PlannedTensor>& tensors,
                                 bool tied) {
  ModelCosts::RoleTypes types;
  for (const PlannedTensor& tensor : tensors) {
    if (is_draft_tensor(shape, tensor)) continue;
    const TensorRole role = tensor.role;
    const bool block = role == TensorRole::attention || role == TensorRole::dense_ffn;
    if (block && is_in_layer(tensor)) add_share(tensor.info, &types.layers);
    if (role == TensorRole::routed_experts && is_in_layer(tensor))
      add_share(tensor.info, &types.experts);
    if (role == TensorRole::output || (tied && role == TensorRole::token_embedding))
      add_share(tensor.info, &types.output);
  }
  return types;
}

bool stays_16_bit(const PlannedTensor& tensor, bool tables_too) {
  const bool table =
      tensor.role == TensorRole::token_embedding || tensor.role == TensorRole::output;
  if (table && tables_too) return !is_matrix(tensor.info);
  return tensor.layer < 0 || tensor.info.type == kF32;
}

}  // namespace

bool is_product(const TensorInfo& info) {
  const std::string_view name = info.name;
  return is_matrix(info) && name.ends_with("weight") && !name.ends_with("_norm.weight") &&
         name.find("conv1d") == std::string_view::npos;
}

bool is_draft_tensor(const ModelShape& shape, const PlannedTensor& tensor) {
  return tensor.role == TensorRole::mtp ||
         (shape.known_architecture && tensor.layer >= 0 &&
          static_cast<std::uint32_t>(tensor.layer) >= shape.n_layers);
}

TokenFlops flops_per_token(const ModelShape& shape, const PlannedTensor& tensor) {
  TokenFlops flops;
  if (is_computed(tensor.info) || tensor.role == TensorRole::side_tower ||
      is_draft_tensor(shape, tensor) || is_looked_up(tensor) || !is_matrix(tensor.info)) {
    return flops;
  }
  const double all = 2.0 * static_cast<double>(tensor.info.elements());
  if (!is_in_layer(tensor)) {
    flops.output = all;
  } else if (tensor.role == TensorRole::routed_experts) {
    flops.experts = all * used_expert_share(shape);
  } else {
    flops.dense = all;
  }
  return flops;
}

Result<ModelCosts> model_costs(const ModelShape& shape, std::string quant,
                               const std::vector<PlannedTensor>& tensors, Bytes file_bytes) {
  CostSum sum(shape, std::move(quant));
  for (const PlannedTensor& tensor : tensors) {
    sum.add_bytes(tensor);
    sum.add_arithmetic(tensor);
  }
  auto costs = sum.finish(file_bytes);
  if (!costs) return costs;
  costs->types = type_shares(tensors);
  costs->role_types = role_types(shape, tensors, costs->output_is_tied);
  costs->repack = repack_bytes(shape, tensors);
  costs->sizes_only = !shape.known_architecture;
  return costs;
}

std::vector<PlannedTensor> tensors_of_file(const ModelFile& file) {
  std::vector<PlannedTensor> tensors;
  tensors.reserve(file.tensors.size());
  for (const TensorInfo& info : file.tensors) tensors.push_back(classify_tensor(info));
  return tensors;
}

Result<std::vector<PlannedTensor>> tensors_of_preset(const ModelShape& shape,
                                                     const QuantOptions& options) {
  auto tensors = tensor_list(shape);
  if (!tensors) return tensors;
  if (auto ok = apply_preset(shape, options, &*tensors); !ok) return ok.error();
  return tensors;
}

Result<ModelCosts> model_costs_of_preset(const ModelShape& shape, const QuantOptions& options) {
  const auto tensors = tensors_of_preset(shape, options);
  if (!tensors) return tensors.error();
  const auto data = padded_tensor_bytes(*tensors);
  if (!data) return data.error();
  const Bytes file = *data + estimate_header_bytes(shape, *tensors);
  auto costs = model_costs(shape, options.preset, *tensors, file);
  // The list exists, so the architecture is known whatever the record says.
  if (costs) costs->sizes_only = false;
  return costs;
}

Result<ModelCosts> model_costs_of_file(const ModelFile& file) {
  if (file.tensors.empty()) return model_costs_of_preset(file.shape, {"BF16", false, false});
  const std::vector<PlannedTensor> stored = tensors_of_file(file);
  if (file.format == ModelFile::Format::gguf) {
    return model_costs(file.shape, file.quantization, stored, file.file_bytes);
  }
  // A packed matrix does not show its elements, so the arithmetic comes from the shape.
  const auto plain = plain_tensor_list(file.shape);
  if (!plain) return model_costs(file.shape, file.quantization, stored, file.file_bytes);
  CostSum sum(file.shape, file.quantization);
  for (const PlannedTensor& tensor : stored) sum.add_bytes(tensor);
  for (const PlannedTensor& tensor : *plain) sum.add_arithmetic(tensor);
  auto costs = sum.finish(file.file_bytes);
  if (!costs) return costs;
  costs->types = type_shares(stored);
  costs->sizes_only = !file.shape.known_architecture;
  return costs;
}

Result<ModelCosts> model_costs_of_format(const ModelShape& shape, std::string format,
                                         double bits_per_weight) {
  if (!(bits_per_weight > 0 && bits_per_weight <= 32)) {
    return Error{"quant.unknown", "bits per weight must be above 0 and at most 32", format, {}};
  }
  auto tensors = plain_tensor_list(shape);
  if (!tensors) return tensors.error();
  const bool tables_too = format.starts_with("MLX") || format.starts_with("mlx");
  CostSum sum(shape, format);
  std::uint64_t total = 0, in_16_bit = 0;
  for (PlannedTensor& tensor : *tensors) {
    if (is_computed(tensor.info)) continue;
    const auto elements = static_cast<double>(tensor.info.elements());
    const bool wide = stays_16_bit(tensor, tables_too);
    tensor.info.bytes =
        static_cast<std::uint64_t>(std::llround(elements * (wide ? 16.0 : bits_per_weight) / 8));
    total += tensor.info.bytes;  // no more than the 32-bit list, which was checked
    if (wide) in_16_bit += tensor.info.bytes;
    sum.add_bytes(tensor);
    sum.add_arithmetic(tensor);
  }
  auto costs = sum.finish(Bytes(total));
  if (!costs) return costs;
  costs->types = {{tensor_type("BF16"), in_16_bit}};
  return costs;
}

double expected_expert_share(std::uint32_t n_experts, std::uint32_t n_experts_used, double tokens) {
  if (n_experts == 0 || tokens <= 0) return 0;
  if (n_experts_used >= n_experts) return 1;
  const double missed = 1.0 - static_cast<double>(n_experts_used) / n_experts;
  return 1.0 - std::pow(missed, tokens);
}

}  // namespace hwdb
