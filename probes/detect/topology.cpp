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
#include <fmt/format.h>
#include <hwloc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "probes/detect/scene.h"
#include "probes/detect/topology_files.h"

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

struct HwlocCloser {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Hwloc = std::unique_ptr<hwloc_topology, HwlocCloser>;

/// Null when hwloc cannot read this machine.
Hwloc load() {
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

std::uint32_t count(const Hwloc& t, hwloc_obj_type_t type) {
  return static_cast<std::uint32_t>(std::max(0, hwloc_get_nbobjs_by_type(t.get(), type)));
}

/// Processors of the fast kind; empty when all are alike or nobody says.
std::set<std::uint32_t> fast_cpus(const SysRoot& sys, const std::set<std::uint32_t>& cpus) {
  // Intel's hybrids name their kinds.
  const auto performance = sys.read_text("/sys/devices/cpu_core/cpus");
  if (performance && sys.exists("/sys/devices/cpu_atom/cpus")) {
    if (const auto list = parse_cpu_list(*performance)) return {list->begin(), list->end()};
  }
  // Others give each a capacity, 1024 for the fastest.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> capacities;
  std::uint64_t most = 0;
  for (const std::uint32_t cpu : cpus) {
    const auto capacity =
        sys.read_number(fmt::format("/sys/devices/system/cpu/cpu{}/cpu_capacity", cpu));
    if (!capacity || *capacity > 1024) return {};
    capacities.emplace_back(cpu, *capacity);
    most = std::max(most, *capacity);
  }
  // Little is well below the fastest; one prime core above several big ones is no third kind.
  std::set<std::uint32_t> fast;
  for (const auto& [cpu, capacity] : capacities) {
    if (capacity * 4 >= most * 3) fast.insert(cpu);
  }
  if (fast.size() == capacities.size()) fast.clear();
  return fast;
}

}  // namespace

std::optional<Topology> read_topology_hwloc() {
  const Hwloc t = load();
  if (t == nullptr) return std::nullopt;
  Topology out;
  out.threads = count(t, HWLOC_OBJ_PU);
  out.cores = count(t, HWLOC_OBJ_CORE);
  out.packages = count(t, HWLOC_OBJ_PACKAGE);
  for (std::uint32_t i = 0; i < out.cores; ++i) {
    const hwloc_obj_t core = hwloc_get_obj_by_type(t.get(), HWLOC_OBJ_CORE, i);
    const int first = hwloc_bitmap_first(core->cpuset);
    if (first >= 0) out.first_threads.insert(static_cast<std::uint32_t>(first));
  }
  for (std::uint32_t i = 0; i < count(t, HWLOC_OBJ_NUMANODE); ++i) {
    const hwloc_obj_t node = hwloc_get_obj_by_type(t.get(), HWLOC_OBJ_NUMANODE, i);
    if (hwloc_bitmap_iszero(node->cpuset) == 0) ++out.numa_nodes;
  }
  constexpr std::array kLevels = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE};
  for (std::size_t level = 0; level < kLevels.size(); ++level) {
    const std::uint32_t n = count(t, kLevels[level]);
    if (n == 0) continue;
    const hwloc_obj_t first = hwloc_get_obj_by_type(t.get(), kLevels[level], 0);
    out.caches[level] = {first->attr->cache.size, n};
  }
  return out;
}

Outcome detect_topology(Scene* scene) {
  hwdb::CpuInfo& cpu = scene->machine.cpu;
  const SysRoot& sys = scene->sys;
  std::optional<Topology> topology = sys.is_live() ? read_topology_hwloc() : std::nullopt;
  const std::string_view reader = topology ? "hwloc" : "files of /sys";
  if (!topology) topology = read_topology_files(sys);
  cpu.threads = topology->threads;
  if (cpu.threads == 0) {
    for (const std::string& line : sys.read_lines("/proc/cpuinfo"))
      cpu.threads += value_of(line, "processor") ? 1 : 0;
    return {Status::unsupported, "no processors in /sys; threads are counted in /proc/cpuinfo"};
  }
  cpu.cores = topology->cores;
  cpu.packages = std::max(1u, topology->packages);
  cpu.numa_nodes = std::max(1u, topology->numa_nodes);
  const auto fast = fast_cpus(sys, topology->first_threads);
  cpu.performance_cores = static_cast<std::uint32_t>(std::ranges::count_if(
      topology->first_threads, [&](std::uint32_t thread) { return fast.contains(thread); }));
  for (const Topology::Cache& cache : topology->caches) {
    if (cache.instances == 0) continue;
    cpu.cache_bytes.push_back(cache.bytes);
    cpu.last_level_cache_total_bytes = cache.bytes * cache.instances;
  }
  if (cpu.cores == 0)
    return {Status::unsupported, "the system does not say which threads share a core"};
  return {Status::ok, fmt::format("{} packages, {} cores, {} threads, {} memory nodes ({})",
                                  cpu.packages, cpu.cores, cpu.threads, cpu.numa_nodes, reader)};
}

}  // namespace probes
