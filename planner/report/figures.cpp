// SPDX-License-Identifier: MIT
#include "planner/report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/result_json.h"

namespace report {
namespace {

std::string_view words_of(hwdb::Basis basis) {
  switch (basis) {
    case hwdb::Basis::measured:
      return "measured on this machine";
    case hwdb::Basis::calibrated:
      return "calibrated to this machine";
    case hwdb::Basis::detected:
      return "detected";
    case hwdb::Basis::spec:
      return "a vendor's statement";
    case hwdb::Basis::modelled:
      return "modelled from specs";
    case hwdb::Basis::unverified:
      return "rests on a figure that nobody found in a source";
    case hwdb::Basis::assumed:
      return "rests on an assumption";
  }
  return "";
}

}  // namespace

std::string short_number(double value) {
  const double size = std::fabs(value);
  if (!std::isfinite(value)) return "-";
  if (size == 0) return "0";
  return fmt::format("{:.{}f}", value,
                     size >= 9.95     ? 0
                     : size >= 0.995  ? 1
                     : size >= 0.0995 ? 2
                                      : 3);
}

std::string band_text(const planner::Estimate& estimate) {
  const std::string low = short_number(estimate.low), high = short_number(estimate.high);
  return low == high ? std::string() : fmt::format("{}-{}", low, high);
}

std::string with_band(const planner::Estimate& estimate) {
  const std::string band = band_text(estimate);
  const std::string likely = short_number(estimate.likely);
  return band.empty() ? likely : fmt::format("{} ({})", likely, band);
}

std::string context_text(std::uint64_t tokens) {
  if (tokens < 1024) return fmt::format("{}", tokens);
  // Rounded down: a context that is shown must fit.
  if (tokens % 1024 == 0 || tokens >= 10 * 1024) return fmt::format("{}k", tokens / 1024);
  return fmt::format("{:.1f}k", std::floor(static_cast<double>(tokens) / 102.4) / 10);
}

std::string seconds_text(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  if (seconds >= 119.5) return fmt::format("{:.1f} min", seconds / 60);
  if (seconds >= 9.95) return fmt::format("{:.1f} s", seconds);
  if (seconds >= 0.0995) return fmt::format("{:.2f} s", seconds);
  if (seconds >= 0.000995)
    return fmt::format("{:.{}f} ms", seconds * 1e3, seconds >= 0.00995 ? 1 : 2);
  return fmt::format("{:.1f} us", seconds * 1e6);
}

std::string seconds_band(const planner::Estimate& estimate) {
  std::string low = seconds_text(estimate.low);
  const std::string high = seconds_text(estimate.high);
  if (low == high) return {};
  if (low.substr(low.find(' ')) == high.substr(high.find(' '))) low.resize(low.find(' '));
  return fmt::format("{}-{}", low, high);
}

std::string milliseconds_text(double seconds) {
  const double ms = seconds * 1e3;
  return fmt::format("{:.{}f}", ms, ms >= 99.95 ? 0 : ms >= 9.995 ? 1 : ms >= 0.9995 ? 2 : 3);
}

std::string percent_text(double share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return fmt::format("{:.{}f} %", 100 * share, std::fabs(share) < 0.0995 ? 1 : 0);
}

std::string money_text(double amount) {
  return fmt::format("{:.{}f}", amount, amount != 0 && std::fabs(amount) < 0.0995 ? 3 : 2);
}

std::string decimal_bytes(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.{}f} GB", bytes / 1e9, bytes >= 10e9 ? 1 : 2);
  if (bytes >= 1e6) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.1f} kB", bytes / 1e3);
}

hwdb::Json estimate_json(const planner::Estimate& e) {
  return hwdb::Json::Object{{"low", planner::rounded(e.low)},
                            {"likely", planner::rounded(e.likely)},
                            {"high", planner::rounded(e.high)},
                            {"basis", hwdb::to_string(e.basis)}};
}

Cell estimate_cell(const planner::Estimate& estimate, Tone tone) {
  return {short_number(estimate.likely), estimate_json(estimate), tone};
}

char basis_letter(hwdb::Basis basis) {
  switch (basis) {
    case hwdb::Basis::measured:
      return 'm';
    case hwdb::Basis::calibrated:
      return 'c';
    case hwdb::Basis::detected:
      return 'd';
    case hwdb::Basis::spec:
      return 's';
    case hwdb::Basis::modelled:
      return 'o';
    case hwdb::Basis::unverified:
      return 'u';
    case hwdb::Basis::assumed:
      return 'a';
  }
  return '?';
}

std::string basis_legend(std::vector<hwdb::Basis> used) {
  std::ranges::sort(used);
  const auto repeats = std::ranges::unique(used);
  used.erase(repeats.begin(), repeats.end());
  std::string legend;
  for (const hwdb::Basis basis : used) {
    legend +=
        fmt::format("{}{} {}", legend.empty() ? "" : "; ", basis_letter(basis), words_of(basis));
  }
  return legend;
}

Cell lettered_cell(const planner::Estimate& estimate, Tone tone) {
  Cell cell = estimate_cell(estimate, tone);
  cell.text.append(1, ' ').append(1, basis_letter(estimate.basis));
  return cell;
}

Cell seconds_cell(const planner::Estimate& estimate) {
  return {fmt::format("{} {}", seconds_text(estimate.likely), basis_letter(estimate.basis)),
          estimate_json(estimate)};
}

Cell bytes_cell(hwdb::Bytes bytes) {
  return {bytes.value == 0 ? "-" : hwdb::format_bytes(bytes), bytes.value};
}

Cell count_cell(std::uint64_t n) {
  return {fmt::format("{}", n), n};
}

Cell context_cell(std::uint64_t tokens) {
  return {tokens == 0 ? "-" : context_text(tokens), tokens};
}

Cell fits_cell(planner::Fits fits) {
  using planner::Fits;
  const Tone tone = fits == Fits::gpu   ? Tone::good
                    : fits == Fits::no  ? Tone::bad
                    : fits == Fits::cpu ? Tone::plain
                                        : Tone::warn;
  return {std::string(to_string(fits)), hwdb::Json(to_string(fits)), tone};
}

}  // namespace report
