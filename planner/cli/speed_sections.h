// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "planner/plan.h"
#include "planner/report/report.h"

/// How a plan's speed is shown: with bands, with where they come from, and with its arithmetic.
namespace cli {

/// How many sequences may be answered together: powers of two up to `most`, and `most`.
std::vector<std::uint32_t> batches_up_to(std::uint32_t most);

/// Prefill, first token, a whole request and decode of the workload.
report::Section speed_section(const planner::Plan& plan);
/// The depths that the plan has, one a row.
report::Section depth_section(const planner::Plan& plan);
/// Several sequences at once: all together and each.
report::Section batch_section(const planner::Plan& plan);
/// One decode step and one prefill, addend by addend in milliseconds.
std::vector<report::Section> speed_why_sections(const planner::Plan& plan,
                                                const hwdb::Machine& machine);

/// What `fit` and `quants` say of a plan's speed, in columns and cells of the same order: the
/// workload's own, the context's ends, seconds; half of the context for programs alone.
void add_speed_columns(report::Table* table);
void add_speed_cells(const planner::Plan& plan, std::vector<report::Cell>* row);
/// What the titles of those columns mean, and the letters in their figures.
std::string speed_columns_words(const planner::Workload& workload,
                                const std::vector<hwdb::Basis>& used);

/// The request that seconds are given for: "30000 + 800 tokens, 90 % of the prompt cached".
std::string request_words(const planner::Workload& workload);
/// Which left-out measurements a 90 % band was made from.
std::string band_words(const hwdb::SpeedAccuracyRow* accuracy, const planner::Estimate& estimate);

}  // namespace cli
