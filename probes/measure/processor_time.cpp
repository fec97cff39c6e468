// SPDX-License-Identifier: MIT
#include "probes/measure/processor_time.h"

#include <algorithm>
#include <string_view>

namespace probes {
namespace {

// Places in the line, after "cpu".
constexpr int kIdle = 3, kWaiting = 4, kStolen = 7, kFields = 8;

double share(double part, double whole) {
  return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : 0;
}

}  // namespace

ProcessorTime read_processor_time(const SysRoot& sys) {
  ProcessorTime t;
  const auto lines = sys.read_lines("/proc/stat");
  if (lines.empty() || !lines[0].starts_with("cpu ")) return t;
  std::string_view rest = std::string_view(lines[0]).substr(4);
  for (int field = 0; !rest.empty() && field < kFields; ++field) {
    rest = trim(rest);
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const auto ticks = static_cast<double>(parse_number(rest.substr(0, end)).value_or(0));
    t.all += ticks;
    if (field == kIdle || field == kWaiting) t.idle += ticks;
    if (field == kStolen) t.stolen = ticks;
    rest.remove_prefix(end);
  }
  return t;
}

double busy_share(const ProcessorTime& from, const ProcessorTime& to) {
  const double all = to.all - from.all;
  return all > 0 ? 1 - share(to.idle - from.idle, all) : 0;
}

double stolen_share(const ProcessorTime& from, const ProcessorTime& to) {
  return share(to.stolen - from.stolen, to.all - from.all);
}

}  // namespace probes
