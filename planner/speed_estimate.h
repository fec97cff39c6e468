// SPDX-License-Identifier: MIT
#pragma once

#include "planner/plan_basis.h"
#include "planner/roofline.h"

namespace planner {

/// One decode step of the whole batch: one more token of each sequence. With drafting the mean of
/// what a token takes: passes over all drafted tokens, of which some are kept. `terms` may be null.
TimeSum decode_step(const PlanBasis& basis, const Placement& placement,
                    std::vector<TimeTerm>* terms);
/// One prefill of the prompt's new tokens, in micro-batches. `terms` may be null.
TimeSum prefill_pass(const PlanBasis& basis, const Placement& placement,
                     std::vector<TimeTerm>* terms);

/// The weakest basis of the devices that a placement uses.
hwdb::Basis basis_of(const PlanBasis& basis, const Placement& placement);
/// False when a device that is used has no known bandwidth, or the architecture is unknown.
bool is_speed_known(const PlanBasis& basis, const Placement& placement);

/// Predicts prefill and decode speed of a placed model, term by term. Zeros when the speed is not
/// known.
SpeedEstimate estimate_speed(const PlanBasis& basis, const Placement& placement);

/// Seconds of one request of the workload, prompt and answer: what placements are compared by.
double request_seconds(const PlanBasis& basis, const Placement& placement);

}  // namespace planner
