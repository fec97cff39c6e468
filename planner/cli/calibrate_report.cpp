// SPDX-License-Identifier: MIT
#include "planner/cli/calibrate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Json;
using hwdb::SpeedReading;
using report::Align;
using report::Cell;
using report::Column;
using report::Tone;

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}
std::string signed_percent(double share) {
  return fmt::format("{:+.1f} %", 100 * share);
}

/// Seconds and numbers of tokens as such, shares as percentages of the ceiling.
std::string factor_text(const std::string& name, double value) {
  if (name.ends_with("_s")) return report::seconds_text(value);
  if (name.ends_with("half_tokens") || name == "score_flops") return fmt::format("{:.1f}", value);
  if (name == "power_exponent") return fmt::format("{:.2f}", value);
  if (name.find('.') != std::string::npos || name.starts_with("expert_"))
    return fmt::format("x {:.3f}", value);
  return percent(value);
}

std::string device_name(const planner::Calibration& c) {
  return c.device.empty() ? c.backend : fmt::format("{} ({})", c.device, c.backend);
}

std::vector<report::Line> lines_of(const planner::Calibration& c) {
  return {
      {"runtime", "runtime", Cell(c.runtime)},
      {"backend", "", Cell(c.backend)},
      {"device", "", Cell(c.device)},
      {"build", "build", Cell(c.build)},
      {"made_at", "made", Cell(c.made_at)},
      {"bandwidth_bytes_per_s", "bandwidth",
       Cell(fmt::format("{:.1f} GB/s", c.bandwidth_bytes_per_s / 1e9), c.bandwidth_bytes_per_s)},
      {"peak_flops_per_s", "arithmetic",
       Cell(fmt::format("{:.0f} GFLOP/s", c.peak_flops_per_s / 1e9), c.peak_flops_per_s)},
      {"n_readings", "fitted to",
       Cell(fmt::format("{} readings, {} products", c.n_readings, c.n_kernels),
            std::uint64_t{c.n_readings})},
      {"n_kernels", "", Cell("", std::uint64_t{c.n_kernels})},
      {"decode_spread", "decode",
       Cell(fmt::format("within ±{} (standard deviation)", percent(c.decode_spread)),
            c.decode_spread)},
      {"prefill_spread", "prefill",
       Cell(fmt::format("within ±{}", percent(c.prefill_spread)), c.prefill_spread)},
  };
}

