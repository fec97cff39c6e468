// SPDX-License-Identifier: MIT
// What this process may use: the smallest limit of its control groups and all their ancestors, of
// both versions, and its affinity.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "probes/detect/scene.h"

namespace probes {
namespace {

/// A control group of the process: folders from its own up to the top of the mount.
using Chain = std::vector<std::string>;

struct Mount {
  std::string root, point;
  bool v2 = false;
  std::string controllers;  // of version 1: "rw,cpu,cpuacct"
};

std::vector<std::string_view> words(std::string_view line, char separator) {
  std::vector<std::string_view> out;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(separator), line.size());
    if (end > 0) out.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return out;
}

bool has_word(std::string_view list, std::string_view word) {
  const auto items = words(list, ',');
  return std::ranges::find(items, word) != items.end();
}

std::vector<Mount> read_mounts(const SysRoot& sys) {
  std::vector<Mount> mounts;
  for (const std::string& line : sys.read_lines("/proc/self/mountinfo")) {
    // id parent device root point options [fields...] - type source options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = words(std::string_view(line).substr(0, dash), ' ');
    const auto after = words(std::string_view(line).substr(dash + 3), ' ');
    if (before.size() < 5 || after.empty()) continue;
    if (after[0] != "cgroup" && after[0] != "cgroup2") continue;
    mounts.push_back({std::string(before[3]), std::string(before[4]), after[0] == "cgroup2",
                      std::string(after.back())});
  }
  return mounts;
}

/// The chain of the process in the hierarchy of `controller` ("" is version 2); empty when it is
/// not mounted.
Chain chain_of(const SysRoot& sys, const std::vector<Mount>& mounts, std::string_view controller) {
  std::string path;
  bool member = false;
  for (const std::string& line : sys.read_lines("/proc/self/cgroup")) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view list(line.data() + first + 1, second - first - 1);
    const bool mine = controller.empty() ? list.empty() : has_word(list, controller);
    if (!mine) continue;
    path = line.substr(second + 1);
    member = true;
  }
  const auto mount = std::ranges::find_if(mounts, [&](const Mount& m) {
    return controller.empty() ? m.v2 : !m.v2 && has_word(m.controllers, controller);
  });
  if (!member || mount == mounts.end() || path.find("..") != std::string::npos) return {};
  // A container may see only its own part of the hierarchy: the mount's root is then its path.
  const std::size_t n = mount->root.size();
  if (mount->root != "/" && path.starts_with(mount->root) && (path.size() == n || path[n] == '/'))
    path = path.substr(n);
  if (path.empty()) path.push_back('/');
  if (path.front() != '/') return {};
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  Chain chain;
  for (;;) {
    const std::string folder = path == "/" ? mount->point : mount->point + path;
    if (sys.exists(folder)) chain.push_back(folder);
    if (path == "/") return chain;
    const std::size_t slash = path.rfind('/');
    path.resize(slash == 0 ? 1 : slash);
  }
}

struct MemoryLimit {
  std::uint64_t bytes = 0;
  std::string where;
  std::optional<std::uint64_t> used;  // at the same level, without what the kernel would drop
};

