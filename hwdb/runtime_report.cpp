// SPDX-License-Identifier: MIT
#include "hwdb/runtime_report.h"

#include "hwdb/quant_presets.h"

namespace hwdb {

std::string_view to_string(RuntimeBuffer::Kind kind) {
  using Kind = RuntimeBuffer::Kind;
  switch (kind) {
    case Kind::model:
      return "weights";
    case Kind::kv_cache:
      return "kv_cache";
    case Kind::state:
      return "state";
    case Kind::compute:
      return "compute";
    case Kind::output:
      return "output";
    case Kind::lora:
      return "lora";
  }
  return "";
}

std::string_view to_string(RuntimeLoad::Role role) {
  using Role = RuntimeLoad::Role;
  switch (role) {
    case Role::main:
      return "main";
    case Role::draft:
      return "draft model";
    case Role::projector:
      return "projector";
    case Role::further_model:
      return "further model";
    case Role::further_context:
      return "further context";
  }
  return "";
}

const RuntimeLoad* RuntimeReport::main_load() const {
  for (const RuntimeLoad& load : loads) {
    if (load.role == RuntimeLoad::Role::main) return &load;
  }
  return nullptr;
}

std::string preset_of_file_type(std::string_view words) {
  for (const std::string_view lead : {"all ", "mostly "}) {
    if (words.starts_with(lead)) words.remove_prefix(lead.size());
  }
  if (const std::size_t guess = words.find(" (guessed)"); guess != std::string_view::npos) {
    words = words.substr(0, guess);
  }
  const std::size_t dash = words.find(" - ");
  std::string name(words.substr(0, dash));
  const std::string_view rest = dash == std::string_view::npos ? "" : words.substr(dash + 3);
  if (name == "IQ3_S mix") name = "IQ3_M";
  if (name == "MXFP4 MoE") name = "MXFP4_MOE";
  // Only the K presets come in sizes; Q2_K's usual one has no letter.
  if (rest.starts_with("Small")) name += "_S";
  if (rest.starts_with("Medium") && name != "Q2_K") name += "_M";
  if (rest.starts_with("Large")) name += "_L";
  const PresetRule* rule = find_preset_rule(name);
  return rule != nullptr ? std::string(rule->name) : std::string();
}

}  // namespace hwdb
