// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "probes/sys_root.h"

namespace probes {

/// Processors, caches and memory nodes, as far as the planner asks. Counts of 0 are unknown.
struct Topology {
  std::uint32_t packages = 0, cores = 0, threads = 0, numa_nodes = 0;
  std::set<std::uint32_t> first_threads;  // the lowest numbered thread of each core
  struct Cache {
    std::uint64_t bytes = 0;  // of one instance
    std::uint32_t instances = 0;
  };
  std::array<Cache, 3> caches;  // L1 data, L2, L3
};

/// From the files of /sys below a root: for recorded machines, and where hwloc fails. Processors
/// that are off do not count.
Topology read_topology_files(const SysRoot& sys);
/// From hwloc, for the running system; absent when it cannot read it.
std::optional<Topology> read_topology_hwloc();

}  // namespace probes
