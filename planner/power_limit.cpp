// SPDX-License-Identifier: MIT
#include "planner/power_limit.h"

#include <algorithm>

namespace planner {
namespace {

constexpr double kLoss = 2.1, kLeast = 0.1;

}  // namespace

double reading_at_power(double share) {
  const double missing = std::clamp(1 - share, 0.0, 1.0);
  return std::max(kLeast, 1 - kLoss * missing * missing * missing);
}

double computing_at_power(double share) {
  const double missing = std::clamp(1 - share, 0.0, 1.0);
  return std::max(kLeast, 1 - kLoss * missing * missing);
}

}  // namespace planner
