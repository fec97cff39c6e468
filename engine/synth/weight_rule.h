// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/synth/synth_traits.h"
#include "hwdb/model.h"

namespace engine {

/// How the values of one tensor come about: bell-shaped around a mean, or given.
struct WeightRule {
  float mean = 0, spread = 0;  // spread: standard deviation
  bool signs = false;          // half of them negated, at random
  std::vector<float> values;   // not empty: exactly these, one an element
};

/// A rule under which activations keep their size from layer to layer, attention is neither flat
/// nor a point, few experts carry a token, and logits have a standard deviation of about 3.
WeightRule weight_rule(const hwdb::TensorInfo& tensor, const hwdb::ModelShape& shape,
                       const SynthTraits& traits);

/// The divisors of rope_freqs for Llama 3's scaling, one a pair: pairs that turn fast stay, slow
/// ones are stretched by the factor, and between is a ramp.
std::vector<float> llama3_rope_factors(const hwdb::RopeShape& rope, std::uint32_t n_pairs);

}  // namespace engine
