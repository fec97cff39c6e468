// SPDX-License-Identifier: MIT
#include "hwdb/model_attachments.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "hwdb/file_reader.h"
#include "hwdb/gguf.h"
#include "hwdb/limits.h"
#include "hwdb/op_counts.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

constexpr std::uint32_t kMaxRank = 65'536;
constexpr std::uint64_t kF32 = 4;

std::string base_name(const std::string& path) {
  return escape_text(path.substr(path.find_last_of('/') + 1));
}

/// "blk.0.attn_q.weight" of "blk.0.attn_q.weight.lora_a"; the name itself when it has no such end.
std::string_view target_of(std::string_view name) {
  for (const std::string_view end : {".lora_a", ".lora_b"})
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  return name;
}

Result<GgufFile> open_gguf_file(const std::string& path) {
  auto reader = FileReader::open(path);
  if (!reader) return reader.error();
  return GgufFile::open(std::move(*reader));
}

}  // namespace

std::uint64_t AdapterCosts::total() const {
  return std::accumulate(layer_bytes.begin(), layer_bytes.end(), embedding_bytes + output_bytes);
}

Result<AdapterCosts> adapter_costs(const std::string& path, const ModelShape& base) {
  const auto file = open_gguf_file(path);
  if (!file) return file.error();
  AdapterCosts costs;
  costs.name = base_name(path);
  costs.layer_bytes.resize(base.n_layers);
  const auto refuse = [&](std::string what) {
    return Error{"model.inconsistent", std::move(what), costs.name,
                 "expected a LoRA adapter made by convert_lora_to_gguf.py for this model"};
  };
  bool any = false;
  for (const TensorInfo& info : file->tensors()) {
    const std::string_view target = target_of(info.name);
    any = any || target.size() < info.name.size();
    TensorInfo named = info;
    named.name = target;
    const PlannedTensor tensor = classify_tensor(named);
    if (tensor.layer >= 0 && static_cast<std::uint32_t>(tensor.layer) >= base.n_layers) {
      return refuse(fmt::format("the adapter changes block {} of a model with {}", tensor.layer,
                                base.n_layers));
    }
    std::uint64_t* sum = &costs.output_bytes;
    if (tensor.layer >= 0) sum = &costs.layer_bytes[static_cast<std::size_t>(tensor.layer)];
    if (tensor.role == TensorRole::token_embedding) sum = &costs.embedding_bytes;
    if (!checked_add(*sum, info.bytes, sum)) {
      return Error{"model.overflow", "the adapter exceeds 2^64 bytes", costs.name, {}};
    }
    costs.elements += static_cast<double>(info.elements());
  }
  if (!any) return refuse("the file holds no low-rank pairs");
  return costs;
}

Result<AdapterCosts> estimate_adapter(const ModelShape& shape,
                                      std::span<const PlannedTensor> tensors, std::uint32_t rank) {
  if (rank == 0 || rank > kMaxRank) {
    return Error{
        "usage.value", fmt::format("rank {}, expected 1 to {}", rank, kMaxRank), "lora", {}};
  }
  AdapterCosts costs;
  costs.name = fmt::format("rank {}", rank);
  costs.estimated = true;
  costs.layer_bytes.resize(shape.n_layers);
  for (const PlannedTensor& tensor : tensors) {
    const TensorInfo& info = tensor.info;
    const bool router = info.name.find("ffn_gate_inp") != std::string::npos;
    if (tensor.layer < 0 || static_cast<std::uint32_t>(tensor.layer) >= shape.n_layers ||
        is_draft_tensor(shape, tensor) || info.ne[2] * info.ne[3] != 1 || router ||
        !is_product(info)) {
      continue;
    }
    std::uint64_t elements = 0, bytes = 0;
    std::uint64_t& sum = costs.layer_bytes[static_cast<std::size_t>(tensor.layer)];
    if (!checked_mul(info.ne[0] + info.rows(), rank, &elements) ||
        !checked_mul(elements, kF32, &bytes) || !checked_add(sum, bytes, &sum)) {
      return Error{"model.overflow", "the adapter exceeds 2^64 bytes", info.name, {}};
    }
    costs.elements += static_cast<double>(elements);
  }
  return costs;
}

Result<ProjectorCosts> projector_costs(const std::string& path) {
  const auto opened = open_gguf_file(path);
  if (!opened) return opened.error();
  const GgufFile& file = *opened;
  ProjectorCosts costs;
  costs.name = base_name(path);
  const auto architecture = file.text("general.architecture");
  if (!architecture) return architecture.error();
  if (!*architecture || **architecture != "clip") {
    return Error{"model.inconsistent",
                 fmt::format("general.architecture is \"{}\", a projector has \"clip\"",
                             escape_text(architecture->value_or(""))),
                 costs.name, "projectors are called mmproj-*.gguf"};
  }
  for (const TensorInfo& info : file.tensors()) {
    if (!checked_add(costs.weight_bytes, info.bytes, &costs.weight_bytes)) {
      return Error{"model.overflow", "the projector exceeds 2^64 bytes", costs.name, {}};
    }
  }
  if (const auto audio = file.boolean("clip.has_audio_encoder"); audio && *audio)
    costs.audio = **audio;
  const auto size = [&](const char* key) -> double {
    const auto value = file.integer(key);
    // Widths above this would be no picture; the bound is then left out.
    return value && *value && **value <= 1u << 20 ? static_cast<double>(**value) : 0;
  };
  const double image = size("clip.vision.image_size"), patch = size("clip.vision.patch_size");
  const double embd = size("clip.vision.embedding_length");
  const double ff = size("clip.vision.feed_forward_length");
  const double heads = size("clip.vision.attention.head_count");
  if (patch <= 0 || embd <= 0) return costs;
  // llama.cpp warms up at the picture size, and where that varies at most at 46 x 46 merged
  // tokens of 2 x 2 patches (tools/mtmd/clip.cpp, de3ff815).
  const double side = std::max(image / patch, 92.0), patches = side * side;
  // Residual, normed input, queries, keys, values, result and two copies; twice the inner width.
  const double linear = patches * 4 * (8 * embd + 2 * ff);
  const double scores = patches * patches * heads * 4 * 2;
  constexpr double kSane = 1e15;
  if (linear < kSane) costs.scratch_bytes = static_cast<std::uint64_t>(linear);
  if (linear + scores < kSane)
    costs.scratch_bytes_without_flash = static_cast<std::uint64_t>(linear + scores);
  return costs;
}

}  // namespace hwdb
