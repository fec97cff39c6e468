// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>

#include "hwdb/model.h"

namespace engine {

/// What is left out of a model to make it small. Absent: nothing.
struct SynthCuts {
  std::optional<std::uint32_t> n_layers;   // the first n
  std::optional<std::uint32_t> n_experts;  // at least the experts used
  std::optional<std::uint64_t> n_vocab;
};

/// The first layers of a model as a model: which layers have a window, no feed-forward, experts or
/// a state stays as it is. At least one layer keeps its experts; draft layers and side towers go.
hwdb::ModelShape cut_shape(const hwdb::ModelShape& shape, const SynthCuts& cuts);

}  // namespace engine
