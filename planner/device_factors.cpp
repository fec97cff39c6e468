// SPDX-License-Identifier: MIT
#include "planner/device_factors.h"

#include <algorithm>

namespace planner {

const DeviceFactors::OfType& DeviceFactors::of(hwdb::TensorType type) const {
  static const OfType kOnes{};
  const auto found = std::ranges::lower_bound(types, type, {}, &OfType::type);
  return found != types.end() && found->type == type ? *found : kOnes;
}

}  // namespace planner
