// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>

#include "planner/plan_basis.h"

namespace planner {

/// `n_gpu_layers` as llama.cpp counts them (the output, built-in draft layers and then the last
/// blocks) spread over the GPUs: by the user's shares, else by free memory as llama.cpp does; when
/// that overfills one GPU and the user gave no shares, GPU after GPU is filled instead.
Placement place(const PlanBasis& basis, std::uint32_t n_gpu_layers, std::uint32_t n_cpu_moe);

/// As many blocks on the GPUs as they have room for with `margin` bytes left on each, the experts
/// of the first `n_cpu_moe` blocks aside.
Placement most_layers(const PlanBasis& basis, std::uint32_t n_cpu_moe, double margin);

/// All blocks on the GPUs with the experts of as few blocks as possible in RAM; absent where a
/// model has no experts or the rest has no room either.
std::optional<Placement> fewest_cpu_experts(const PlanBasis& basis, double margin);

/// The user's placement where it is given; else the fastest that fits, by predicted time of one
/// request: all on the GPU, experts of some layers in RAM, some layers in RAM, all in RAM. When
/// nothing fits: GPUs as full as they can be and the rest in RAM.
Placement choose_placement(const PlanBasis& basis);

/// Whether some placement fits at least as well as `grade`. Where the whole model has to be on the
/// GPUs, nothing else is tried.
bool fits_as_well_as(const PlanBasis& basis, Fits grade);

}  // namespace planner
