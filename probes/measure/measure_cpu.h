// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "probes/measure/gpu_measure.h"
#include "probes/measure/reading.h"

namespace probes {

struct CpuMeasureOptions {
  double budget_seconds = 15;    // processor, memory, disk and watts at rest, all together
  double sustained_seconds = 0;  // also hold reading and FP32 so long each; 20 shows most
                                 // throttling; 0: no. Comes on top of the budget
  double memory_share = 0.25;    // of the memory that is free for this process, at most
  bool memory = true, peaks = true, disk = true, power = true;  // what is measured
  std::string disk_file;      // read this one, for example a model; "": a file made for it
  std::string disk_folder;    // where that is made; "": the current one
  std::string sysroot;        // of the power sensors; "": the running system
  std::string child_program;  // asks NVML as `PROGRAM --probe-child nvml-power`; "": ours
  std::string as_of;          // the day that readings carry; "": today, in UTC
};

/// Measures the processor, its memory and the disk, in this process, with at most
/// `machine.cpu.usable_threads` threads, and the watts at rest and under these loads. Readings in
/// this order: those of disk_read.h, power.h at rest, cpu_bandwidth.h and cpu_peak.h, then power.h
/// under the loads "cpu_read", "cpu_fp32", "cpu_int8", "cpu_sustained_read" and
/// "cpu_sustained_fp32". Never fails as a whole: what cannot be measured has a status and a reason.
/// `progress` comes a few times a second; `cancel` ends it within a moment, and what is missing is
/// skipped. Both may be null. Not for two threads at once, nor beside detect_machine.
std::vector<Reading> measure_cpu(const hwdb::Machine& machine, const CpuMeasureOptions& options,
                                 const std::function<void(const MeasureProgress&)>& progress,
                                 const std::atomic<bool>* cancel);

}  // namespace probes
