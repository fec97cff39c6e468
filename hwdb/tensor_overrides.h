// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/tensor_pattern.h"
#include "hwdb/weight_plan.h"

/// llama.cpp's --override-tensor: single tensors that are kept on another device than the rest of
/// their layer.
namespace hwdb {

/// A buffer by the name that llama.cpp gives it, and the device that it lies on: a number of the
/// plan's GPUs, or kHostDevice.
struct BufferName {
  std::string name;  // "CUDA0"
  std::int32_t device = 0;
};
inline constexpr std::int32_t kHostDevice = -1;

/// One "pattern=BUFFER".
struct TensorOverride {
  TensorPattern pattern;
  std::string buffer;
  std::int32_t device = kHostDevice;
};

/// Reads "pattern=BUFFER[,pattern=BUFFER...]" as llama.cpp does: split at commas, then at the first
/// "=". Buffer names are exact. Errors: usage.value (no "=", no known buffer, no regular
/// expression), with the known buffers in the hint.
Result<std::vector<TensorOverride>> parse_overrides(std::string_view text,
                                                    std::span<const BufferName> buffers);

/// What the overrides take from one layer, or from the tables beside the layers, to one device.
struct MovedPart {
  enum class Place { layer, embedding, output };
  Place place = Place::layer;
  std::uint32_t layer = 0;  // of Place::layer
  std::int32_t device = kHostDevice;
  std::uint64_t attention_bytes = 0, dense_ffn_bytes = 0, expert_bytes = 0;
  std::uint64_t table_bytes = 0;    // embedding or output
  std::uint64_t largest_bytes = 0;  // of one tensor: what a GPU borrows at a time
  double dense_flops_per_token = 0, expert_flops_per_token = 0, output_flops_per_token = 0;
  std::uint64_t bytes() const {
    return attention_bytes + dense_ffn_bytes + expert_bytes + table_bytes;
  }
};

/// All tensors that a pattern names, summed up: bytes by layer and destination, no names.
struct MovedTensors {
  std::vector<MovedPart> parts;  // layers ascending, then embedding, then output
  /// Set when the parts are the routed experts of the first n layers to the host and nothing else:
  /// what --n-cpu-moe n does.
  std::optional<std::uint32_t> cpu_moe_layers;
  /// What each pattern took, in the order given. A tensor goes to the first pattern that names it.
  struct Use {
    std::uint64_t tensors = 0, bytes = 0;
  };
  std::vector<Use> uses;
};

/// Looks up each tensor of a typed list (names as in GGUF). A tensor already on that device by its
/// layer counts as moved all the same; who places the layers tells. Draft layers and side towers
/// are left alone. Errors: usage.value (see TensorPattern::matches), model.overflow.
Result<MovedTensors> resolve_overrides(const ModelShape& shape,
                                       std::span<const PlannedTensor> tensors,
                                       std::span<const TensorOverride> overrides);

}  // namespace hwdb
