// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "planner/plan_basis.h"

namespace planner {

/// Bytes on every device; those of GPUs that take part, in order, and the host's.
struct PlacedBytes {
  std::array<DeviceBytes, kMaxGraphDevices> gpu;
  DeviceBytes host;
};

/// What a placement puts where.
PlacedBytes placed_bytes(const PlanBasis& basis, const Placement& placement);
/// The same with the buffers of a similar placement: a first guess of a search.
PlacedBytes placed_bytes(const PlanBasis& basis, const Placement& placement,
                         const GraphBuffers& buffers);
/// The compute buffers of a placement; none for an unknown architecture.
GraphBuffers graph_buffers(const PlanBasis& basis, const Placement& placement);

/// Weights, cache and state of blocks [first, last) on a GPU, with the experts of the layers below
/// `n_cpu_moe` left in RAM; no buffers.
DeviceBytes block_bytes(const PlanBasis& basis, std::uint32_t first, std::uint32_t last,
                        std::uint32_t n_cpu_moe);

/// First block that is on a GPU; n_layers when none is.
std::uint32_t first_gpu_block(const PlanBasis& basis, const Placement& placement);

/// The verdict alone, without building records. `spare`: how many bytes the tightest device lacks
/// (negative) or has left above the margin.
struct FitCheck {
  Fits fits = Fits::no;
  double shortfall = 0;  // bytes missing, all devices together
};
FitCheck check_fit(const PlanBasis& basis, const Placement& placement);
FitCheck check_fit(const PlanBasis& basis, const Placement& placement, const PlacedBytes& bytes);

/// Bytes per device against what each can give. Memory that a GPU shares with the host is taken
/// from the host's budget, so it is never counted twice. Error: model.overflow.
hwdb::Result<MemoryPlan> plan_memory(const PlanBasis& basis, const Placement& placement);

}  // namespace planner
