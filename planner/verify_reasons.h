// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "planner/verify.h"

namespace planner {

/// What the rules look at: one row and all that is known around it.
struct GapContext {
  const Plan& plan;
  const hwdb::ModelCosts& model;
  const hwdb::RuntimeReport& report;
  const hwdb::RuntimeLoad& load;
  const VerifyRow& row;
  bool is_host = true;
  bool alone = true;                                // no other device holds anything of this term
  double gpu_weights = 0;                           // actual, all GPUs
  std::vector<const hwdb::RuntimeBuffer*> buffers;  // those that the row adds up
};

/// The reasons that the rules find for a row whose figures differ; empty: not explained. A rule
/// speaks only where the report or the plan shows its cause.
std::vector<GapReason> reasons_of_gap(const GapContext& context);

}  // namespace planner
