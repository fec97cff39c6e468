// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "planner/fitting/class_fit.h"

namespace fitting {
namespace {

using hwdb::SpeedAccuracyRow;
using hwdb::SpeedReading;

constexpr double kCoverage = 0.88;  // of left-out cases: what bands of 90 % must hold at least
constexpr double kMostWidening = 2.5;

// Interpolated.
double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const double high = values[std::min(low + 1, values.size() - 1)];
  return values[low] + (at - static_cast<double>(low)) * (high - values[low]);
}

double median(const std::vector<double>& values) {
  return quantile(values, 0.5);
}

double off(double residual) {
  return std::abs(std::exp(residual) - 1);
}

struct Members {
  std::vector<std::size_t> cases;
  std::map<std::string, std::vector<double>> by_device;  // residuals
};

std::vector<double> without(const Members& members, const std::string& device) {
  std::vector<double> rest;
  for (const auto& [other, residuals] : members.by_device)
    if (other != device) rest.insert(rest.end(), residuals.begin(), residuals.end());
  return rest;
}

std::vector<double> residuals_of(const Members& members) {
  return without(members, "");
}

double share_inside(const std::vector<double>& residuals, double low, double high) {
  const auto inside = std::ranges::count_if(
      residuals, [&](double residual) { return residual >= low && residual <= high; });
  return static_cast<double>(inside) / static_cast<double>(residuals.size());
}

// Share of the cases inside the band that the other devices' make, `widening` times as wide.
double coverage(const Members& members, double widening) {
  std::size_t inside = 0;
  for (const auto& [device, residuals] : members.by_device) {
    const std::vector<double> rest = without(members, device);
    if (rest.empty()) continue;
    const double low = widening * quantile(rest, 0.05), high = widening * quantile(rest, 0.95);
    inside += static_cast<std::size_t>(std::ranges::count_if(
        residuals, [&](double residual) { return residual >= low && residual <= high; }));
  }
  return static_cast<double>(inside) / static_cast<double>(members.cases.size());
}

SpeedAccuracyRow row_of(const Members& members, const LeftOutResiduals& left_out) {
  SpeedAccuracyRow row;
  row.rows = static_cast<std::uint32_t>(members.cases.size());
  row.devices = static_cast<std::uint32_t>(members.by_device.size());
  std::vector<double> errors, naive, all, of_devices;
  for (const std::size_t i : members.cases) {
    errors.push_back(off(left_out.residuals[i]));
    naive.push_back(off(left_out.naive[i]));
    all.push_back(left_out.residuals[i]);
  }
  for (const auto& [device, residuals] : members.by_device) {
    std::vector<double> own;
    for (const double residual : residuals) own.push_back(off(residual));
    of_devices.push_back(median(own));
  }
  row.median_error = median(errors);
  row.p90_error = quantile(errors, 0.9);
  row.device_median_error = median(of_devices);
  row.naive_median_error = median(naive);
  row.naive_p90_error = quantile(naive, 0.9);
  // Each device is held against the band that the others make. Few devices make too narrow a one
  // for the next: it is widened until the left-out ones are inside often enough.
  double widening = 1;
  row.coverage = coverage(members, widening);
  while (row.coverage < kCoverage && widening < kMostWidening) {
    widening += 0.05;
    row.coverage = coverage(members, widening);
  }
  row.low = std::exp(widening * quantile(all, 0.05));
  row.high = std::exp(widening * quantile(all, 0.95));
  return row;
}

}  // namespace

