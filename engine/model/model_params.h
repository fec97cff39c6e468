// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cpu/elementwise.h"
#include "engine/model/run_traits.h"
#include "hwdb/gguf.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace engine {

/// The angles by which one kind of layer turns its heads.
struct RopeFrequencies {
  std::uint32_t n_rotated = 0;     // elements of a head; 0: nothing turns
  std::vector<float> frequencies;  // n_rotated / 2, radians a position
  float magnitude = 1;             // of sine and cosine
};

/// The numbers of a model that the arithmetic needs and its size does not: from a file's keys, with
/// the architecture's habits where a key is absent.
struct ModelParams {
  const RunTraits* traits = nullptr;
  std::vector<hwdb::LayerShape> layers;
  float norm_eps = 1e-5f;
  bool layer_norm = false;  // by mean and variance; else by the root mean square
  bool parallel_ffn = false;
  float attention_scale = 0;  // of the scores, one for all layers
  float attention_softcap = 0, final_softcap = 0;
  float value_scale = 1;  // of what attention makes of values
  float qkv_clamp = 0;    // queries, keys and values stay within +- this; 0: no limit
  /// Queries grow by 1 + temperature_scale * ln(1 + floor(position / temperature_step)); 0: never.
  float temperature_scale = 0;
  std::uint32_t temperature_step = 1;
  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;

  /// Full layers, and layers with a window where those turn differently. `rope_long` replaces
  /// `rope` when a sequence has more cells than `rope_long_from` tokens (0: never).
  RopeFrequencies rope, rope_sliding, rope_long;
  std::uint64_t rope_long_from = 0;

  RunTraits::Router router = RunTraits::Router::softmax;
  bool normalize_chosen = true;
  float expert_weights_scale = 1;
  std::uint32_t n_expert_groups = 0, n_expert_groups_used = 0;  // 0: no groups
};

/// Rope factor tensors of a file, n_rotated / 2 floats each; empty when absent.
struct RopeFactors {
  std::vector<float> freqs, long_factors, short_factors;
};

/// Reads the keys. Errors: run.architecture; gguf.key_type, model.range, model.missing_key.
hwdb::Result<ModelParams> read_model_params(const hwdb::GgufFile& gguf,
                                            const hwdb::ModelShape& shape,
                                            const RopeFactors& factors);

/// How a rotary embedding is stretched.
struct RopeScaling {
  double freq_base = 10000;
  double factor = 1;  // positions are divided by it
  bool yarn = false;  // only slow pairs are stretched, with a ramp between
  std::uint64_t original_context = 0;
  double beta_fast = 32, beta_slow = 1;
  double extrapolation = 1;  // how far the ramp of YaRN applies
  double magnitude = 1;
  std::vector<float> factors;  // a divisor a pair; empty: none
};
/// frequency i = base^(-2i/n) / factors[i], stretched. YaRN as in arXiv 2309.00071, with the ramp's
/// ends rounded as its reference code does.
RopeFrequencies make_rope_frequencies(const RopeScaling& scaling, std::uint32_t n_rotated);

}  // namespace engine
