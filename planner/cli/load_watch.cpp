// SPDX-License-Identifier: MIT
#include "planner/cli/load_watch.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace cli {
namespace {

// Below these a median over a few runs does not move visibly.
constexpr double kOthers = 0.05, kStolen = 0.01;

double own_seconds() {
  struct rusage used {};
  if (::getrusage(RUSAGE_SELF, &used) != 0) return 0;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace

LoadWatch::LoadWatch() : before_(probes::read_processor_time(sys_)), own_before_(own_seconds()) {}

Disturbance LoadWatch::look() const {
  Disturbance d;
  const probes::ProcessorTime now = probes::read_processor_time(sys_);
  const double ticks = now.all - before_.all;
  const auto per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  d.stolen_share = probes::stolen_share(before_, now);
  if (ticks > 0 && per_second > 0) {
    const double own = (own_seconds() - own_before_) * per_second / ticks;
    d.others_share = std::clamp(probes::busy_share(before_, now) - own - d.stolen_share, 0.0, 1.0);
  }
  if (const auto text = sys_.read_text("/proc/loadavg"))
    std::from_chars(text->data(), text->data() + text->size(), d.load_average);
  for (const std::string& supply : sys_.list("/sys/class/power_supply"))
    d.on_battery |= sys_.read_text("/sys/class/power_supply/" + supply + "/status") ==
                    std::optional<std::string>("Discharging");
  return d;
}

std::vector<std::string> disturbance_warnings(const Disturbance& d) {
  std::vector<std::string> out;
  if (d.others_share > kOthers)
    out.push_back(fmt::format(
        "other programs had {:.0f} % of the processors meanwhile (load average {:.2f}): "
        "the figures are lower than they could be",
        100 * d.others_share, d.load_average));
  if (d.stolen_share > kStolen)
    out.push_back(fmt::format("the host took away {:.0f} % of the processors' time meanwhile",
                              100 * d.stolen_share));
  if (d.on_battery) out.emplace_back("running on battery: the processor may be held back");
  return out;
}

}  // namespace cli
