// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace probes {

/// When each step of a measurement ran, from its progress: the first and the last time that a step
/// was named. For asking power sensors afterwards.
class LoadTimes {
 public:
  /// `step` is what runs at `at` (measure_clock()).
  void see(std::string_view step, double at) {
    const auto [known, fresh] = times_.try_emplace(std::string(step), at, at);
    if (!fresh) known->second.second = at;
  }
  /// From and to; both 0 for a step that never ran.
  std::pair<double, double> of(std::string_view step) const {
    const auto known = times_.find(step);
    return known == times_.end() ? std::pair(0.0, 0.0) : known->second;
  }

 private:
  std::map<std::string, std::pair<double, double>, std::less<>> times_;
};

}  // namespace probes
