// SPDX-License-Identifier: MIT
#include "planner/cost_estimate.h"

#include <algorithm>

#include "planner/tariff_price.h"

namespace planner {

Duty duty_of(const Workload& workload, const SpeedEstimate& speed) {
  Duty duty;
  const double days = kHoursPerMonth / 24;
  const double on = std::clamp(workload.hours_per_day, 0.0, 24.0) * days;
  const double requests =
      std::max(0.0, workload.requests_per_day) * std::max(1u, workload.users) * days;
  if (speed.decode_tok_per_s.likely > 0) {
    duty.prefill_hours = requests * speed.ttft_s.likely / 3600;
    duty.decode_hours =
        requests * std::max(0.0, workload.n_gen) / speed.decode_tok_per_s.likely / 3600;
  }
  const double busy = duty.prefill_hours + duty.decode_hours;
  duty.saturation = on > 0 ? busy / on : busy > 0 ? 2 : 0;
  if (busy > on) {
    const double cut = on / busy;
    duty.prefill_hours *= cut;
    duty.decode_hours *= cut;
  } else {
    duty.loaded_idle_hours = on - busy;
  }
  return duty;
}

CostEstimate estimate_cost(const hwdb::TariffRow& tariff, const Workload& workload,
                           const SpeedEstimate& speed, const EnergyEstimate& energy,
                           double household_kwh) {
  CostEstimate cost;
  const Duty duty = duty_of(workload, speed);
  cost.prefill_hours = duty.prefill_hours;
  cost.decode_hours = duty.decode_hours;
  cost.loaded_idle_hours = duty.loaded_idle_hours;
  const auto kwh = [&](double Estimate::*end) {
    return (energy.prefill_w.*end * duty.prefill_hours + energy.decode_w.*end * duty.decode_hours +
            energy.loaded_idle_w.*end * duty.loaded_idle_hours) /
           1000;
  };
  cost.kwh_per_month.low = kwh(&Estimate::low);
  cost.kwh_per_month.likely = kwh(&Estimate::likely);
  cost.kwh_per_month.high = kwh(&Estimate::high);
  cost.kwh_per_month.basis = weaker(energy.decode_w.basis, speed.decode_tok_per_s.basis);
  cost.cost_per_month.low = marginal_cost(tariff, cost.kwh_per_month.low, household_kwh);
  cost.cost_per_month.likely = marginal_cost(tariff, cost.kwh_per_month.likely, household_kwh);
  cost.cost_per_month.high = marginal_cost(tariff, cost.kwh_per_month.high, household_kwh);
  cost.cost_per_month.basis = cost.kwh_per_month.basis;
  cost.tariff_id = tariff.id;
  cost.currency = tariff.currency;
  cost.price_per_kwh = cost.kwh_per_month.likely > 0
                           ? cost.cost_per_month.likely / cost.kwh_per_month.likely
                           : marginal_price(tariff, 0, household_kwh);
  cost.price_as_of = tariff.effective_from.empty() ? tariff.origin.as_of : tariff.effective_from;
  if (!tariff.origin.source.empty()) cost.price_source = tariff.origin.source.front();
  return cost;
}

}  // namespace planner
