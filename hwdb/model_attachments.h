// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hwdb/model.h"
#include "hwdb/result.h"
#include "hwdb/weight_plan.h"

/// What is loaded beside a model: LoRA adapters and the projector for images or sound.
namespace hwdb {

/// A low-rank adapter's bytes by place. Each pair of matrices lies with the matrix that it changes.
struct AdapterCosts {
  std::string name;
  std::vector<std::uint64_t> layer_bytes;  // n_layers entries
  std::uint64_t embedding_bytes = 0, output_bytes = 0;
  double elements = 0;     // a token multiplies by each once
  bool estimated = false;  // from a rank; false: a file's own tensors
  std::uint64_t total() const;
};

/// The tensors of a GGUF adapter ("blk.0.attn_q.weight.lora_a" and so on). Errors: file.*, gguf.*,
/// model.inconsistent (no adapter, or layers that `base` does not have), model.overflow.
Result<AdapterCosts> adapter_costs(const std::string& path, const ModelShape& base);

/// An adapter of that rank on every matrix of two dimensions in the blocks but the router, in
/// 32 bit as convert_lora_to_gguf.py writes by default: rank * (columns + rows) * 4 bytes a matrix.
/// `tensors` names them. Errors: usage.value (rank 0 or beyond 65 536), model.overflow.
Result<AdapterCosts> estimate_adapter(const ModelShape& shape,
                                      std::span<const PlannedTensor> tensors, std::uint32_t rank);

/// A projector file.
struct ProjectorCosts {
  std::string name;
  std::uint64_t weight_bytes = 0;  // all tensors: llama.cpp loads them to one device
  /// Upper bound on its scratch for an image of the size that llama.cpp warms up with, with and
  /// without flash attention; 0 when the file does not say enough.
  std::uint64_t scratch_bytes = 0, scratch_bytes_without_flash = 0;
  bool audio = false;  // has a sound encoder, whose scratch is not in the bound
};

/// Opens a GGUF projector (general.architecture "clip"). Errors: file.*, gguf.*,
/// model.inconsistent (not a projector), model.overflow.
Result<ProjectorCosts> projector_costs(const std::string& path);

}  // namespace hwdb
