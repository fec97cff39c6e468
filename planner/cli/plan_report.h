// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/machine.h"
#include "planner/plan.h"
#include "planner/report/report.h"

namespace cli {

/// The sections of a plan: verdict, memory, speed, power and money, lines to paste, notes. With
/// `why` the arithmetic of the likely case.
report::Report plan_report(const planner::Plan& plan, const hwdb::Machine& machine, bool why);

}  // namespace cli
