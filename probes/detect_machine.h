// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "hwdb/machine.h"

namespace probes {

class SysRecorder;
class SysTree;

struct DetectOptions {
  std::string sysroot;  // a recorded machine as SysRoot takes it, in place of the running system:
                        // then no driver is asked
  const SysTree* tree = nullptr;    // the same, in memory
  SysRecorder* recorder = nullptr;  // gets the running system's files, read as a recording's are
  bool ask_vulkan = true;
  bool complete = false;         // ask Vulkan of every card and list software renderers (probe
                                 // does); sleeping cards are still left alone
  bool force_vulkan = false;     // also wake sleeping cards (doctor does)
  double deadline_seconds = 15;  // for each child that opens a vendor library
  std::string child_program;     // run as `PROGRAM --probe-child WHICH`; "" is the running program
  std::vector<std::string> vulkan_drivers;  // manifests to use instead of those installed, as in
                                            // $VK_DRIVER_FILES
};

/// One detector's account, for doctor.
struct DetectStep {
  std::string name;    // "hwloc", "vulkan", "cgroup"...
  std::string status;  // ok, unsupported, not_permitted, skipped, error
  std::string reason;
  double seconds = 0;
};

struct Detected {
  hwdb::Machine machine;
  std::vector<DetectStep> steps;
};

/// Looks at the machine without measuring, one detector after the other. Not for two threads at
/// once: hwloc is told through the environment to leave its plug-ins alone. Never fails: what
/// cannot be read is absent, with a step that says why.
Detected detect_machine(const DetectOptions& options);

/// Why a --sysroot cannot be used: file.*, row.syntax.
hwdb::Status check_sysroot(const std::string& root);

/// Opens one vendor library ("vulkan" or "nvml") and writes one JSON message to stdout, which is
/// kept apart from what drivers print; what the child process of detect_machine executes
/// (`tokwatt --probe-child vulkan`). "measure-gpu" reads a request from stdin and writes a line for
/// each event: the child process of measure_gpu. "nvml-power" writes NVML's answer ten times a
/// second until it is ended. Returns the process exit status: 2 for an unknown name.
int run_probe_child(const std::string& which);

}  // namespace probes
