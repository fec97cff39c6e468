// SPDX-License-Identifier: MIT
#include "hwdb/tensor_overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "hwdb/limits.h"
#include "hwdb/op_counts.h"

namespace hwdb {
namespace {

constexpr std::size_t kMaxOverrides = 4096;

std::string known_buffers(std::span<const BufferName> buffers) {
  std::string out;
  for (const BufferName& buffer : buffers) out += (out.empty() ? "" : ", ") + buffer.name;
  return "this machine has " + out;
}

MovedPart::Place place_of(const PlannedTensor& tensor) {
  switch (tensor.role) {
    case TensorRole::token_embedding:
    case TensorRole::position_embedding:
    case TensorRole::per_layer_embedding:
      return MovedPart::Place::embedding;
    default:
      return tensor.layer >= 0 ? MovedPart::Place::layer : MovedPart::Place::output;
  }
}

void add_bytes(const PlannedTensor& tensor, MovedPart* part) {
  const std::uint64_t bytes = tensor.info.bytes;  // the list's sum was checked
  part->largest_bytes = std::max(part->largest_bytes, bytes);
  if (part->place != MovedPart::Place::layer) {
    part->table_bytes += bytes;
  } else if (tensor.role == TensorRole::routed_experts) {
    part->expert_bytes += bytes;
  } else if (tensor.role == TensorRole::attention) {
    part->attention_bytes += bytes;
  } else {
    part->dense_ffn_bytes += bytes;
  }
}

/// Sums by place, layer and device, in the order in which they are reported.
class Sums {
 public:
  MovedPart& at(MovedPart::Place place, std::int32_t layer, std::int32_t device) {
    MovedPart& part = parts_[{place, std::max(layer, 0), device}];
    part.place = place;
    part.layer = static_cast<std::uint32_t>(std::max(layer, 0));
    part.device = device;
    return part;
  }
  std::vector<MovedPart> parts() const {
    std::vector<MovedPart> out;
    for (const auto& [key, part] : parts_) out.push_back(part);
    return out;
  }

 private:
  std::map<std::tuple<MovedPart::Place, std::int32_t, std::int32_t>, MovedPart> parts_;
};

/// The number of leading layers whose experts, all of them and nothing else, go to the host.
std::optional<std::uint32_t> leading_expert_layers(const std::vector<MovedPart>& parts,
                                                   std::span<const PlannedTensor> tensors,
                                                   std::uint32_t n_layers) {
  std::vector<std::uint64_t> experts(n_layers);
  for (const PlannedTensor& tensor : tensors) {
    if (tensor.role == TensorRole::routed_experts && tensor.layer >= 0 &&
        static_cast<std::uint32_t>(tensor.layer) < n_layers) {
      experts[static_cast<std::size_t>(tensor.layer)] += tensor.info.bytes;
    }
  }
  std::vector<std::uint64_t> moved(n_layers);
  for (const MovedPart& part : parts) {
    if (part.place != MovedPart::Place::layer || part.device != kHostDevice ||
        part.bytes() != part.expert_bytes || part.layer >= n_layers) {
      return std::nullopt;
    }
    moved[part.layer] = part.expert_bytes;
  }
  std::uint32_t end = n_layers;
  while (end > 0 && moved[end - 1] == 0) --end;
  for (std::uint32_t i = 0; i < end; ++i)
    if (moved[i] != experts[i]) return std::nullopt;
  // Layers without experts behind the last one that has some make no difference.
  while (end < n_layers && experts[end] == 0) ++end;
  return end;
}

}  // namespace

Result<std::vector<TensorOverride>> parse_overrides(std::string_view text,
                                                    std::span<const BufferName> buffers) {
  std::vector<TensorOverride> overrides;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      return Error{"usage.value", fmt::format("\"{}\" lacks \"=BUFFER\"", item), "override_tensor",
                   "write PATTERN=BUFFER, as exps=CPU; a comma ends the pair"};
    }
    const std::string_view name = item.substr(equals + 1);
    const auto buffer = std::ranges::find(buffers, name, &BufferName::name);
    if (buffer == buffers.end()) {
      return Error{"usage.value", fmt::format("no buffer is called \"{}\"", name),
                   "override_tensor", known_buffers(buffers)};
    }
    auto pattern = TensorPattern::compile(item.substr(0, equals));
    if (!pattern) {
      Error error = pattern.error();
      error.where = "override_tensor";
      return error;
    }
    if (overrides.size() >= kMaxOverrides) {
      return Error{"usage.value",
                   fmt::format("more than {} patterns", kMaxOverrides),
                   "override_tensor",
                   {}};
    }
    overrides.push_back({std::move(*pattern), buffer->name, buffer->device});
  }
  return overrides;
}

Result<MovedTensors> resolve_overrides(const ModelShape& shape,
                                       std::span<const PlannedTensor> tensors,
                                       std::span<const TensorOverride> overrides) {
  MovedTensors moved;
  moved.uses.resize(overrides.size());
  const bool tied = std::ranges::none_of(tensors, [](const PlannedTensor& tensor) {
    return tensor.role == TensorRole::output && tensor.info.rows() > 1;
  });
  Sums sums;
  for (const PlannedTensor& tensor : tensors) {
    if (is_draft_tensor(shape, tensor) || tensor.role == TensorRole::side_tower) continue;
    for (std::size_t i = 0; i < overrides.size(); ++i) {
      const auto found = overrides[i].pattern.matches(tensor.info.name);
      if (!found) {
        Error error = found.error();
        error.where = "override_tensor";
        return error;
      }
      if (!*found) continue;
      ++moved.uses[i].tensors;
      moved.uses[i].bytes += tensor.info.bytes;
      const std::int32_t device = overrides[i].device;
      const TokenFlops flops = flops_per_token(shape, tensor);
      MovedPart& part = sums.at(place_of(tensor), tensor.layer, device);
      add_bytes(tensor, &part);
      part.dense_flops_per_token += flops.dense;
      part.expert_flops_per_token += flops.experts;
      part.output_flops_per_token += flops.output;
      // A tied table is loaded a second time as the output, under its own name.
      if (tied && tensor.role == TensorRole::token_embedding) {
        MovedPart& output = sums.at(MovedPart::Place::output, 0, device);
        output.table_bytes += tensor.info.bytes;
        output.output_flops_per_token += 2.0 * static_cast<double>(tensor.info.elements());
      }
      break;
    }
  }
  moved.parts = sums.parts();
  if (!moved.parts.empty())
    moved.cpu_moe_layers = leading_expert_layers(moved.parts, tensors, shape.n_layers);
  return moved;
}

}  // namespace hwdb
