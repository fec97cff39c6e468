// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "planner/calibration.h"

/// What was measured before, and what is measured now: readings of one question side by side.
namespace planner {

inline constexpr std::string_view kOutlier = "outlier";

/// True when both measured the same: runtime, device, model, test, tokens, depth and settings. The
/// build of the runtime may differ.
bool same_question(const hwdb::SpeedReading& a, const hwdb::SpeedReading& b);
bool same_question(const hwdb::KernelReading& a, const hwdb::KernelReading& b);

/// Adds readings and kernels to a record, the oldest of too many dropped, and judges every question
/// that they belong to anew: of two that differ by more than their noise the newer is flagged
/// "outlier", of more those far from the median. Flags of other kinds stay. A sentence for each
/// that is flagged now and was not before.
std::vector<std::string> add_to_record(std::vector<hwdb::SpeedReading> readings,
                                       std::vector<hwdb::KernelReading> kernels,
                                       CalibrationRecord* record);

/// Indices of those that count: without a flaw, and of one question the last three.
std::vector<std::size_t> newest_readings(const CalibrationRecord& record);
std::vector<std::size_t> newest_kernels(const CalibrationRecord& record);

}  // namespace planner
