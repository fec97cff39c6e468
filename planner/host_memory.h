// SPDX-License-Identifier: MIT
#pragma once

#include "planner/memory_plan.h"

namespace planner {

/// The host's weights by kind of memory, and what a server may add: as llama.cpp's loader and
/// server do it. Runtimes of another kind have neither.
HostMemory host_memory(const PlanBasis& basis, const DeviceBytes& host);

}  // namespace planner
