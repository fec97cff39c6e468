// SPDX-License-Identifier: MIT
#include "probes/measure/reading.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace probes {
namespace {

using hwdb::Json;

constexpr std::array<std::pair<ReadingStatus, std::string_view>, 5> kNames = {
    {{ReadingStatus::ok, "ok"},
     {ReadingStatus::unsupported, "unsupported"},
     {ReadingStatus::not_permitted, "not_permitted"},
     {ReadingStatus::skipped, "skipped"},
     {ReadingStatus::error, "error"}}};
constexpr std::size_t kMaxText = 2048, kMaxSamples = 100000;

hwdb::Error unreadable(std::string_view key) {
  return {"reading.message", "no readable \"" + std::string(key) + "\"", "a reading", ""};
}

}  // namespace

std::string_view to_string(ReadingStatus status) {
  for (const auto& [value, name] : kNames) {
    if (value == status) return name;
  }
  return "error";
}

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

Json reading_to_json(const Reading& r) {
  const bool ok = r.status == ReadingStatus::ok;
  Json::Array samples;
  for (const double s : r.samples) samples.emplace_back(s);
  return Json(Json::Object{{"id", Json(r.id)},
                           {"value", ok ? Json(r.value) : Json()},
                           {"unit", Json(r.unit)},
                           {"spread", ok ? Json(r.spread) : Json()},
                           {"method", Json(r.method)},
                           {"status", Json(to_string(r.status))},
                           {"reason", Json(r.reason)},
                           {"samples", Json(std::move(samples))}});
}

hwdb::Result<Reading> reading_from_json(const Json& json) {
  Reading r;
  for (const auto& [key, field] : std::array<std::pair<std::string_view, std::string*>, 4>{
           {{"id", &r.id}, {"unit", &r.unit}, {"method", &r.method}, {"reason", &r.reason}}}) {
    const Json* j = json.find(key);
    const std::string* text = j != nullptr ? j->as_string() : nullptr;
    if (text == nullptr || text->size() > kMaxText) return unreadable(key);
    *field = *text;
  }
  const Json* status = json.find("status");
  const std::string* name = status != nullptr ? status->as_string() : nullptr;
  const auto it = std::ranges::find_if(
      kNames, [&](const auto& row) { return name != nullptr && row.second == *name; });
  if (it == kNames.end()) return unreadable("status");
  r.status = it->first;
  const Json* samples = json.find("samples");
  const Json::Array* list = samples != nullptr ? samples->as_array() : nullptr;
  if (list == nullptr || list->size() > kMaxSamples) return unreadable("samples");
  for (const Json& item : *list) {
    const auto v = item.as_double();
    if (!v || !std::isfinite(*v) || *v < 0) return unreadable("samples");
    r.samples.push_back(*v);
  }
  if (r.status != ReadingStatus::ok) return r;
  for (const auto& [key, field] : std::array<std::pair<std::string_view, double*>, 2>{
           {{"value", &r.value}, {"spread", &r.spread}}}) {
    const Json* j = json.find(key);
    const auto v = j != nullptr ? j->as_double() : std::nullopt;
    if (!v || !std::isfinite(*v) || *v < 0) return unreadable(key);
    *field = *v;
  }
  return r;
}

}  // namespace probes
