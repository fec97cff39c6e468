// SPDX-License-Identifier: MIT
#pragma once

#include "probes/sys_root.h"

namespace probes {

/// Clock ticks of all processors together since the start; all 0 when nobody says.
struct ProcessorTime {
  double all = 0;
  double idle = 0;    // idle, and waiting for a disk
  double stolen = 0;  // taken by the host from a virtual machine
};
ProcessorTime read_processor_time(const SysRoot& sys);

/// Shares of the processors' time between two looks; 0 when nobody says.
double busy_share(const ProcessorTime& from, const ProcessorTime& to);
double stolen_share(const ProcessorTime& from, const ProcessorTime& to);

}  // namespace probes
