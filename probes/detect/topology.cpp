// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "probes/detect/hwloc_topology.h"
#include "probes/detect/scene.h"
#include "probes/detect/topology_files.h"

namespace probes {
namespace {

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
  const Hwloc t = load_hwloc();
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
