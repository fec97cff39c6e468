// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "planner/report/report.h"
#include "planner/speed_compare.h"
#include "probes/runtime/endpoint_speed.h"

namespace cli {

/// "pp512", "tg128 @ d4096", "tg64 x4": a reading as llama-bench names its tests; "pp" and "tg"
/// where the length was not told.
std::string reading_name(const hwdb::SpeedReading& reading);

/// Measured beside predicted: how many lie inside their band, the table with each error, and which
/// term is off by more than `tolerance`.
report::Section speed_section(const std::vector<planner::SpeedComparison>& comparisons,
                              double tolerance);
/// How far our clock outside and the server's own differ; empty without agreements.
report::Section clock_section(const std::vector<probes::ClockAgreement>& agreements);

/// The largest error of those that measure the machine, either way; 0 of none.
double worst_error(const std::vector<planner::SpeedComparison>& comparisons);

}  // namespace cli
