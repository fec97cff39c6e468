// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "probes/measure/processor_time.h"
#include "probes/sys_root.h"

namespace cli {

/// What disturbed a measurement: other programs, a host that takes the processors away, a battery.
struct Disturbance {
  double others_share = 0;  // of the processors' time, used by other programs
  double stolen_share = 0;  // taken by the host of a virtual machine
  double load_average = 0;  // of the last minute; 0 unknown
  bool on_battery = false;
};

/// Watches this machine from its making to a look.
class LoadWatch {
 public:
  LoadWatch();
  Disturbance look() const;

 private:
  probes::SysRoot sys_;
  probes::ProcessorTime before_;
  double own_before_ = 0;  // processor seconds of this program
};

/// Sentences for what is worth a warning; none for a quiet machine.
std::vector<std::string> disturbance_warnings(const Disturbance& disturbance);

}  // namespace cli
