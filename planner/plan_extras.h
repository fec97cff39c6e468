// SPDX-License-Identifier: MIT
#pragma once

#include "planner/attachments.h"
#include "planner/memory_plan.h"
#include "planner/roofline.h"

namespace planner {

/// prepare, and what the inputs' attachments bring. Errors as prepare.
hwdb::Result<PlanBasis> prepare_all(const PlanInputs& inputs);

/// Turns attachments into the plain sums of PlanBasis::extras. Errors: as prepare, for the draft
/// model.
hwdb::Status add_extras(const PlanInputs& inputs, PlanBasis* basis);

/// Takes what is sliced, moved or attached into account in the bytes of a placement by layers.
void apply_extras(const PlanBasis& basis, const Placement& placement, PlacedBytes* placed);

/// What overrides take from the work of blocks [first, last) of GPU `owner` (kHostDevice: of the
/// host) in one pass.
Work moved_away(const PlanBasis& basis, std::int32_t owner, std::uint32_t first, std::uint32_t last,
                double tokens, double expert_share);

/// What overrides bring to `device` from elsewhere in one pass, and how often activations are
/// handed over for it.
struct MovedWork {
  Work work;
  double hand_overs = 0;
};
MovedWork moved_to(const PlanBasis& basis, const Placement& placement, std::int32_t device,
                   double tokens, double expert_share);

/// True when part of the model is on the host although its layer is on a GPU.
bool any_moved_to_host(const PlanBasis& basis);

/// True when any block is computed on a GPU, and when the processors compute anything.
bool uses_gpu(const Placement& placement);
bool uses_host(const PlanBasis& basis, const Placement& placement);

}  // namespace planner
