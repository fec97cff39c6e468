// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hwdb/kv_cache.h"
#include "hwdb/machine.h"
#include "hwdb/op_counts.h"
#include "hwdb/result.h"
#include "hwdb/rows.h"
#include "planner/assumptions.h"
#include "planner/calibration.h"
#include "planner/graph/compute_memo.h"
#include "planner/plan.h"

namespace planner {

struct Attachments;

/// What a plan is made from, all of it at hand: no files, no clock, no environment.
struct PlanInputs {
  const hwdb::ModelCosts* model = nullptr;
  const hwdb::Machine* machine = nullptr;
  RunSettings settings;
  Workload workload;
  const hwdb::TariffRow* tariff = nullptr;   // null: no money
  const Assumptions* assumptions = nullptr;  // null: the initial values of Assumptions
  /// The model's cache rules for these cache types and this runtime, when many plans share them:
  /// make_cache_recipe(model->shape, *cache_request_of(settings)). null: worked out anew, which is
  /// more than half of a plan's time.
  const hwdb::CacheRecipe* cache_recipe = nullptr;
  /// The model's compute graphs, when many plans share them: a ComputeMemo of model->shape. null:
  /// worked out anew, which takes far longer than all the rest.
  ComputeMemo* compute_memo = nullptr;
  /// What needs more than the model's sums (find_attachments); null: nothing of the kind.
  const Attachments* attachments = nullptr;
  /// What was fitted to this very machine; a device without one goes by its class.
  std::span<const Calibration> calibrations;
  double household_kwh = 0;  // used a month besides; tokens pay the tariff's tiers above it
};

/// The cache that these settings ask for. Error: cache.type.
hwdb::Result<hwdb::CacheRequest> cache_request_of(const RunSettings& settings);
/// The same with what drafting asks of this model's cache.
hwdb::Result<hwdb::CacheRequest> cache_request_of(const RunSettings& settings,
                                                  const hwdb::ModelShape& shape);

/// The stages in order: placement, memory, speed, energy, cost. Arithmetic only. The library call
/// of the speed figure. Errors: model.overflow, model.range, cache.type. Names, scenario, max_ctx
/// (see largest_context) and notes of the machine are left to the caller.
hwdb::Result<Plan> make_plan(const PlanInputs& inputs);

/// The largest context (per sequence, a multiple of 256, up to `limit`) that keeps `fits` at least
/// as good as `at_least`; 0 when none does.
std::uint64_t largest_context(const PlanInputs& inputs, Fits at_least, std::uint64_t limit);

/// The depths at which the speed of a context is shown: none, half of it and all of it.
std::vector<double> depths_of_context(const RunSettings& settings);

/// The speeds of a plan's placement at several depths of context, with the memory as planned.
/// Errors as make_plan.
hwdb::Result<std::vector<SpeedAtDepth>> speed_at_depths(const PlanInputs& inputs,
                                                        const Placement& placement,
                                                        std::span<const double> depths);

/// The decode speeds of a plan's placement with several sequences at a time, at the workload's own
/// depth. Errors as make_plan.
hwdb::Result<std::vector<SpeedAtBatch>> speed_at_batches(const PlanInputs& inputs,
                                                         const Placement& placement,
                                                         std::span<const std::uint32_t> counts);

}  // namespace planner
