// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
/// "0.38-0.80 s", with both units only where they differ.
std::string seconds_band(const planner::Estimate& estimate);
/// Milliseconds without their unit: "118", "9.53", "0.031".
std::string milliseconds_text(double seconds);
/// "35 %", "9.8 %", "< 0.1 %".
std::string percent_text(double share);
/// "3.12", and "0.041" below a tenth.
std::string money_text(double amount);
/// "140.0 GB": decimal, for arithmetic with bandwidths.
std::string decimal_bytes(double bytes);

/// How a figure came to be, in one letter: m measured, c calibrated, d detected, s a vendor's
/// statement, o modelled, u unverified, a assumed.
char basis_letter(hwdb::Basis basis);
/// The letters that stand in figures, explained in one line: "o modelled; a assumed". In the order
/// of trust, each once.
std::string basis_legend(std::vector<hwdb::Basis> used);

hwdb::Json estimate_json(const planner::Estimate& estimate);
/// The likely value for people, low, likely, high and basis for programs.
Cell estimate_cell(const planner::Estimate& estimate, Tone tone = Tone::plain);
/// The same with the letter of its basis: "38 o".
Cell lettered_cell(const planner::Estimate& estimate, Tone tone = Tone::plain);
/// Seconds with the letter of their basis: "0.24 s o".
Cell seconds_cell(const planner::Estimate& estimate);
Cell bytes_cell(hwdb::Bytes bytes);
Cell count_cell(std::uint64_t n);
Cell context_cell(std::uint64_t tokens);
/// Good, warn or bad, by where the model goes.
Cell fits_cell(planner::Fits fits);

}  // namespace report
