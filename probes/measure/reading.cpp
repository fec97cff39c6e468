// SPDX-License-Identifier: MIT
#include "probes/measure/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <utility>

namespace probes {

Reading failed_reading(std::string_view id, std::string_view unit, ReadingStatus status,
                       std::string reason) {
  Reading r;
  r.id = id;
  r.unit = unit;
  r.status = status;
  r.reason = std::move(reason);
  return r;
}

Reading reading_of(std::string_view id, std::string_view unit, std::string method,
                   std::vector<double> samples) {
  Reading r;
  r.id = id;
  r.unit = unit;
  r.method = std::move(method);
  r.value = median(samples).value_or(0);
  r.spread = relative_spread(samples).value_or(0);
  r.samples = std::move(samples);
  return r;
}

std::optional<double> quantile(std::span<const double> samples, double q) {
  if (samples.empty()) return std::nullopt;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  const double at = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], at - static_cast<double>(below));
}

std::optional<double> median(std::span<const double> samples) {
  return quantile(samples, 0.5);
}

std::optional<double> relative_spread(std::span<const double> samples) {
  const auto middle = median(samples);
  if (!middle || *middle == 0) return std::nullopt;
  return (*quantile(samples, 0.9) - *quantile(samples, 0.1)) / *middle;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

}  // namespace probes
