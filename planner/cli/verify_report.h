// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/machine.h"
#include "hwdb/runtime_report.h"
#include "planner/plan.h"
#include "planner/report/report.h"
#include "planner/verify.h"

namespace cli {

/// What was compared, the table of predicted and actual, why they differ, and what nobody told.
report::Report verify_report(const planner::Plan& plan, const hwdb::RuntimeReport& run,
                             const planner::Verification& verification);

}  // namespace cli
