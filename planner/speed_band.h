// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "planner/plan_basis.h"

/// How sure a predicted speed is: bands from what was left out of the fits.
namespace planner {

enum class Phase { prefill, decode };

/// Tokens in the cache from which errors are told apart from those of an empty one.
inline constexpr double kDeepContext = 2048;

/// What makes a plan harder to predict than one dense model on one GPU, as the accuracy rows name
/// it: "offload", "several_gpus", "cpu", "experts", "batch", "depth" or "plain"; the first that
/// holds.
std::string_view situation_of(const PlanBasis& basis, const Placement& placement);

struct SpeedBand {
  double low = 1, high = 1;  // measured over predicted
  const hwdb::SpeedAccuracyRow* row = nullptr;
  Estimate rate(double tokens, double seconds, hwdb::Basis basis) const;
  Estimate time(double seconds, hwdb::Basis basis) const;
};
/// Of a calibrated machine from its own residuals, else of the accuracy row that says most: of
/// known devices if it is one, of its situation and backend, its situation, any; wider for a device
/// whose generation is hardly known.
SpeedBand find_band(const PlanBasis& basis, const Placement& placement, Phase phase);

/// One time after the other; their errors are taken to be independent.
Estimate sum_of(const Estimate& first, const Estimate& second);

}  // namespace planner
