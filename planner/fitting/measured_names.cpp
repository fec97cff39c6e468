// SPDX-License-Identifier: MIT
#include "planner/fitting/measured_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "hwdb/names.h"
#include "hwdb/op_counts.h"
#include "hwdb/quant_name.h"
#include "hwdb/quant_presets.h"
#include "planner/fitting/measured_notes.h"

namespace fitting {
namespace {

using hwdb::Error;
using hwdb::ModelRow;
using hwdb::Result;

Error left_out(std::string_view rule, std::string words) {
  return {std::string(rule), std::move(words), "", ""};
}

/// A count told with decimals may be off by rounding and by what a source counts; one told in whole
/// billions is a name, or a figure that is rounded.
constexpr double kExactParams = 0.015, kNamedParams = 0.35, kRoundedParams = 0.08;
constexpr double kFileSize = 0.03, kMixSize = 0.02;

double total_params(const ModelRow& row) {
  return static_cast<double>(row.params_total.value_or(0)) / 1e9;
}

/// The table that is input and output at once: some builds counted it twice.
double tied_params(const ModelRow& row) {
  if (!row.shape.tie_embeddings) return 0;
  return static_cast<double>(row.shape.n_vocab) * row.shape.n_embd / 1e9;
}

/// How far a model's parameter count is from the row's, as a fraction.
double params_distance(const ModelRow& model, const MeasuredRow& row) {
  if (row.params_b <= 0) return 0;
  const double total = total_params(model);
  const double once = std::abs(total / row.params_b - 1);
  const double twice = std::abs((total + tied_params(model)) / row.params_b - 1);
  return std::min(once, twice);
}

/// `named`: the fraction that a count in whole billions may be off by.
bool params_agree(const ModelRow& model, const MeasuredRow& row, double named) {
  const double distance = params_distance(model, row);
  return distance <= (row.params_exact ? kExactParams : named);
}

std::string without_suffix(std::string text, std::string_view suffix) {
  if (lowered(text).ends_with(suffix)) text.resize(text.size() - suffix.size());
  return text;
}

/// What a source may mean by a model's words, best first: a name in parentheses says more than
/// llama.cpp's "llama 7B" before it.
std::vector<std::string> model_names(std::string_view words) {
  std::vector<std::string> names;
  const auto add = [&](std::string name) {
    name = without_suffix(std::move(name), ".gguf");
    if (const std::string preset = hwdb::preset_in_file_name(name + ".gguf");
        !preset.empty() && name.size() > preset.size() + 1 &&
        lowered(name).ends_with(lowered(preset)))
      name.resize(name.size() - preset.size() - 1);
    name = without_suffix(std::move(name), "-gguf");
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    // "Qwen_Qwen3.5-9B": the owner, as some publishers put it before a name.
    const std::size_t owner = name.find('_');
    if (owner != std::string::npos && owner > 0 && owner + 1 < name.size())
      names.push_back(name.substr(owner + 1));
  };
  const std::size_t open = words.find('('), close = words.rfind(')');
  if (open != std::string_view::npos && close != std::string_view::npos && open < close) {
    add(std::string(words.substr(open + 1, close - open - 1)));
    std::string before(words.substr(0, open));
    while (!before.empty() && before.back() == ' ') before.pop_back();
    add(std::move(before));
  } else {
    add(std::string(words));
  }
  return names;
}

/// True when the words are llama.cpp's own for a kind of model, architecture and size: "llama 8B",
/// "qwen3moe 30B.A3B".
bool names_architecture(std::string_view words, std::string_view architecture) {
  const std::string low = lowered(words);
  if (!low.starts_with(architecture) || low.size() < architecture.size() + 3 ||
      low[architecture.size()] != ' ')
    return false;
  const std::string_view size = std::string_view(low).substr(architecture.size() + 1);
  const std::size_t unit = size.find_first_not_of("0123456789.");
  if (unit == 0 || unit == std::string_view::npos || (size[unit] != 'b' && size[unit] != 'm'))
    return false;
  return unit + 1 == size.size() || size.substr(unit + 1).starts_with(".a");
}

/// The letters that the ids of an architecture's own family begin with: "qwen" of "qwen3moe".
std::string_view family_letters(std::string_view architecture) {
  return architecture.substr(
      0, std::min(architecture.find_first_of("0123456789-"), architecture.size()));
}

}  // namespace

std::string preset_of(std::string_view words) {
  std::string name = lowered(words);
  if (name.starts_with("mostly ")) name.erase(0, 7);
  for (const auto& [size, letter] :
       {std::pair{" - small", "_s"}, std::pair{" - medium", "_m"}, std::pair{" - large", "_l"}}) {
    if (name.ends_with(size))
      name = name.substr(0, name.size() - std::string_view(size).size()) + letter;
  }
  if (name == "fp16") name = "f16";
  if (name == "fp32") name = "f32";
  if (name == "mxfp4" || name == "mxfp4 moe") name = "mxfp4_moe";
  // llama.cpp prints the type of most tensors for what its quantizer calls medium.
  if (name == "q3_k" || name == "q4_k" || name == "q5_k") name += "_m";
  if (name.find(' ') != std::string::npos) return {};
  const hwdb::PresetRule* rule = hwdb::find_preset_rule(name);
  return rule != nullptr ? std::string(rule->name) : std::string();
}

std::string preset_behind_mix(std::string_view words) {
  std::string name = lowered(words);
  const bool dynamic = name.starts_with("ud-");
  if (dynamic) name.erase(0, 3);
  if (name.ends_with("_xl")) return preset_of(name.substr(0, name.size() - 3) + "_m");
  if (name.ends_with("_p")) return preset_of(name.substr(0, name.size() - 2) + "_m");
  return dynamic ? preset_of(name) : std::string();
}

std::shared_ptr<const planner::ResolvedModel> MeasuredNames::costs(
    const ModelRow& row, const std::string& preset, const std::string& embedding_type) {
  const std::string key = row.id + '\n' + preset + '\n' + embedding_type;
  const auto known = costs_.find(key);
  if (known != costs_.end()) return known->second;
  hwdb::QuantOptions how;
  how.preset = preset;
  how.token_embedding_type = embedding_type;
  std::shared_ptr<const planner::ResolvedModel> made;
  if (auto costs = hwdb::model_costs_of_preset(row.shape, how)) {
    auto resolved = std::make_shared<planner::ResolvedModel>();
    resolved->name = row.id;
    resolved->costs = std::move(*costs);
    resolved->tensors = [shape = &row.shape, how] { return hwdb::tensors_of_preset(*shape, how); };
    made = std::move(resolved);
  }
  costs_.emplace(key, made);
  return made;
}

Result<const ModelRow*> MeasuredNames::model_row(const MeasuredRow& row,
                                                 const std::string& preset) {
  std::string named;  // a row of that name whose count is another
  const std::vector<std::string> names = model_names(row.model);
  for (const std::string& name : names) {
    const auto found = catalog_.find_model(name);
    if (!found) continue;
    // "1B" is the name of many a model up to 1.5.
    if (params_agree(**found, row, std::max(kNamedParams, 0.5 / std::max(row.params_b, 1.0))))
      return *found;
    named = (*found)->id;
  }
  for (const std::string& name : names) {
    const ModelRow* best = nullptr;
    for (const bool own_family : {true, false}) {
      std::vector<const ModelRow*> fitting;
      for (const ModelRow& model : catalog_.models()) {
        const std::string& architecture = model.shape.architecture;
        if (architecture.empty() || !names_architecture(name, architecture)) continue;
        if (own_family && !model.id.starts_with(family_letters(architecture))) continue;
        if (row.params_b > 0 && params_agree(model, row, kRoundedParams)) fitting.push_back(&model);
      }
      if (fitting.empty()) continue;
      best = *std::ranges::min_element(fitting, {}, [&](const ModelRow* model) {
        return row.params_exact ? params_distance(*model, row) : 0;
      });
      // Models of one shape are one; others of that size make the words unclear.
      for (const ModelRow* other : fitting) {
        const auto mine = costs(*best, preset, ""), theirs = costs(*other, preset, "");
        const bool nearer =
            row.params_exact && params_distance(*best, row) + 1e-3 < params_distance(*other, row);
        if (nearer || (mine && theirs &&
                       std::abs(static_cast<double>(mine->costs.tensor_bytes) /
                                    static_cast<double>(theirs->costs.tensor_bytes) -
                                1) < 0.01))
          continue;
        return left_out("model",
                        fmt::format("\"{}\" may be {} or {}", row.model, best->id, other->id));
      }
      return best;
    }
  }
  return left_out("model", named.empty()
                               ? fmt::format("no model of the catalogue is \"{}\"", row.model)
                               : fmt::format("\"{}\" with {:g} billion parameters is not {}",
                                             row.model, row.params_b, named));
}

Result<MeasuredNames::Model> MeasuredNames::find_model(const MeasuredRow& row) {
  if (row.quant.empty()) return left_out("quant", "the weight format is not told");
  std::string preset = preset_of(row.quant);
  bool mix = preset.empty();
  if (mix) preset = preset_behind_mix(row.quant);
  // "DeepSeek-R1 (UD-IQ1_S)" says more than its column for the format.
  if (const std::size_t open = row.model.find('('); open != std::string::npos) {
    const std::string aside = row.model.substr(open + 1, row.model.rfind(')') - open - 1);
    if (const std::string behind = preset_behind_mix(aside); !behind.empty()) {
      preset = behind;
      mix = true;
    }
  }
  if (preset.empty())
    return left_out("quant", fmt::format("\"{}\" is no preset of llama.cpp", row.quant));
  if (mix && row.model_size_gib <= 0) {
    return left_out("quant",
                    fmt::format("\"{}\" is a publisher's own mix of unknown size", row.quant));
  }
  const auto found = model_row(row, preset);
  if (!found) return found.error();
  Model model;
  model.id = (*found)->id;
  model.preset = preset;
  const double told = row.model_size_gib * static_cast<double>(hwdb::kGiB);
  double nearest = 0;
  // Of a table that is input and output at once, publishers keep more bits than the preset's.
  for (const std::string_view table : {"", "Q8_0", "F16"}) {
    if (!table.empty() && !(*found)->shape.tie_embeddings) break;
    const auto made = costs(**found, preset, std::string(table));
    if (!made) continue;
    const auto& costs_made = made->costs;
    double size = static_cast<double>(costs_made.file_bytes);
    if (row.params_exact && costs_made.output_is_tied &&
        std::abs(total_params(**found) / row.params_b - 1) > kExactParams)
      size += static_cast<double>(costs_made.tied_bytes);  // counted twice
    const double off = told > 0 ? std::abs(size / told - 1) : 0;
    if (off <= (mix ? kMixSize : kFileSize)) {
      model.model = made;
      return model;
    }
    if (nearest == 0 || off < std::abs(nearest / told - 1)) nearest = size;
  }
  if (nearest == 0) {
    return left_out("quant", fmt::format("{} cannot be made of {}", preset, model.id));
  }
  return left_out(mix ? "quant" : "model_size",
                  fmt::format("{} at {} has {:.2f} GiB, not {:.2f}", model.id, preset,
                              nearest / static_cast<double>(hwdb::kGiB), row.model_size_gib));
}

Result<MeasuredNames::Model> MeasuredNames::model(const MeasuredRow& row) {
  const std::string key = fmt::format("{}\n{}\n{}\n{}\n{}", row.model, row.quant, row.params_b,
                                      row.params_exact, row.model_size_gib);
  const auto known = models_.find(key);
  if (known != models_.end()) return known->second;
  return models_.emplace(key, find_model(row)).first->second;
}

}  // namespace fitting
