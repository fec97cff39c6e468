// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "hwdb/result.h"

namespace hwdb {

/// llama.cpp's file-type presets.
enum class Preset {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q2_k_s,
  q3_k_s,
  q3_k_m,
  q3_k_l,
  q4_k_s,
  q4_k_m,
  q5_k_s,
  q5_k_m,
  q6_k,
  iq1_s,
  iq1_m,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq2_m,
  iq3_xxs,
  iq3_xs,
  iq3_s,
  iq3_m,
  iq4_nl,
  iq4_xs,
  tq1_0,
  tq2_0,
  mxfp4_moe,
  nvfp4,
  q1_0,
  q2_0
};

/// A preset by one of its names.
struct PresetRule {
  std::string_view name;
  Preset preset;
  std::string_view type;       // default tensor type
  bool q8_embeddings = false;  // the community's _L and _XL: token table and output in Q8_0
};

/// By name, case and dashes aside; null when there is none. Community names (Q4_K_L) are in.
const PresetRule* find_preset_rule(std::string_view name);
/// quant.unknown, with the nearest names in the hint.
Error unknown_preset(std::string_view name);

}  // namespace hwdb
