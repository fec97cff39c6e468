// SPDX-License-Identifier: MIT
#include "hwdb/quant_presets.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "hwdb/names.h"

namespace hwdb {
namespace {

constexpr PresetRule kPresets[] = {
    {"F32", Preset::f32, "F32"},
    {"F16", Preset::f16, "F16"},
    {"BF16", Preset::bf16, "BF16"},
    {"Q4_0", Preset::q4_0, "Q4_0"},
    {"Q4_1", Preset::q4_1, "Q4_1"},
    {"Q5_0", Preset::q5_0, "Q5_0"},
    {"Q5_1", Preset::q5_1, "Q5_1"},
    {"Q8_0", Preset::q8_0, "Q8_0"},
    {"Q2_K", Preset::q2_k, "Q2_K"},
    {"Q2_K_S", Preset::q2_k_s, "Q2_K"},
    {"Q3_K_S", Preset::q3_k_s, "Q3_K"},
    {"Q3_K_M", Preset::q3_k_m, "Q3_K"},
    {"Q3_K_L", Preset::q3_k_l, "Q3_K"},
    {"Q4_K_S", Preset::q4_k_s, "Q4_K"},
    {"Q4_K_M", Preset::q4_k_m, "Q4_K"},
    {"Q5_K_S", Preset::q5_k_s, "Q5_K"},
    {"Q5_K_M", Preset::q5_k_m, "Q5_K"},
    {"Q6_K", Preset::q6_k, "Q6_K"},
    {"IQ1_S", Preset::iq1_s, "IQ1_S"},
    {"IQ1_M", Preset::iq1_m, "IQ1_M"},
    {"IQ2_XXS", Preset::iq2_xxs, "IQ2_XXS"},
    {"IQ2_XS", Preset::iq2_xs, "IQ2_XS"},
    {"IQ2_S", Preset::iq2_s, "IQ2_XS"},
    {"IQ2_M", Preset::iq2_m, "IQ2_S"},
    {"IQ3_XXS", Preset::iq3_xxs, "IQ3_XXS"},
    {"IQ3_XS", Preset::iq3_xs, "IQ3_S"},
    {"IQ3_S", Preset::iq3_s, "IQ3_S"},
    {"IQ3_M", Preset::iq3_m, "IQ3_S"},
    {"IQ4_NL", Preset::iq4_nl, "IQ4_NL"},
    {"IQ4_XS", Preset::iq4_xs, "IQ4_XS"},
    {"TQ1_0", Preset::tq1_0, "TQ1_0"},
    {"TQ2_0", Preset::tq2_0, "TQ2_0"},
    {"MXFP4_MOE", Preset::mxfp4_moe, "MXFP4"},
    {"MXFP4", Preset::mxfp4_moe, "MXFP4"},
    {"NVFP4", Preset::nvfp4, "NVFP4"},
    {"Q1_0", Preset::q1_0, "Q1_0"},
    {"Q2_0", Preset::q2_0, "Q2_0"},
    {"Q2_K_L", Preset::q2_k, "Q2_K", true},
    {"Q3_K_XL", Preset::q3_k_l, "Q3_K", true},
    {"Q4_K_L", Preset::q4_k_m, "Q4_K", true},
    {"Q5_K_L", Preset::q5_k_m, "Q5_K", true},
    {"Q6_K_L", Preset::q6_k, "Q6_K", true},
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == '-') c = '_';
  }
  return out;
}

}  // namespace

const PresetRule* find_preset_rule(std::string_view name) {
  const auto* rule = std::ranges::find(kPresets, name, &PresetRule::name);
  // A name from a command line may be of any length; no preset's is longer than this.
  if (rule == std::end(kPresets)) {
    rule = std::ranges::find(kPresets, upper(name.substr(0, 32)), &PresetRule::name);
  }
  return rule != std::end(kPresets) ? rule : nullptr;
}

Error unknown_preset(std::string_view name) {
  std::vector<std::string> known;
  for (const PresetRule& rule : kPresets) known.emplace_back(rule.name);
  const std::string shown(name.substr(0, 64));
  std::string hint = nearest_hint(shown, known, 3);
  if (hint.empty()) hint = "such as Q4_K_M, Q8_0 or IQ4_XS";
  return Error{
      "quant.unknown", "no quantization preset is called '" + shown + "'", {}, std::move(hint)};
}

}  // namespace hwdb
