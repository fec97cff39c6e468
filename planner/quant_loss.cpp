// SPDX-License-Identifier: MIT
#include "planner/quant_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <vector>

namespace planner {
namespace {

/// Below this a measurement is noise, and its logarithm says nothing.
constexpr double kLeastDivergence = 1e-4;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Lower-case letters and digits; the words that name a tuning are dropped, so that
/// "Llama-3.1-8B-Instruct" and "llama-3.1-8b" are one model.
std::string model_key(std::string_view name) {
  std::string key, word;
  const auto flush = [&] {
    for (const std::string_view tuning : {"instruct", "it", "chat", "qat"})
      if (word == tuning) word.clear();
    key += word;
    word.clear();
  };
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.')
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else
      flush();
  }
  flush();
  return key;
}

/// Billions of parameters as the name says: "Llama-3-8B", "Mixtral-8x7B"; 0 when it says nothing.
double billions_in(std::string_view name) {
  for (std::size_t at = 0; at < name.size(); ++at) {
    if (!is_digit(name[at]) || (at > 0 && (is_digit(name[at - 1]) || name[at - 1] == '.')))
      continue;
    // "A3B" counts active parameters.
    if (at > 0 && (name[at - 1] == 'A' || name[at - 1] == 'a')) continue;
    double factor = 1, value = 0;
    const char* end = name.data() + name.size();
    auto [rest, ec] = std::from_chars(name.data() + at, end, value, std::chars_format::fixed);
    if (ec == std::errc() && rest < end && *rest == 'x') {
      factor = value;
      const auto second = std::from_chars(rest + 1, end, value, std::chars_format::fixed);
      rest = second.ptr;
      ec = second.ec;
    }
    if (ec != std::errc() || rest >= end || (*rest != 'B' && *rest != 'b')) continue;
    if (rest + 1 < end && std::isalpha(static_cast<unsigned char>(rest[1])) != 0) continue;
    return factor * value;
  }
  return 0;
}

/// The preset in a published label: "Q4_K_M (unsloth)" is Q4_K_M; "Q4_0 (pure)", mixes and cache
/// rows are none.
std::string_view preset_in(std::string_view label) {
  if (label.find("pure") != std::string_view::npos || label.find("mix") != std::string_view::npos ||
      label.starts_with("KV ") || label.starts_with("K cache"))
    return {};
  return label.substr(0, label.find(" ("));
}

bool is_reference(std::string_view label) {
  return label == "F16" || label == "FP16" || label == "BF16" || label == "F32";
}

/// Small models lose more: three classes, in billions of parameters.
int size_class(double billions) {
  return billions < 4 ? 0 : billions < 20 ? 1 : 2;
}
constexpr std::array<std::string_view, 3> kClassWords = {"below 4B", "of 4B to 20B",
                                                         "of 20B and more"};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// One model in one publication.
struct Series {
  std::string_view model, source;
  std::string key;
  double billions = 0;
  bool kld = false;
  double level = 0;
};

struct Cell {
  std::size_t series = 0, preset = 0;
  double divergence = 0;
};

QuantLoss loss_of(double divergence, bool kld) {
  QuantLoss loss;
  loss.divergence = std::max(0.0, divergence);
  loss.loss = 1 - std::exp(-loss.divergence);
  loss.kind = kld ? "KLD" : "perplexity";
  return loss;
}

}  // namespace

struct QuantLossTable::State {
  std::vector<Series> series;
  std::vector<std::string_view> presets;
  std::vector<double> preset_levels;
  std::vector<Cell> cells;  // medians, where one series has a preset several times
  std::vector<Cell> aware;  // of quantization-aware checkpoints
  std::array<std::optional<double>, 3> class_levels;
  std::array<std::size_t, 3> class_series{};

  std::optional<std::size_t> preset_index(std::string_view name) const {
    const auto at = std::find(presets.begin(), presets.end(), name);
    if (at == presets.end()) return std::nullopt;
    return static_cast<std::size_t>(at - presets.begin());
  }
  std::size_t add_preset(std::string_view name) {
    if (const auto at = preset_index(name)) return *at;
    presets.push_back(name);
    return presets.size() - 1;
  }
  std::size_t add_series(const hwdb::QuantQualityRow& row, bool kld) {
    for (std::size_t i = 0; i < series.size(); ++i)
      if (series[i].model == row.model && series[i].source == row.source && series[i].kld == kld)
        return i;
    series.push_back({row.model, row.source, model_key(row.model), billions_in(row.model), kld, 0});
    return series.size() - 1;
  }
  void fit();
  std::vector<const Series*> of_model(const hwdb::ModelRow& model) const;
};

