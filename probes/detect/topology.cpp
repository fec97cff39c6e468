// SPDX-License-Identifier: MIT
// The hwloc room. hwloc reads processors, caches and memory nodes only:
// - Its device part reads the configuration space of every PCI device. That took 14 ms of the CPU
//   on the virtual machine this was written on (0.6 ms without), and wakes sleeping cards. What is
//   needed of PCI stands in files (pci.cpp).
// - Its plug-ins (gl, opencl, nvml, cuda, rsmi, levelzero) load the vendors' drivers into this
//   process. hwloc has no call that keeps them from being opened, only variables.
// - The x86 part binds itself to each processor in turn to ask CPUID; Linux has the same in files.
// A recorded machine is read by the same code: hwloc takes another root from a variable, too. Both
// are set only while it loads.
#include <fmt/format.h>
#include <hwloc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <utility>

#include "probes/detect/scene.h"

namespace probes {
namespace {

/// A variable for the time of one call; put back afterwards.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
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

struct TopologyCloser {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, TopologyCloser>;

/// Null when hwloc cannot read this machine.
Topology load(const SysRoot& sys) {
  const ScopedVariable no_plugins("HWLOC_PLUGINS_PATH", "/nonexistent");
  const ScopedVariable quiet("HWLOC_HIDE_ERRORS", "2");
  std::optional<ScopedVariable> root;
  if (!sys.is_live()) root.emplace("HWLOC_FSROOT", sys.root());
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  Topology topology(raw);
  hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_cache_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  if (hwloc_topology_load(raw) != 0) return nullptr;
  return topology;
}

std::uint32_t count(const Topology& t, hwloc_obj_type_t type) {
  return static_cast<std::uint32_t>(std::max(0, hwloc_get_nbobjs_by_type(t.get(), type)));
}

/// Size of one instance of that cache and how many there are; {0, 0} when there is none.
std::pair<std::uint64_t, std::uint32_t> cache(const Topology& t, hwloc_obj_type_t type) {
  const std::uint32_t n = count(t, type);
  const hwloc_obj_t first = n > 0 ? hwloc_get_obj_by_type(t.get(), type, 0) : nullptr;
  return first != nullptr ? std::pair{first->attr->cache.size, n} : std::pair{std::uint64_t{0}, 0u};
}

/// Processors of the fast kind; empty when all are alike or nobody says.
std::set<std::uint32_t> fast_cpus(const SysRoot& sys, const std::vector<std::string>& entries) {
  const auto as_set = [](const std::vector<std::uint32_t>& v) {
    return std::set<std::uint32_t>(v.begin(), v.end());
  };
  // Intel's hybrids name their kinds.
  const auto performance = sys.read_text("/sys/devices/cpu_core/cpus");
  if (performance && sys.exists("/sys/devices/cpu_atom/cpus")) {
    if (const auto cpus = parse_cpu_list(*performance)) return as_set(*cpus);
  }
  // Arm gives each a capacity, 1024 for the fastest.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> capacities;
  for (const std::string& entry : entries) {
    if (!entry.starts_with("cpu")) continue;
    const auto number = parse_number(std::string_view(entry).substr(3));
    const auto capacity =
        number ? sys.read_number(fmt::format("/sys/devices/system/cpu/{}/cpu_capacity", entry))
               : std::nullopt;
    // The file of the first processor decides whether there are any.
    if (number && !capacity && capacities.empty()) break;
    if (capacity) capacities.emplace_back(static_cast<std::uint32_t>(*number), *capacity);
  }
  std::set<std::uint32_t> fast;
  std::uint64_t most = 0;
  for (const auto& [cpu, capacity] : capacities) most = std::max(most, capacity);
  // Three kinds are usual (one prime, some big, some little): little is below half of the fastest.
  for (const auto& [cpu, capacity] : capacities) {
    if (capacity * 2 > most) fast.insert(cpu);
  }
  if (fast.size() == capacities.size()) fast.clear();
  return fast;
}

std::uint32_t cores_with(const Topology& t, const std::set<std::uint32_t>& cpus) {
  std::uint32_t n = 0;
  for (std::uint32_t i = 0; i < count(t, HWLOC_OBJ_CORE); ++i) {
    const hwloc_obj_t core = hwloc_get_obj_by_type(t.get(), HWLOC_OBJ_CORE, i);
    const int first = hwloc_bitmap_first(core->cpuset);
    if (first >= 0 && cpus.contains(static_cast<std::uint32_t>(first))) ++n;
  }
  return n;
}

}  // namespace

Outcome detect_topology(Scene* scene) {
  hwdb::CpuInfo& cpu = scene->machine.cpu;
  const std::vector<std::string> entries = scene->sys.list("/sys/devices/system/cpu");
  // hwloc would answer for the running system where a recording has no such files.
  if (!scene->sys.exists("/sys/devices/system/cpu/cpu0")) {
    for (const std::string& line : scene->sys.read_lines("/proc/cpuinfo"))
      cpu.threads += value_of(line, "processor") ? 1 : 0;
    return {Status::unsupported, "no processors in /sys; threads are counted in /proc/cpuinfo"};
  }
  const Topology topology = load(scene->sys);
  if (topology == nullptr) return {Status::error, "hwloc could not read this machine"};
  cpu.threads = count(topology, HWLOC_OBJ_PU);
  // Without topology files hwloc still counts processors; a core is then what it is called.
  cpu.cores = count(topology, HWLOC_OBJ_CORE);
  cpu.packages = std::max(1u, count(topology, HWLOC_OBJ_PACKAGE));
  std::uint32_t nodes = 0;
  for (std::uint32_t i = 0; i < count(topology, HWLOC_OBJ_NUMANODE); ++i) {
    // Nodes without processors are memory of devices.
    const hwloc_obj_t node = hwloc_get_obj_by_type(topology.get(), HWLOC_OBJ_NUMANODE, i);
    if (hwloc_bitmap_iszero(node->cpuset) == 0) ++nodes;
  }
  cpu.numa_nodes = std::max(1u, nodes);
  const auto fast = fast_cpus(scene->sys, entries);
  if (!fast.empty()) cpu.performance_cores = cores_with(topology, fast);
  for (const hwloc_obj_type_t level : {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE}) {
    const auto [size, instances] = cache(topology, level);
    if (size == 0) continue;
    cpu.cache_bytes.push_back(size);
    cpu.last_level_cache_total_bytes = size * instances;
  }
  if (cpu.cores == 0)
    return {Status::unsupported, "the system does not say which threads share a core"};
  return {Status::ok, fmt::format("{} packages, {} cores, {} threads, {} memory nodes",
                                  cpu.packages, cpu.cores, cpu.threads, cpu.numa_nodes)};
}

}  // namespace probes