void tighten(const SysRoot& sys, const Chain& chain, bool v2, std::optional<MemoryLimit>* best) {
  const std::vector<std::string> names = v2 ? std::vector<std::string>{"memory.max", "memory.high"}
                                            : std::vector<std::string>{"memory.limit_in_bytes"};
  for (const std::string& folder : chain) {
    for (const std::string& name : names) {
      const auto limit = sys.read_number(folder + "/" + name);  // "max" is no number
      if (!limit || (best->has_value() && *limit >= (*best)->bytes)) continue;
      *best = MemoryLimit{*limit, folder + "/" + name, std::nullopt};
      auto& used = (*best)->used;
      used = sys.read_number(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
      // Cached files count as used but are given back when memory is asked for.
      for (const std::string& line : sys.read_lines(folder + "/memory.stat")) {
        const auto parts = words(line, ' ');
        if (used && parts.size() == 2 && parts[0] == (v2 ? "inactive_file" : "total_inactive_file"))
          used = *used - std::min(*used, parse_number(parts[1]).value_or(0));
      }
    }
  }
}

/// The smallest CPU quota in whole processors, at least 1; absent when there is none.
std::optional<std::uint32_t> quota(const SysRoot& sys, const Chain& chain, bool v2) {
  std::optional<std::uint32_t> best;
  for (const std::string& folder : chain) {
    std::optional<std::uint64_t> share, period;
    if (v2) {
      const auto text = sys.read_text(folder + "/cpu.max", 256);
      const auto parts = words(text ? std::string_view(*text) : std::string_view(), ' ');
      if (parts.size() == 2) {
        share = parse_number(parts[0]);  // "max" is no number
        period = parse_number(parts[1]);
      }
    } else {
      share = sys.read_number(folder + "/cpu.cfs_quota_us");  // -1 is no number
      period = sys.read_number(folder + "/cpu.cfs_period_us");
    }
    if (!share || !period || *period == 0) continue;
    // Half a processor more than whole ones is no thread more: it would wait for the others.
    const std::uint64_t whole = std::clamp<std::uint64_t>(*share / *period, 1, 1 << 20);
    best = std::min(best.value_or(1 << 20), static_cast<std::uint32_t>(whole));
  }
  return best;
}

/// How many processors this process may run on; absent when the kernel does not say.
std::optional<std::uint32_t> affinity(const SysRoot& sys) {
  for (const std::string& line : sys.read_lines("/proc/self/status")) {
    const auto list = value_of(line, "Cpus_allowed_list");
    const auto cpus = list ? parse_cpu_list(*list) : std::nullopt;
    if (cpus && !cpus->empty()) return static_cast<std::uint32_t>(cpus->size());
  }
  return std::nullopt;
}

}  // namespace

Outcome detect_limits(Scene* scene) {
  const SysRoot& sys = scene->sys;
  const std::vector<Mount> mounts = read_mounts(sys);
  const Chain unified = chain_of(sys, mounts, "");
  std::string reason;

  std::optional<MemoryLimit> limit;
  tighten(sys, unified, true, &limit);
  tighten(sys, chain_of(sys, mounts, "memory"), false, &limit);
  hwdb::MemoryInfo& memory = scene->machine.memory;
  const std::uint64_t total = memory.total.value.value;
  // Version 1 writes "no limit" as a number near 2^63: anything from the total up is none.
  if (limit && total > 0 && limit->bytes < total) {
    memory.limit = {hwdb::Bytes(limit->bytes), hwdb::Basis::detected, limit->where, ""};
    const std::uint64_t left =
        limit->used ? limit->bytes - std::min(limit->bytes, *limit->used) : limit->bytes;
    if (!memory.available || left < memory.available->value.value)
      memory.available = {hwdb::Bytes(left), hwdb::Basis::detected, limit->where, ""};
    scene->machine.notes.push_back(fmt::format("This process may use {} of the machine's {} ({}).",
                                               hwdb::format_bytes(hwdb::Bytes(limit->bytes)),
                                               hwdb::format_bytes(hwdb::Bytes(total)),
                                               limit->where));
    reason = "memory is limited";
  }

  hwdb::CpuInfo& cpu = scene->machine.cpu;
  cpu.usable_threads = cpu.threads;
  const auto least = [&](std::optional<std::uint32_t> n, std::string_view what) {
    if (!n || (cpu.usable_threads != 0 && *n >= cpu.usable_threads)) return;
    cpu.usable_threads = *n;
    reason += fmt::format("{}{} threads by {}", reason.empty() ? "" : ", ", *n, what);
  };
  least(affinity(sys), "affinity");
  least(quota(sys, unified, true), "quota");
  least(quota(sys, chain_of(sys, mounts, "cpu"), false), "quota");
  if (mounts.empty()) return {Status::unsupported, "no control groups are mounted"};
  return {Status::ok, reason.empty() ? "no limit" : reason};
}

}  // namespace probes