/// Medians alternately over rows and columns: Tukey's median polish, which a few odd publications
/// do not move.
void QuantLossTable::State::fit() {
  preset_levels.assign(presets.size(), 0);
  std::vector<double> residuals;
  for (int round = 0; round < 12; ++round) {
    for (std::size_t s = 0; s < series.size(); ++s) {
      residuals.clear();
      for (const Cell& cell : cells)
        if (cell.series == s)
          residuals.push_back(std::log(std::max(cell.divergence, kLeastDivergence)) -
                              preset_levels[cell.preset]);
      if (!residuals.empty()) series[s].level = median(residuals);
    }
    for (std::size_t p = 0; p < presets.size(); ++p) {
      residuals.clear();
      for (const Cell& cell : cells)
        if (cell.preset == p)
          residuals.push_back(std::log(std::max(cell.divergence, kLeastDivergence)) -
                              series[cell.series].level);
      if (!residuals.empty()) preset_levels[p] = median(residuals);
    }
  }
  std::array<std::vector<double>, 3> levels;
  for (std::size_t s = 0; s < series.size(); ++s) {
    const bool used =
        std::any_of(cells.begin(), cells.end(), [&](const Cell& cell) { return cell.series == s; });
    if (used && series[s].billions > 0)
      levels[static_cast<std::size_t>(size_class(series[s].billions))].push_back(series[s].level);
  }
  for (std::size_t c = 0; c < levels.size(); ++c) {
    class_series[c] = levels[c].size();
    if (!levels[c].empty()) class_levels[c] = median(levels[c]);
  }
}

std::vector<const Series*> QuantLossTable::State::of_model(const hwdb::ModelRow& model) const {
  std::vector<std::string> keys = {model_key(model.id)};
  for (const std::string& alias : model.aliases) keys.push_back(model_key(alias));
  for (const std::string& id : model.quality_ids)
    if (!id.ends_with("-base")) keys.push_back(model_key(id));
  std::vector<const Series*> found;
  for (const Series& one : series)
    if (std::find(keys.begin(), keys.end(), one.key) != keys.end()) found.push_back(&one);
  // Divergences before perplexities: for tuned models they are the better figure.
  std::stable_partition(found.begin(), found.end(), [](const Series* s) { return s->kld; });
  return found;
}

QuantLossTable::QuantLossTable(std::span<const hwdb::QuantQualityRow> rows)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  std::vector<std::vector<double>> values;  // beside state.cells
  std::vector<const hwdb::QuantQualityRow*> references;
  for (const hwdb::QuantQualityRow& row : rows)
    if (row.ppl && is_reference(row.quant)) references.push_back(&row);
  for (const hwdb::QuantQualityRow& row : rows) {
    const bool aware = row.quant.find("QAT") != std::string::npos;
    std::string_view preset = preset_in(row.quant);
    if (aware) preset = std::string_view(row.quant).substr(0, row.quant.find(' '));
    if (preset.empty() || is_reference(preset)) continue;
    std::optional<double> divergence;
    if (row.kld_mean) {
      divergence = *row.kld_mean;
    } else if (row.ppl && row.ppl_delta && *row.ppl > *row.ppl_delta) {
      divergence = std::log(*row.ppl / (*row.ppl - *row.ppl_delta));
    } else if (row.ppl) {
      for (const hwdb::QuantQualityRow* other : references)
        if (other->model == row.model && other->source == row.source &&
            other->dataset == row.dataset)
          divergence = std::log(*row.ppl / *other->ppl);
    }
    if (!divergence || !std::isfinite(*divergence)) continue;
    const std::size_t s = state.add_series(row, row.kld_mean.has_value());
    const std::size_t p = state.add_preset(preset);
    if (aware) {
      state.aware.push_back({s, p, *divergence});
      continue;
    }
    std::size_t c = 0;
    while (c < state.cells.size() && (state.cells[c].series != s || state.cells[c].preset != p))
      ++c;
    if (c == state.cells.size()) {
      state.cells.push_back({s, p, 0});
      values.emplace_back();
    }
    values[c].push_back(*divergence);
  }
  for (std::size_t c = 0; c < values.size(); ++c)
    state.cells[c].divergence = median(std::move(values[c]));
  state.fit();
}

QuantLossTable::QuantLossTable(QuantLossTable&&) noexcept = default;
QuantLossTable::~QuantLossTable() = default;

