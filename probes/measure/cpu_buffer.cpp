// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "probes/sys_root.h"

namespace probes {
namespace {

constexpr std::uint64_t kLeast = 256 * hwdb::kMiB, kMost = 8 * hwdb::kGiB;

/// The two addresses of "7f00-7f10 rw-p ..."; false for any other line.
bool parse_range(std::string_view line, std::uint64_t* first, std::uint64_t* last) {
  const char* end = line.data() + line.size();
  const auto a = std::from_chars(line.data(), end, *first, 16);
  if (a.ec != std::errc() || a.ptr == end || *a.ptr != '-') return false;
  const auto b = std::from_chars(a.ptr + 1, end, *last, 16);
  return b.ec == std::errc() && b.ptr != end && *b.ptr == ' ';
}

std::string size_text(std::uint64_t bytes) {
  return hwdb::format_bytes(hwdb::Bytes(bytes));
}

}  // namespace

std::size_t CpuBuffer::huge_bytes() const {
  const auto begin = reinterpret_cast<std::uintptr_t>(data());
  std::uint64_t huge = 0;
  bool mine = false;
  for (const std::string& line : SysRoot().read_lines("/proc/self/smaps")) {
    std::uint64_t first = 0, last = 0;
    if (parse_range(line, &first, &last)) {
      mine = first < begin + size() && last > begin;
    } else if (const auto value = mine ? value_of(line, "AnonHugePages") : std::nullopt) {
      huge += parse_number(value->substr(0, value->find(' '))).value_or(0) * hwdb::kKiB;
    }
  }
  return std::min<std::uint64_t>(huge, size());
}

BufferPlan plan_buffer(const hwdb::CpuInfo& cpu, const hwdb::MemoryInfo& memory, double share) {
  const std::uint64_t caches = cpu.last_level_cache_total_bytes;
  const std::uint64_t wanted = std::clamp(4 * caches, kLeast, std::max(kLeast, kMost));
  std::uint64_t left = memory.total.value.value;
  if (memory.limit) left = std::min(left, memory.limit->value.value);
  if (memory.available) left = std::min(left, memory.available->value.value);
  const auto allowed = static_cast<std::uint64_t>(static_cast<double>(left) * share);
  BufferPlan plan;
  const std::uint64_t bytes = std::min(wanted, allowed);
  if (bytes < 16 * hwdb::kMiB || bytes < caches) {
    plan.reason = fmt::format("only {} of memory may be used, and the caches hold {}",
                              size_text(allowed), size_text(caches));
    return plan;
  }
  plan.bytes = bytes;
  if (bytes < 2 * caches)
    plan.reason = fmt::format("read from {} only, less than twice the caches of {}: partly theirs",
                              size_text(bytes), size_text(caches));
  return plan;
}

}  // namespace probes
