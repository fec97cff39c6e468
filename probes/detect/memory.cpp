// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "hwdb/units.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

/// "24684092 kB" in bytes; absent when it is none, or more than 64 bits hold.
std::optional<std::uint64_t> kilobytes(std::string_view text) {
  if (!text.ends_with("kB")) return std::nullopt;
  const auto number = parse_number(text.substr(0, text.size() - 2));
  std::uint64_t bytes = 0;
  if (!number || !hwdb::checked_mul(*number, 1024, &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace

Outcome detect_memory(Scene* scene) {
  std::optional<std::uint64_t> total, available;
  for (const std::string& line : scene->sys.read_lines("/proc/meminfo")) {
    if (const auto v = value_of(line, "MemTotal")) total = kilobytes(*v);
    if (const auto v = value_of(line, "MemAvailable")) available = kilobytes(*v);
  }
  if (!total || *total == 0) return {Status::error, "/proc/meminfo does not say MemTotal"};
  hwdb::MemoryInfo& memory = scene->machine.memory;
  memory.total = {hwdb::Bytes(*total), hwdb::Basis::detected, "/proc/meminfo", ""};
  if (available && *available <= *total)
    memory.available = {hwdb::Bytes(*available), hwdb::Basis::detected, "/proc/meminfo", ""};
  return {Status::ok, hwdb::format_bytes(hwdb::Bytes(*total))};
}

}  // namespace probes