std::optional<QuantLoss> QuantLossTable::find(const hwdb::ModelRow& model,
                                              std::string_view preset) const {
  if (is_full_precision(model, preset)) {
    QuantLoss none = loss_of(0, true);
    none.evidence = "the published weights";
    return none;
  }
  const State& state = *state_;
  const auto index = state.preset_index(preset);
  if (!index) return std::nullopt;
  const auto own = state.of_model(model);
  for (const Series* series : own) {
    for (const Cell& cell : state.cells) {
      if (&state.series[cell.series] != series || cell.preset != *index) continue;
      QuantLoss loss = loss_of(cell.divergence, series->kld);
      loss.of_this_model = true;
      loss.source = series->source;
      loss.evidence = fmt::format("published for {} ({})", series->model, series->source);
      return loss;
    }
  }
  const auto has_cells = [&](const Series& series) {
    return std::any_of(state.cells.begin(), state.cells.end(),
                       [&](const Cell& cell) { return &state.series[cell.series] == &series; });
  };
  const auto has_preset = [&] {
    return std::any_of(state.cells.begin(), state.cells.end(),
                       [&](const Cell& cell) { return cell.preset == *index; });
  };
  if (!has_preset()) return std::nullopt;
  const double preset_level = state.preset_levels[*index];
  for (const Series* series : own) {
    if (!has_cells(*series)) continue;
    QuantLoss loss = loss_of(std::exp(series->level + preset_level), series->kld);
    loss.source = series->source;
    loss.evidence =
        fmt::format("inferred from other presets of {} ({})", series->model, series->source);
    return loss;
  }
  const double billions = static_cast<double>(model.params_total.value_or(0)) / 1e9;
  const std::string family = model_key(model.family);
  const Series* nearest = nullptr;
  double best = std::log(2.0);
  for (const Series& series : state.series) {
    if (billions <= 0 || series.billions <= 0 || family.empty() ||
        !series.key.starts_with(family) || !has_cells(series))
      continue;
    const double distance = std::abs(std::log(series.billions / billions));
    if (distance > best || (nearest && distance == best)) continue;
    best = distance;
    nearest = &series;
  }
  if (nearest) {
    for (const Cell& cell : state.cells) {
      if (&state.series[cell.series] != nearest || cell.preset != *index) continue;
      QuantLoss loss = loss_of(cell.divergence, nearest->kld);
      loss.source = nearest->source;
      loss.evidence = fmt::format("published for {} ({}), the nearest of its family",
                                  nearest->model, nearest->source);
      return loss;
    }
    QuantLoss loss = loss_of(std::exp(nearest->level + preset_level), nearest->kld);
    loss.source = nearest->source;
    loss.evidence = fmt::format("inferred from other presets of {} ({}), the nearest of its family",
                                nearest->model, nearest->source);
    return loss;
  }
  const std::size_t c = static_cast<std::size_t>(size_class(billions > 0 ? billions : 8));
  if (!state.class_levels[c]) return std::nullopt;
  QuantLoss loss = loss_of(std::exp(*state.class_levels[c] + preset_level), true);
  loss.evidence = fmt::format("median of {} published series of models {}", state.class_series[c],
                              kClassWords[c]);
  return loss;
}

std::optional<QuantLoss> QuantLossTable::find_quantization_aware(const hwdb::ModelRow& model,
                                                                 std::string_view preset) const {
  const State& state = *state_;
  const auto index = state.preset_index(preset);
  if (!index) return std::nullopt;
  const auto own = state.of_model(model);
  const std::string family = model_key(model.family);
  const Cell* found = nullptr;
  bool exact = false;
  for (const Cell& cell : state.aware) {
    if (cell.preset != *index) continue;
    const Series& series = state.series[cell.series];
    const bool same = std::find(own.begin(), own.end(), &series) != own.end();
    if (!same && (family.empty() || !series.key.starts_with(family))) continue;
    // Several files of one format: the one that lost most, so as not to promise the best.
    if (!found || (same && !exact) || (same == exact && cell.divergence > found->divergence)) {
      found = &cell;
      exact = exact || same;
    }
  }
  if (!found) return std::nullopt;
  const Series& series = state.series[found->series];
  QuantLoss loss = loss_of(found->divergence, series.kld);
  loss.quantization_aware = true;
  loss.of_this_model = exact;
  loss.source = series.source;
  loss.evidence =
      fmt::format("published for the quantization-aware {} ({})", series.model, series.source);
  return loss;
}

bool is_full_precision(const hwdb::ModelRow& model, std::string_view preset) {
  if (is_reference(preset)) return true;
  return model.native_quant == "MXFP4" && preset == "MXFP4_MOE";
}

}  // namespace planner