std::string question_text(const SpeedReading& r) {
  std::string text = fmt::format("{} {}", r.model, r.quant);
  if (r.slice_layers > 0) text += fmt::format(", {} layers", r.slice_layers);
  text += r.test == SpeedReading::Test::prefill ? fmt::format(" pp{}", r.n_prompt)
                                                : fmt::format(" tg{}", r.n_gen);
  if (r.depth > 0) text += fmt::format(" @ d{}", r.depth);
  if (r.batch > 1) text += fmt::format(" x{}", r.batch);
  if (!r.cache_type_k.empty() && r.cache_type_k != "f16") text += ", cache " + r.cache_type_k;
  return text;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace

report::Section fitted_section(const fitting::FittedDevice& device) {
  report::Section section;
  section.key = "fitted";
  section.title =
      fmt::format("{} on {}", device.calibration.runtime, device_name(device.calibration));
  section.lines = lines_of(device.calibration);
  report::Table table;
  table.key = "factors";
  table.columns = {
      {"factor", "factor", "", Align::left}, {"value", "value"},
      {"relative_error", "error"},           {"class_value", "its class", "", Align::right, 1},
      {"from", "from", "", Align::left},
  };
  for (const fitting::FittedFactor& f : device.factors) {
    const bool measured = f.measured();
    table.rows.push_back(
        {Cell(f.name), Cell(factor_text(f.name, f.value), f.value),
         Cell("±" + percent(f.relative_error), f.relative_error),
         Cell(factor_text(f.name, f.prior), f.prior),
         Cell(measured ? "measured" : "class", Json(), measured ? Tone::plain : Tone::dim)});
  }
  section.tables.push_back(std::move(table));
  if (!device.converged) section.notes.emplace_back("the fit did not settle: measure again");
  return section;
}

report::Section residuals_section(const fitting::FittedDevice& device,
                                  const planner::CalibrationRecord& record) {
  report::Section section;
  section.key = "residuals";
  section.title = "measured and predicted";
  report::Table table;
  table.columns = {
      {"question", "reading", "", Align::left},      {"measured_tok_per_s", "measured", "tok/s"},
      {"predicted_tok_per_s", "predicted", "tok/s"}, {"error", "off"},
      {"noise", "noise", "", Align::right, 1},
  };
  std::vector<double> kernels;
  const fitting::FittedRow* worst = nullptr;
  for (const fitting::FittedRow& row : device.rows) {
    if (row.is_kernel) {
      kernels.push_back(std::abs(row.error()));
      if (worst == nullptr || std::abs(row.error()) > std::abs(worst->error())) worst = &row;
      continue;
    }
    const SpeedReading& r = record.readings[row.index];
    const double predicted = r.tok_per_s * row.measured_s / row.predicted_s;
    const double off = predicted / r.tok_per_s - 1;
    table.rows.push_back(
        {Cell(question_text(r)), Cell(report::short_number(r.tok_per_s), r.tok_per_s),
         Cell(report::short_number(predicted), predicted),
         Cell(signed_percent(off), off, std::abs(off) > 0.1 ? Tone::warn : Tone::plain),
         Cell("±" + percent(row.noise), row.noise)});
  }
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
  if (worst != nullptr) {
    const hwdb::KernelReading& k = record.kernels[worst->index];
    section.lines = {
        {"products_median_error", "products",
         Cell(fmt::format("{} of time off in the middle, {} nine times of ten",
                          percent(quantile(kernels, 0.5)), percent(quantile(kernels, 0.9))),
              quantile(kernels, 0.5))},
        {"products_p90_error", "", Cell("", quantile(kernels, 0.9))},
        {"products_worst", "worst",
         Cell(fmt::format("{} {} x {}, {} tokens: {}", hwdb::format_of(k.type).name, k.rows, k.ne0,
                          k.tokens, signed_percent(worst->error())))},
    };
  }
  return section;
}

report::Section stored_section(const planner::Calibration& c) {
  report::Section section;
  section.key = "calibration";
  section.title = fmt::format("{} on {}", c.runtime, device_name(c));
  section.lines = lines_of(c);
  report::Table table;
  table.key = "factors";
  table.columns = {
      {"factor", "factor", "", Align::left}, {"value", "value"}, {"relative_error", "error"}};
  const auto add = [&](const std::string& name, double value) {
    const auto error = std::ranges::find(c.errors, name, &planner::Calibration::Error::factor);
    const bool known = error != c.errors.end();
    table.rows.push_back({Cell(name), Cell(factor_text(name, value), value),
                          known ? Cell("±" + percent(error->relative), error->relative) : Cell()});
  };
  for (const planner::FactorField& field : planner::kFactorFields)
    add(std::string(field.name), c.factors.*field.member);
  for (const auto& type : c.factors.types) {
    for (const planner::TypeFactorField& field : planner::kTypeFactorFields) {
      if (type.*field.member != 1)
        add(fmt::format("{}.{}", hwdb::format_of(type.type).name, field.name), type.*field.member);
    }
  }
  section.tables.push_back(std::move(table));
  return section;
}

report::Section history_section(const planner::CalibrationRecord& record) {
  report::Section section;
  section.key = "history";
  section.title = "readings";
  report::Table table;
  table.columns = {{"measured_at", "when", "", Align::left},
                   {"runtime", "runtime", "", Align::left},
                   {"question", "reading", "", Align::left},
                   {"tok_per_s", "measured", "tok/s"},
                   {"flaw", "flaw", "", Align::left}};
  for (const SpeedReading& r : record.readings)
    table.rows.push_back({Cell(r.measured_at), Cell(r.runtime), Cell(question_text(r)),
                          Cell(report::short_number(r.tok_per_s), r.tok_per_s),
                          Cell(r.flaw, r.flaw, Tone::warn)});
  section.tables.push_back(std::move(table));
  section.notes.push_back(fmt::format("and {} products of the engine", record.kernels.size()));
  return section;
}

std::vector<std::string> next_steps(const std::vector<fitting::FittedDevice>& devices, bool full) {
  std::vector<std::string> out;
  bool noisy = false, experts = true;
  for (const fitting::FittedDevice& device : devices) {
    std::vector<double> noises;
    for (const fitting::FittedRow& row : device.rows) noises.push_back(row.noise);
    noisy = noisy || quantile(noises, 0.5) > 0.05;
    for (const fitting::FittedFactor& f : device.factors)
      if (f.name == "expert_read") experts = f.measured();
  }
  if (noisy)
    out.emplace_back(
        "the readings scatter: close other programs and calibrate again; what fits "
        "together counts, what does not is marked");
  if (!full)
    out.emplace_back(
        "tokwatt calibrate --full measures deeper contexts, more types and a model "
        "with experts");
  else if (!experts)
    out.emplace_back("no model with experts was measured: tokwatt calibrate MODEL with one");
  out.emplace_back("a plan uses it from now on: tokwatt plan MODEL --runtime tokwatt");
  return out;
}

}  // namespace cli
