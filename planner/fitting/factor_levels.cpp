// SPDX-License-Identifier: MIT
#include "planner/fitting/factor_levels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace fitting {
namespace {

using hwdb::SpeedFactorRow;
using planner::DeviceClass;
using planner::DeviceFactors;

using Figure = std::optional<double> SpeedFactorRow::*;
// In the order of kFactorFields.
constexpr std::array<Figure, planner::kFactorFields.size()> kFigures = {
    &SpeedFactorRow::read,
    &SpeedFactorRow::vector,
    &SpeedFactorRow::cache_read,
    &SpeedFactorRow::matmul,
    &SpeedFactorRow::attention,
    &SpeedFactorRow::score_flops,
    &SpeedFactorRow::activation,
    &SpeedFactorRow::expert_read,
    &SpeedFactorRow::expert_matmul,
    &SpeedFactorRow::half_tokens,
    &SpeedFactorRow::expert_half_tokens,
    &SpeedFactorRow::product_s,
    &SpeedFactorRow::pass_s,
    &SpeedFactorRow::power_exponent};
constexpr std::array<Figure, planner::kTypeFactorFields.size()> kTypeFigures = {
    &SpeedFactorRow::read, &SpeedFactorRow::vector, &SpeedFactorRow::matmul,
    &SpeedFactorRow::cache_read, &SpeedFactorRow::attention};

// Expected distance of a row's figures from those above it, as standard deviations of the
// logarithm; 0: that level does not tell it. Columns as kFactorFields: read, vector, cache_read,
// matmul, attention, score_flops, activation, expert_read, expert_matmul, half_tokens,
// expert_half_tokens, product_s, pass_s, power_exponent.
using Spread = std::array<double, planner::kFactorFields.size()>;
constexpr Spread kAny = {0.5, 0.7, 0.7, 0.7, 1.0, 0.7, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 0.7, 0.5};
constexpr Spread kBackend = {0.3, 0.7, 0.5, 0.7, 0.7, 0.5, 0.5, 0.3, 0.4, 0.7, 0.7, 0.7, 0.5, 0.3};
constexpr Spread kVendor = {0.2, 0.4, 0.3, 0.4, 0.4, 0, 0.3, 0.2, 0.3, 0.4, 0.4, 0.4, 0, 0};
constexpr Spread kArch = {0.15, 0.3, 0.25, 0.4, 0.4, 0, 0.2, 0.15, 0.2, 0.3, 0.3, 0.3, 0, 0};
constexpr Spread kForm = {0.15, 0.3, 0.2, 0.3, 0.3, 0, 0.2, 0.1, 0.1, 0.2, 0.2, 0.3, 0, 0};
constexpr Spread kDevice = {0.12, 0.2, 0.2, 0.35, 0.3, 0, 0.2, 0.15, 0.2, 0.2, 0.2, 0.25, 0, 0};
// As kTypeFactorFields: read, vector, matmul, cache_read, attention. Published prompts with a
// quantized cache are too few for the last.
constexpr std::array<double, planner::kTypeFactorFields.size()> kType = {0.12, 0.3, 0.2, 0.2, 0};

std::string word(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c - 'A' + 'a');
    } else if (plain) {
      out += c;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  return out;
}

bool is_processor(const DeviceClass& device) {
  return device.backend == "cpu";
}

}  // namespace

