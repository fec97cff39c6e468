// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "hwdb/result.h"
#include "planner/cli/session.h"

namespace cli {

/// A change that would make a plan fit (better), and the plan with it.
struct Alternative {
  std::string change;
  planner::Plan plan;
};

/// What it would take to have the whole model on the GPU, and, where it does not run at all, to run
/// it from RAM: each by a plan of its own. Empty when nothing that is tried helps.
std::vector<Alternative> find_alternatives(Session& session, const planner::Plan& original,
                                           const hwdb::Machine& machine);

}  // namespace cli
