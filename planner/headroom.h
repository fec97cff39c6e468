// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "planner/make_plan.h"

namespace planner {

/// Works it out for one grade of fit. `presets` are tried for the largest file, largest first; none
/// for a model whose weights cannot be chosen. Contexts are sought up to `context_limit`, sequences
/// up to 1024.
Headroom headroom(const PlanInputs& inputs, Fits fits, std::uint64_t context_limit,
                  const std::vector<std::string_view>& presets);

}  // namespace planner
