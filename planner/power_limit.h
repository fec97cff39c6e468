// SPDX-License-Identifier: MIT
#pragma once

namespace planner {

/// What is left of a card's speed when it is held to a share of its rated watts (0 to 1): of
/// reading memory, which decode is, and of arithmetic, which prefill is. 1 - 2.1 (1 - share)^3 and
/// 1 - 2.1 (1 - share)^2, never below a tenth: read off the sweeps of hwdb/data/power/points.json
/// (RTX 3090, 4090, 5090, 5060 Ti), which a test holds against it.
double reading_at_power(double share);
double computing_at_power(double share);

}  // namespace planner