std::vector<SpeedAccuracyRow> accuracy_rows(const std::vector<Case>& cases,
                                            const LeftOutResiduals& left_out, bool known_devices,
                                            std::size_t least_rows) {
  std::vector<SpeedAccuracyRow> rows;
  std::string newest;
  for (const Case& one : cases) newest = std::max(newest, one.row.date);
  for (const SpeedReading::Test phase : {SpeedReading::Test::decode, SpeedReading::Test::prefill}) {
    // By situation and backend, "" standing for any.
    std::map<std::pair<std::string, std::string>, Members> groups;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].row.reading.test != phase || std::isnan(left_out.residuals[i])) continue;
      const std::string situation(to_string(cases[i].situation));
      const std::string& backend = cases[i].row.reading.backend;
      std::set<std::pair<std::string, std::string>> places = {{situation, ""},
                                                              {situation, backend}};
      // What is said of all cases is of one stream.
      if (cases[i].situation != Situation::batch) places.insert({"", ""});
      for (const auto& place : places) {
        groups[place].cases.push_back(i);
        groups[place].by_device[cases[i].device_key].push_back(left_out.residuals[i]);
      }
    }
    for (const auto& [place, members] : groups) {
      const bool any = place.first.empty();
      if (!any && (members.cases.size() < least_rows || members.by_device.size() < 3)) continue;
      SpeedAccuracyRow row = row_of(members, left_out);
      row.phase = phase == SpeedReading::Test::decode ? "decode" : "prefill";
      row.situation = place.first;
      row.backend = place.second;
      row.known_device = known_devices;
      row.id = row.phase + (known_devices ? "-known" : "") + (any ? "-any" : "-" + row.situation) +
               (row.backend.empty() ? "" : "-" + row.backend);
      std::ranges::replace(row.id, '_', '-');
      if (!any && row.coverage < kCoverage) {
        // Too few devices for a band of their own: theirs or that of all, whichever is wider.
        const SpeedAccuracyRow general = row_of(groups.at({"", ""}), left_out);
        row.low = std::min(general.low, std::exp(quantile(residuals_of(members), 0.05)));
        row.high = std::max(general.high, std::exp(quantile(residuals_of(members), 0.95)));
        row.coverage = share_inside(residuals_of(members), std::log(row.low), std::log(row.high));
      }
      // What is predicted is always inside its own band.
      row.low = std::min(row.low, 1.0), row.high = std::max(row.high, 1.0);
      row.origin.source = {
          known_devices ? "hwdb/data/speed/measured.csv, models of each device left out of the fit"
                        : "hwdb/data/speed/measured.csv, whole devices left out of the fit"};
      row.origin.as_of = newest;
      row.origin.verified = true;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

namespace {

// Four digits say all that such figures know.
std::string number(double value) {
  return fmt::format("{:.4g}", value);
}

std::string tail(const hwdb::RowOrigin& origin) {
  return fmt::format("\"source\": [\"{}\"], \"as_of\": \"{}\", \"verified\": {}}}",
                     origin.source.front(), origin.as_of, origin.verified);
}

template <class Row, class Print>
std::string table(std::span<const Row> rows, const Print& print) {
  std::string text = "[\n";
  for (std::size_t i = 0; i < rows.size(); ++i)
    text += "  {" + print(rows[i]) + (i + 1 < rows.size() ? ",\n" : "\n");
  return text + "]\n";
}

}  // namespace

std::string factors_json(std::span<const hwdb::SpeedFactorRow> rows) {
  return table(rows, [](const hwdb::SpeedFactorRow& row) {
    std::string text = fmt::format("\"id\": \"{}\"", row.id);
    const auto words = [&](std::string_view key, const std::string& value) {
      if (!value.empty()) text += fmt::format(", \"{}\": \"{}\"", key, value);
    };
    words("runtime", row.runtime), words("backend", row.backend), words("vendor", row.vendor);
    words("arch", row.arch), words("form", row.form), words("device", row.device);
    words("tensor_type", row.tensor_type);
    text += ",\n   ";
    const auto figure = [&](std::string_view key, const std::optional<double>& value) {
      if (value) text += fmt::format("\"{}\": {}, ", key, number(*value));
    };
    figure("read", row.read), figure("vector", row.vector), figure("cache_read", row.cache_read);
    figure("matmul", row.matmul), figure("attention", row.attention);
    figure("score_flops", row.score_flops), figure("activation", row.activation),
        figure("expert_read", row.expert_read);
    figure("expert_matmul", row.expert_matmul), figure("half_tokens", row.half_tokens);
    figure("expert_half_tokens", row.expert_half_tokens);
    figure("product_s", row.product_s), figure("pass_s", row.pass_s);
    figure("power_exponent", row.power_exponent);
    std::string errors;
    for (const double error : row.ln_errors)
      errors += fmt::format("{}{:.2g}", errors.empty() ? "" : ", ", error);
    text += fmt::format(
        "\"ln_errors\": [{}],\n   \"decode_rows\": {}, \"prefill_rows\": {}, \"devices\": {}, ",
        errors, row.decode_rows, row.prefill_rows, row.devices);
    return text + tail(row.origin);
  });
}

std::string accuracy_json(std::span<const SpeedAccuracyRow> rows) {
  return table(rows, [](const SpeedAccuracyRow& row) {
    std::string text = fmt::format("\"id\": \"{}\", \"phase\": \"{}\", ", row.id, row.phase);
    if (!row.backend.empty()) text += fmt::format("\"backend\": \"{}\", ", row.backend);
    if (!row.situation.empty()) text += fmt::format("\"situation\": \"{}\", ", row.situation);
    if (row.known_device) text += "\"known_device\": true, ";
    text += fmt::format("\"rows\": {}, \"devices\": {},\n   ", row.rows, row.devices);
    const auto figure = [&](std::string_view key, double value) {
      text += fmt::format("\"{}\": {}, ", key, number(value));
    };
    figure("median_error", row.median_error), figure("p90_error", row.p90_error);
    figure("device_median_error", row.device_median_error);
    figure("low", row.low), figure("high", row.high), figure("coverage", row.coverage);
    figure("naive_median_error", *row.naive_median_error);
    figure("naive_p90_error", *row.naive_p90_error);
    text += "\n   ";
    return text + tail(row.origin);
  });
}

}  // namespace fitting
