// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/result.h"

namespace probes {

enum class ReadingStatus { ok, unsupported, not_permitted, skipped, error };
/// "ok", "unsupported", "not_permitted", "skipped", "error".
std::string_view to_string(ReadingStatus status);

/// One measured figure, or why there is none.
struct Reading {
  std::string id;      // "gpu.read_bandwidth"; stable
  double value = 0;    // the median of `samples`, in `unit`; meaningless unless ok
  std::string unit;    // base units: "B/s", "FLOP/s", "OP/s"
  double spread = 0;   // (90th - 10th percentile) / median of the samples
  std::string method;  // one sentence: kernel, size, what is counted
  ReadingStatus status = ReadingStatus::ok;
  std::string reason;           // why not ok; may explain an ok as well ("throttled after 7 s")
  std::vector<double> samples;  // every repetition, in the order taken
};

/// A reading without a value; `status` is not ok.
Reading failed_reading(std::string_view id, std::string_view unit, ReadingStatus status,
                       std::string reason);
/// An ok reading of these samples (at least one).
Reading reading_of(std::string_view id, std::string_view unit, std::string method,
                   std::vector<double> samples);

/// The q-quantile (0...1), interpolated; absent without samples.
std::optional<double> quantile(std::span<const double> samples, double q);
std::optional<double> median(std::span<const double> samples);
/// (90th - 10th percentile) / median; absent without samples or when the median is 0.
std::optional<double> relative_spread(std::span<const double> samples);

/// One object; `value` and `spread` are null unless ok. The reader trusts nothing: error
/// reading.message.
hwdb::Json reading_to_json(const Reading& reading);
hwdb::Result<Reading> reading_from_json(const hwdb::Json& json);

}  // namespace probes
