// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "planner/make_plan.h"

namespace planner {

/// Bounds of what an architecture that nobody described here needs beyond its weights, from the
/// sizes that its file states: the cache lies between none (all blocks recurrent) and full
/// attention in every block, the compute buffer between a plain decoder's with flash attention and
/// logits for one token a sequence, and the same without it and with all logits. Absent when the
/// file states no width or no blocks.
std::optional<MemoryBounds> bounds_of_unknown(const PlanInputs& inputs);

}  // namespace planner
