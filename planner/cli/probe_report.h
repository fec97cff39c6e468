// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "planner/cli/profile.h"
#include "planner/report/report.h"
#include "probes/detect_machine.h"

/// Sections about a machine and what was measured on it.
namespace cli {

/// Processor, memory, each GPU, software renderers and disks; the whole record as "machine" for
/// programs.
std::vector<report::Section> machine_sections(const hwdb::Machine& machine);
/// What each detector did; nothing without steps.
report::Section steps_section(const std::vector<probes::DetectStep>& steps);
/// Every reading, failures with their reason.
report::Section readings_section(const hwdb::Machine& machine);
/// What was measured each time, oldest first.
report::Section history_section(const std::vector<PastProfile>& history);

/// A figure in its unit: "23.1 GB/s", "1.24 TFLOP/s", "12.5 W".
std::string reading_text(double value, const std::string& unit);

}  // namespace cli
