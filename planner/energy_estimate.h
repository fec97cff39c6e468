// SPDX-License-Identifier: MIT
#pragma once

#include "planner/plan_basis.h"

namespace planner {

/// Watts at the wall of the whole machine at rest, with the model loaded, in prefill and in decode,
/// and what a million tokens cost in energy. From power limits and what each phase is bound by.
EnergyEstimate estimate_energy(const PlanBasis& basis, const Placement& placement,
                               const SpeedEstimate& speed);

/// Efficiency of the power supply at a load share, between the points of the assumptions.
double psu_efficiency(const Assumptions& assumptions, double load);

}  // namespace planner
