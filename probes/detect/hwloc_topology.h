// SPDX-License-Identifier: MIT
#pragma once

#include <hwloc.h>

#include <memory>

/// Private to the files that speak to hwloc: topology.cpp and cpu_places.cpp.
namespace probes {

struct HwlocCloser {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Hwloc = std::unique_ptr<hwloc_topology, HwlocCloser>;

/// Processors, cores, caches, packages and memory nodes of the running system, also those that this
/// process may not use. Null when hwloc cannot read this machine.
Hwloc load_hwloc();

}  // namespace probes
