// SPDX-License-Identifier: MIT
// The hwloc room. hwloc reads the running system's processors, caches and memory nodes only:
// - Its device part reads the configuration space of every PCI device. That took 14 ms of the CPU
//   on the virtual machine this was written on (0.6 ms without), and wakes sleeping cards. What is
//   needed of PCI stands in files (pci.cpp).
// - Its plug-ins (gl, opencl, nvml, cuda, rsmi, levelzero) load the vendors' drivers into this
//   process. hwloc has no call that keeps them from being opened, only a variable, which is set
//   while it starts.
// - The x86 part binds itself to each processor in turn to ask CPUID; Linux has the same in files.
// - Recorded machines are read by topology_files: hwloc 2.9 ends the program by an assertion when a
//   file of a recording is damaged. A test holds the two readers together.
#include "probes/detect/hwloc_topology.h"

#include <cstdlib>
#include <optional>
#include <string>

namespace probes {
namespace {

/// A variable for the time of one call; put back afterwards.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value, 1);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;
  ~ScopedVariable() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

}  // namespace

Hwloc load_hwloc() {
  const ScopedVariable no_plugins("HWLOC_PLUGINS_PATH", "/nonexistent");
  const ScopedVariable quiet("HWLOC_HIDE_ERRORS", "2");
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  Hwloc topology(raw);
  hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_cache_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  if (hwloc_topology_load(raw) != 0) return nullptr;
  return topology;
}

}  // namespace probes
