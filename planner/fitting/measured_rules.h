// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/fitting/measured_names.h"
#include "planner/fitting/measured_rows.h"

/// The rules by which rows are left out, in the order of hwdb/data/speed/README.md.
namespace fitting {

/// Why a row cannot be used, by what stands in it alone; absent: it can.
std::optional<LeftOut> judge_row(const MeasuredRow& row, const CleaningOptions& options = {});

/// A rate that includes prompt and program: end to end, or by a crowd's own clocks.
bool is_outside_rate(const MeasuredRow& row);

/// Looks the row up in the catalogue and makes the question of it; absent with `out` filled when a
/// rule leaves it out.
std::optional<Case> make_case(const MeasuredRow& row, MeasuredNames* names, LeftOut* out);

/// Leaves out prompts that a GPU ran far slower than others of the same table that differ in the
/// weights' format alone: the arithmetic is the same, so that run missed its kernel or its
/// pipeline.
void leave_slow_formats(std::vector<Case>* cases, std::vector<LeftOut>* left_out);

/// Leaves out the slow builds among comparable cases, then all but the middle one of each group
/// that measured the same.
void keep_one_of_each(std::vector<Case>* cases, std::vector<LeftOut>* left_out);

/// Bytes of weights that one token reads in decode.
double bytes_per_token(const hwdb::ModelCosts& costs);

}  // namespace fitting
