// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hwdb/units.h"
#include "planner/plan.h"
#include "planner/report/report.h"

/// How figures read: as many digits as they deserve, and the exact value for programs beside them.
namespace report {

/// Two to three digits: "1240", "38", "7.2", "0.41".
std::string short_number(double value);
/// "33-43", or "" when low and high read the same.
std::string band_text(const planner::Estimate& estimate);
/// "38 (33-43)".
std::string with_band(const planner::Estimate& estimate);
/// 131072 as "128k", 4608 as "4.5k", 640 as "640".
std::string context_text(std::uint64_t tokens);
/// "0.24 s", "85 ms", "12 us", "3.5 min".
std::string seconds_text(double seconds);
/// "3.12", and "0.041" below a tenth.
std::string money_text(double amount);
/// "140.0 GB": decimal, for arithmetic with bandwidths.
std::string decimal_bytes(double bytes);

hwdb::Json estimate_json(const planner::Estimate& estimate);
/// The likely value for people, low, likely, high and basis for programs.
Cell estimate_cell(const planner::Estimate& estimate, Tone tone = Tone::plain);
Cell bytes_cell(hwdb::Bytes bytes);
Cell count_cell(std::uint64_t n);
Cell context_cell(std::uint64_t tokens);
/// Good, warn or bad, by where the model goes.
Cell fits_cell(planner::Fits fits);

}  // namespace report
