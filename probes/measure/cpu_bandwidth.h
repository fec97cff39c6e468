// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/machine.h"
#include "probes/detect/cpu_places.h"
#include "probes/measure/measure_steps.h"
#include "probes/measure/reading.h"

namespace probes {

/// What the parts of measuring the processor share.
struct CpuSession {
  const hwdb::Machine& machine;
  std::vector<CpuPlace> places;  // where threads go, in this order
  double sustained_seconds = 0;  // 0: nothing is held
  double memory_share = 0.25;    // of what is free, at most
  MeasureSteps& steps;
  /// Called after each load that is worth its watts, with when it ran (measure_clock).
  std::function<void(std::string_view load, double from, double to)> loaded;
};

/// 1, 2, 4... and the most.
std::vector<std::size_t> thread_counts(std::size_t most);

/// Steps and readings, all in B/s: cpu.read_bandwidth.threads_N for each count; cpu.read_bandwidth,
/// the best of them; with several memory nodes cpu.read_bandwidth.node_A_from_B; with
/// `sustained_seconds` cpu.sustained_read_bandwidth; cpu.copy_bandwidth and cpu.triad_bandwidth
/// with all threads (bytes read and bytes written count once each).
void plan_cpu_bandwidth(CpuSession* session);
std::vector<Reading> measure_cpu_bandwidth(CpuSession* session);

/// A reading of what a held load did: the sustained rate, with `reason` saying what the burst was
/// and whether and when it throttled.
struct LoadResult;
Reading held_reading(const std::string& id, const std::string& unit, std::string method,
                     const LoadResult& result);

}  // namespace probes
