// SPDX-License-Identifier: MIT
#include "planner/make_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "planner/cost_estimate.h"
#include "planner/energy_estimate.h"
#include "planner/memory_plan.h"
#include "planner/placement.h"
#include "planner/plan_basis.h"
#include "planner/plan_extras.h"
#include "planner/speed_estimate.h"
#include "planner/unknown_bounds.h"

namespace planner {

hwdb::Result<Plan> make_plan(const PlanInputs& inputs) {
  const auto basis = prepare_all(inputs);
  if (!basis) return basis.error();
  Plan plan;
  plan.file_size = hwdb::Bytes(inputs.model->file_bytes);
  plan.placement = choose_placement(*basis);
  auto memory = plan_memory(*basis, plan.placement);
  if (!memory) return memory.error();
  plan.memory = std::move(*memory);
  plan.sizes_only = inputs.model->sizes_only;
  if (plan.sizes_only) plan.bounds = bounds_of_unknown(inputs);
  plan.speed_known = is_speed_known(*basis, plan.placement);
  plan.speed = estimate_speed(*basis, plan.placement);
  plan.energy = estimate_energy(*basis, plan.placement, plan.speed);
  if (inputs.tariff)
    plan.cost = estimate_cost(*inputs.tariff, inputs.workload, plan.speed, plan.energy,
                              inputs.household_kwh);
  return plan;
}

std::vector<double> depths_of_context(const RunSettings& settings) {
  const std::uint64_t full = settings.n_ctx / std::max(1u, settings.n_seq);
  if (full < 2) return {0};
  return {0, static_cast<double>(full / 2), static_cast<double>(full)};
}

hwdb::Result<std::vector<SpeedAtDepth>> speed_at_depths(const PlanInputs& inputs,
                                                        const Placement& placement,
                                                        std::span<const double> depths) {
  // One micro-batch of a prompt, and one token: neither changes its depth by much.
  PlanInputs one = inputs;
  std::vector<SpeedAtDepth> speeds;
  for (const double depth : depths) {
    SpeedAtDepth at;
    at.depth = depth;
    one.workload.depth = depth;
    one.workload.cached_fraction = 0;
    one.workload.n_prompt = std::min(inputs.settings.n_ubatch, inputs.settings.n_batch);
    const auto prompt = prepare_all(one);
    if (!prompt) return prompt.error();
    const SpeedEstimate prefill = estimate_speed(*prompt, placement);
    at.prefill_tok_per_s = prefill.prefill_tok_per_s;
    at.prefill_accuracy = prefill.prefill_accuracy;
    one.workload.n_prompt = one.workload.n_gen = 0;
    const auto answer = prepare_all(one);
    if (!answer) return answer.error();
    const SpeedEstimate decode = estimate_speed(*answer, placement);
    at.decode_tok_per_s = decode.decode_tok_per_s;
    at.decode_accuracy = decode.decode_accuracy;
    speeds.push_back(at);
  }
  return speeds;
}

hwdb::Result<std::vector<SpeedAtBatch>> speed_at_batches(const PlanInputs& inputs,
                                                         const Placement& placement,
                                                         std::span<const std::uint32_t> counts) {
  PlanInputs one = inputs;
  std::vector<SpeedAtBatch> speeds;
  for (const std::uint32_t count : counts) {
    one.workload.batch = std::max(1u, count);
    const auto basis = prepare_all(one);
    if (!basis) return basis.error();
    SpeedAtBatch at;
    at.n_seq = one.workload.batch;
    at.decode_tok_per_s = estimate_speed(*basis, placement).decode_tok_per_s;
    at.each_tok_per_s = per_sequence(at.decode_tok_per_s, at.n_seq);
    speeds.push_back(at);
  }
  return speeds;
}

std::uint64_t largest_context(const PlanInputs& inputs, Fits at_least, std::uint64_t limit) {
  constexpr std::uint64_t kStep = 256;
  const std::uint64_t n_seq = std::max(1u, inputs.settings.n_seq);
  auto request = cache_request_of(inputs.settings, inputs.model->shape);
  if (!request || inputs.model->sizes_only) return 0;
  PlanInputs smallest = inputs;
  smallest.settings.n_ctx = kStep * n_seq;
  std::optional<hwdb::CacheRecipe> own;
  if (smallest.cache_recipe == nullptr) {
    auto made = hwdb::make_cache_recipe(inputs.model->shape, *request);
    if (!made) return 0;
    smallest.cache_recipe = &own.emplace(std::move(*made));
  }
  auto basis = prepare_all(smallest);  // keeps its own graphs for all steps when none are given
  if (!basis) return 0;
  const auto fits = [&](std::uint64_t steps) {
    request->n_ctx = steps * kStep * n_seq;
    if (!set_context(*smallest.cache_recipe, *request, &*basis)) return false;
    return fits_as_well_as(*basis, at_least);
  };
  std::uint64_t low = 0, high = std::min(limit, hwdb::limits::kContext) / kStep;
  if (high > 0 && fits(high)) return high * kStep;  // often the model's own limit
  while (low < high) {
    const std::uint64_t mid = low + (high - low + 1) / 2;
    if (fits(mid)) {
      low = mid;
    } else {
      high = mid - 1;
    }
  }
  return low * kStep;
}

}  // namespace planner
