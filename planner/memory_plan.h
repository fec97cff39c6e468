// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "planner/plan_basis.h"

namespace planner {

/// Bytes on one device, in plain numbers.
struct DeviceBytes {
  double weights = 0, kv = 0, state = 0, compute = 0, output = 0, overhead = 0;
  double total() const { return weights + kv + state + compute + output + overhead; }
};

/// What GPU `which` holds when it has blocks [first, last), with the experts of the layers below
/// `n_cpu_moe` left in RAM.
DeviceBytes gpu_bytes(const PlanBasis& basis, const Placement& placement, std::size_t which,
                      std::uint32_t first, std::uint32_t last);
/// What stays on the host.
DeviceBytes host_bytes(const PlanBasis& basis, const Placement& placement);

/// First block that is on a GPU; n_layers when none is.
std::uint32_t first_gpu_block(const PlanBasis& basis, const Placement& placement);

/// The verdict alone, without building records. `spare`: how many bytes the tightest device lacks
/// (negative) or has left above the margin.
struct FitCheck {
  Fits fits = Fits::no;
  double shortfall = 0;  // bytes missing, all devices together
};
FitCheck check_fit(const PlanBasis& basis, const Placement& placement);

/// Bytes per device against what each can give. Memory that a GPU shares with the host is taken
/// from the host's budget, so it is never counted twice.
MemoryPlan plan_memory(const PlanBasis& basis, const Placement& placement);

}  // namespace planner
