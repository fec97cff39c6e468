// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

namespace probes {

/// A hardware thread that this process may run on.
struct CpuPlace {
  std::uint32_t cpu = 0;   // the system's number
  std::uint32_t core = 0;  // counted over the machine; threads of one core share it
  std::uint32_t node = 0;  // memory node, 0 without NUMA
  bool operator==(const CpuPlace&) const = default;
};

/// The places in the order in which to use them: one thread of each core before the second, the
/// memory nodes in turn. Respects affinity and cpuset. Empty when neither hwloc nor the system
/// says.
std::vector<CpuPlace> read_cpu_places();
/// That order, for any places.
void order_places(std::vector<CpuPlace>* places);

}  // namespace probes
