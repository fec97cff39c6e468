// SPDX-License-Identifier: MIT
#include "planner/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hwdb/record_json.h"

namespace planner {
namespace {

constexpr int kSchemaMajor = 1, kSchemaMinor = 0;

// Beyond any device of our time, with room.
constexpr double kMaxBandwidth = 1e15, kMaxPeak = 1e19, kMaxFactor = 1e6, kMaxSpread = 100;
// Shares and times are divided by or taken logarithms of: nothing a device reaches is below these.
constexpr double kLeastFactor = 1e-12;

constexpr auto kDescribeType = [](auto& v, auto& type) {
  v.tensor_type("type", type.type);
  for (const TypeFactorField& field : kTypeFactorFields)
    v.required(field.name, type.*field.member, kLeastFactor, kMaxFactor);
};

constexpr auto kDescribeFactors = [](auto& v, auto& factors) {
  for (const FactorField& field : kFactorFields)
    v.required(field.name, factors.*field.member, 0, kMaxFactor);
  v.list("types", factors.types, kDescribeType);
};

constexpr auto kDescribeError = [](auto& v, auto& error) {
  v.text("factor", error.factor);
  v.number("relative", error.relative, 0, kMaxSpread);
};

constexpr auto kDescribeCalibration = [](auto& v, auto& c) {
  v.text("runtime", c.runtime);
  v.text("backend", c.backend);
  v.text("device", c.device);
  v.text("build", c.build);
  v.text("made_at", c.made_at);
  v.number("bandwidth_bytes_per_s", c.bandwidth_bytes_per_s, 0, kMaxBandwidth);
  v.number("peak_flops_per_s", c.peak_flops_per_s, 0, kMaxPeak);
  v.object("factors", c.factors, kDescribeFactors);
  v.list("relative_errors", c.errors, kDescribeError);
  v.number("decode_spread", c.decode_spread, 0, kMaxSpread);
  v.number("prefill_spread", c.prefill_spread, 0, kMaxSpread);
  v.count("n_readings", c.n_readings);
  v.count("n_kernels", c.n_kernels);
};

/// What a plan divides by, and what look-ups rely on.
hwdb::Status check(const Calibration& c, const std::string& where) {
  const auto fault = [&](std::string_view key, std::string_view expected) -> hwdb::Status {
    return hwdb::Error{"machine.range", fmt::format("expected {}", expected),
                       fmt::format("{}: factors: {}", where, key), ""};
  };
  for (const FactorField& field : kFactorFields) {
    const bool seconds = field.name.ends_with("_s");
    if (!seconds && !(c.factors.*field.member >= kLeastFactor))
      return fault(field.name, "a factor above 0");
  }
  const auto twice = std::ranges::adjacent_find(
      c.factors.types, [](const auto& a, const auto& b) { return a.type >= b.type; });
  if (twice != c.factors.types.end()) return fault("types", "each type once");
  return hwdb::Ok{};
}

/// Reads a list of records that have a reader of their own.
template <class T, class Read>
hwdb::Result<std::vector<T>> read_list(const hwdb::Json& json, std::string_view key,
                                       const std::string& where, const Read& read) {
  std::vector<T> out;
  const hwdb::Json* list = json.find(key);
  if (list == nullptr) return out;
  const hwdb::Json::Array* items = list->as_array();
  if (items == nullptr)
    return hwdb::Error{"row.type", fmt::format("{}, expected a list", list->type_name()),
                       fmt::format("{}: {}", where, key), ""};
  if (items->size() > kMaxCalibrationReadings)
    return hwdb::Error{
        "machine.range",
        fmt::format("{} items, expected at most {}", items->size(), kMaxCalibrationReadings),
        fmt::format("{}: {}", where, key), ""};
  for (std::size_t i = 0; i < items->size(); ++i) {
    auto item = read((*items)[i], fmt::format("{}: {}[{}]", where, key, i));
    if (!item) return item.error();
    out.push_back(*std::move(item));
  }
  return out;
}

}  // namespace

const Calibration* find_calibration(std::span<const Calibration> calibrations,
                                    std::string_view runtime, std::string_view backend,
                                    std::string_view device) {
  const auto found = std::ranges::find_if(calibrations, [&](const Calibration& c) {
    return c.runtime == runtime && c.backend == backend && c.device == device;
  });
  return found == calibrations.end() ? nullptr : &*found;
}

hwdb::Json calibration_record_to_json(const CalibrationRecord& record) {
  hwdb::RecordWriter writer;
  writer.list("calibrations", record.calibrations, kDescribeCalibration);
  hwdb::Json::Object out = {{"schema", fmt::format("{}.{}", kSchemaMajor, kSchemaMinor)}};
  const hwdb::Json calibrations = writer.take();
  for (const hwdb::Json::Member& member : *calibrations.as_object()) out.push_back(member);
  hwdb::Json::Array readings, kernels;
  for (const auto& reading : record.readings)
    readings.push_back(hwdb::speed_reading_to_json(reading));
  for (const auto& kernel : record.kernels) kernels.push_back(hwdb::kernel_reading_to_json(kernel));
  out.emplace_back("readings", std::move(readings));
  out.emplace_back("kernels", std::move(kernels));
  return hwdb::Json(std::move(out));
}

hwdb::Result<CalibrationRecord> calibration_record_from_json(const hwdb::Json& json,
                                                             std::string_view where) {
  const std::string place(where);
  const hwdb::Json* schema = json.find("schema");
  const std::optional<hwdb::SchemaVersion> version =
      schema != nullptr && schema->as_string() != nullptr
          ? hwdb::parse_schema_version(*schema->as_string())
          : std::nullopt;
  if (json.is_object() && !version)
    return hwdb::Error{"machine.schema", "no schema, expected \"schema\": \"1.0\"", place, ""};
  if (version && version->major > kSchemaMajor) {
    return hwdb::Error{"machine.schema",
                       fmt::format("schema {}.{} is newer than this program reads ({}.{})",
                                   version->major, version->minor, kSchemaMajor, kSchemaMinor),
                       place, "use the newer tokwatt that wrote it"};
  }
  const bool strict = !version || version->minor <= kSchemaMinor;
  CalibrationRecord record;
  hwdb::RecordReader reader(json, place, strict);
  reader.know("schema");
  reader.know("readings");
  reader.know("kernels");
  reader.list("calibrations", record.calibrations, kDescribeCalibration);
  if (auto status = reader.finish(); !status) return status.error();
  for (std::size_t i = 0; i < record.calibrations.size(); ++i) {
    Calibration& c = record.calibrations[i];
    std::ranges::sort(c.factors.types, {}, &DeviceFactors::OfType::type);
    if (auto status = check(c, fmt::format("{}: calibrations[{}]", place, i)); !status)
      return status.error();
  }
  auto readings = read_list<hwdb::SpeedReading>(
      json, "readings", place, [&](const hwdb::Json& item, const std::string& at) {
        return hwdb::speed_reading_from_json(item, at, strict);
      });
  if (!readings) return readings.error();
  auto kernels = read_list<hwdb::KernelReading>(
      json, "kernels", place, [&](const hwdb::Json& item, const std::string& at) {
        return hwdb::kernel_reading_from_json(item, at, strict);
      });
  if (!kernels) return kernels.error();
  record.readings = *std::move(readings);
  record.kernels = *std::move(kernels);
  return record;
}

}  // namespace planner