void FactorLevels::add(const DeviceClass& device, std::span<const hwdb::TensorType> types) {
  const auto have = [&](const std::string& id) {
    return std::ranges::any_of(rows_, [&](const auto& row) { return row.id == id; });
  };
  const auto unknown = [&](std::uint32_t field, std::string_view name, double prior, double sd) {
    const auto row = static_cast<std::uint32_t>(rows_.size() - 1);
    unknowns_.push_back({row, field});
    parameters_.push_back({rows_.back().id + "." + std::string(name), prior, sd});
  };
  const auto level = [&](SpeedFactorRow row, const Spread& spread) {
    if (have(row.id)) return;
    const bool first = rows_.empty();
    rows_.push_back(std::move(row));
    const DeviceFactors start;
    for (std::uint32_t i = 0; i < planner::kFactorFields.size(); ++i) {
      const auto& field = planner::kFactorFields[i];
      // Cards are never short of arithmetic with one token.
      if (field.name == "vector" && !first && !is_processor(device)) continue;
      if (spread[i] > 0)
        unknown(i, field.name, first ? std::log(start.*field.member) : 0, spread[i]);
    }
  };
  const auto type_level = [&](SpeedFactorRow row) {
    if (have(row.id)) return;
    const bool general = row.backend.empty();
    rows_.push_back(std::move(row));
    for (std::uint32_t i = 0; i < planner::kTypeFactorFields.size(); ++i) {
      const std::string_view name = planner::kTypeFactorFields[i].name;
      const bool of_processors = name == "vector";
      if (of_processors && (general || !is_processor(device))) continue;
      if (kType[i] > 0) unknown(i, name, 0, kType[i]);
    }
  };
  const std::string backend(device.backend);
  SpeedFactorRow row;
  row.id = "any";
  level(row, kAny);
  for (const hwdb::TensorType type : types) {
    SpeedFactorRow of_type;
    of_type.tensor_type = hwdb::format_of(type).name;
    of_type.id = word(of_type.tensor_type);
    type_level(of_type);
  }
  row.backend = backend;
  row.id = word(backend);
  level(row, kBackend);
  for (const hwdb::TensorType type : types) {
    SpeedFactorRow of_type;
    of_type.backend = backend;
    of_type.tensor_type = hwdb::format_of(type).name;
    of_type.id = word(backend + " " + of_type.tensor_type);
    type_level(of_type);
  }
  if (!device.vendor.empty()) {
    row.vendor = device.vendor;
    row.id = word(backend + " " + row.vendor);
    level(row, kVendor);
  }
  if (!device.arch.empty()) {
    row.arch = device.arch;
    row.id = word(backend + " " + row.vendor + " " + row.arch);
    level(row, kArch);
  }
  row.vendor.clear(), row.arch.clear();
  if (!device.form.empty()) {
    row.form = device.form;
    row.id = word(backend + " " + row.form);
    level(row, kForm);
    row.form.clear();
  }
  if (!device.device.empty()) {
    row.device = device.device;
    row.id = word(backend + " " + row.device);
    level(row, kDevice);
  }
}

std::vector<SpeedFactorRow> FactorLevels::filled(std::span<const double> values,
                                                 std::span<const double> errors) const {
  std::vector<SpeedFactorRow> rows = rows_;
  for (std::size_t i = 0; i < unknowns_.size(); ++i) {
    SpeedFactorRow& row = rows[unknowns_[i].row];
    const Figure figure =
        row.tensor_type.empty() ? kFigures[unknowns_[i].field] : kTypeFigures[unknowns_[i].field];
    // A figure that no measured row spoke of is the one of the row above.
    const bool learned = errors[i] < 0.98 * parameters_[i].prior_sd ||
                         std::abs(values[i] - parameters_[i].prior) > 0.005;
    if (!learned && unknowns_[i].row > 0) continue;
    row.*figure = std::exp(values[i]);
    row.ln_errors.push_back(errors[i]);
  }
  std::erase_if(rows, [](const SpeedFactorRow& row) { return row.ln_errors.empty(); });
  return rows;
}

FactorSum::FactorSum(const FactorLevels& levels, const DeviceClass& device,
                     std::span<const hwdb::TensorType> types) {
  for (const hwdb::TensorType type : types) {
    const auto at =
        std::ranges::lower_bound(factors_.types, type, {}, &DeviceFactors::OfType::type);
    if (at == factors_.types.end() || at->type != type)
      factors_.types.insert(at, DeviceFactors::OfType{type});
  }
  constexpr auto kFields = static_cast<std::uint32_t>(planner::kFactorFields.size());
  constexpr auto kTypeFields = static_cast<std::uint32_t>(planner::kTypeFactorFields.size());
  sums_.resize(kFields + kTypeFields * factors_.types.size());
  for (std::uint32_t i = 0; i < levels.unknowns().size(); ++i) {
    const Unknown& unknown = levels.unknowns()[i];
    const SpeedFactorRow& row = levels.rows()[unknown.row];
    if (!planner::matches(row, device)) continue;
    std::uint32_t slot = unknown.field;
    if (!row.tensor_type.empty()) {
      const auto* format = hwdb::find_tensor_format(row.tensor_type);
      const auto at = std::ranges::find(factors_.types, format->type, &DeviceFactors::OfType::type);
      if (at == factors_.types.end()) continue;
      slot += kFields + kTypeFields * static_cast<std::uint32_t>(at - factors_.types.begin());
    }
    touches_.push_back(i);
    slots_.push_back(slot);
  }
}

const DeviceFactors& FactorSum::at(std::span<const double> values) {
  std::ranges::fill(sums_, 0.0);
  for (std::size_t i = 0; i < touches_.size(); ++i) sums_[slots_[i]] += values[touches_[i]];
  std::size_t slot = 0;
  for (const auto& field : planner::kFactorFields) factors_.*field.member = std::exp(sums_[slot++]);
  for (DeviceFactors::OfType& type : factors_.types)
    for (const auto& field : planner::kTypeFactorFields)
      type.*field.member = std::exp(sums_[slot++]);
  return factors_;
}

}  // namespace fitting
