// SPDX-License-Identifier: MIT
#include "probes/detect/topology_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace probes {
namespace {

constexpr std::string_view kCpus = "/sys/devices/system/cpu";

/// The number behind a prefix ("cpu12" → 12); absent for other names.
std::optional<std::uint32_t> numbered(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() == prefix.size()) return std::nullopt;
  const auto number = parse_number(name.substr(prefix.size()));
  return number && *number < 65536 ? std::optional(static_cast<std::uint32_t>(*number))
                                   : std::nullopt;
}

/// "1024K" in bytes; absent for anything implausible.
std::optional<std::uint64_t> cache_size(std::string_view text) {
  if (!text.ends_with('K')) return std::nullopt;
  const auto kilobytes = parse_number(text.substr(0, text.size() - 1));
  if (!kilobytes || *kilobytes == 0 || *kilobytes > (std::uint64_t{1} << 30)) return std::nullopt;
  return *kilobytes * 1024;
}

bool has_processors(std::string_view mask) {
  return mask.find_first_of("123456789abcdef") != std::string_view::npos;
}

/// Threads that share something have the same text in its mask: the text names the thing.
using Names = std::set<std::string>;

void read_caches(const SysRoot& sys, const std::string& cpu, std::array<Names, 3>* seen,
                 Topology* out) {
  for (const std::string& entry : sys.list(cpu + "/cache")) {
    if (!numbered(entry, "index")) continue;
    const std::string cache = fmt::format("{}/cache/{}", cpu, entry);
    const auto level = sys.read_number(cache + "/level");
    const auto type = sys.read_text(cache + "/type", 64);
    if (!level || *level < 1 || *level > 3 || !type || *type == "Instruction") continue;
    const auto size = cache_size(sys.read_text(cache + "/size", 64).value_or(""));
    const auto mask = sys.read_text(cache + "/shared_cpu_map");
    if (!size || !mask) continue;
    Topology::Cache& total = out->caches[*level - 1];
    if (!(*seen)[*level - 1].insert(*mask).second) continue;
    if (total.instances == 0) total.bytes = *size;
    ++total.instances;
  }
}

}  // namespace

Topology read_topology_files(const SysRoot& sys) {
  Topology out;
  std::set<std::uint32_t> cpus;
  for (const std::string& entry : sys.list(kCpus)) {
    if (const auto cpu = numbered(entry, "cpu")) cpus.insert(*cpu);
  }
  const auto online = parse_cpu_list(sys.read_text(fmt::format("{}/online", kCpus)).value_or(""));
  Names cores, packages;
  std::array<Names, 3> caches;
  // In order of their numbers, so that the first thread of a core is its lowest.
  for (const std::uint32_t cpu : cpus) {
    if (online && !online->empty() && !std::binary_search(online->begin(), online->end(), cpu))
      continue;
    ++out.threads;
    const std::string base = fmt::format("{}/cpu{}", kCpus, cpu);
    auto core = sys.read_text(base + "/topology/core_cpus");
    if (!core) core = sys.read_text(base + "/topology/thread_siblings");  // its name before 2019
    if (core && cores.insert(*core).second) out.first_threads.insert(cpu);
    // Boards without packages say -1 for all.
    if (const auto package = sys.read_text(base + "/topology/physical_package_id", 64))
      packages.insert(*package);
    read_caches(sys, base, &caches, &out);
  }
  out.cores = static_cast<std::uint32_t>(cores.size());
  out.packages = static_cast<std::uint32_t>(packages.size());
  for (const std::string& entry : sys.list("/sys/devices/system/node")) {
    // Nodes without processors are memory of devices.
    if (numbered(entry, "node") &&
        has_processors(
            sys.read_text(fmt::format("/sys/devices/system/node/{}/cpumap", entry)).value_or("")))
      ++out.numa_nodes;
  }
  return out;
}

}  // namespace probes
