// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/rows.h"
#include "planner/plan.h"

namespace planner {

/// What a workload keeps a machine busy with in a month of 30 days.
struct Duty {
  double prefill_hours = 0, decode_hours = 0, loaded_idle_hours = 0;
  double saturation = 1;  // above 1: more is asked than the hours can hold; then the hours are cut
};
Duty duty_of(const Workload& workload, const SpeedEstimate& speed);

/// Energy and money of that duty, idle hours with the model loaded counted, at the tariff's
/// marginal price for a household that uses `household_kwh` a month besides. The hours in which the
/// machine is off cost nothing.
CostEstimate estimate_cost(const hwdb::TariffRow& tariff, const Workload& workload,
                           const SpeedEstimate& speed, const EnergyEstimate& energy,
                           double household_kwh);

}  // namespace planner
