// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/reading.h"

namespace probes {

using hwdb::Reading;
using hwdb::ReadingStatus;

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

/// The day in UTC, "2025-01-15".
std::string today();

}  // namespace probes
