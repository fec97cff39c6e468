// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "probes/measure/cpu_bandwidth.h"
#include "probes/measure/cpu_kernels.h"
#include "probes/measure/cpu_limits.h"

namespace probes {

/// The kernels for one figure, the fastest first, and why the processor has none of its own.
struct PeakFigure {
  std::string_view id;  // "cpu.int8_rate"
  std::string_view unit;
  std::vector<const PeakKernel*> kernels;
  std::string missing;  // "the processor has no BF16 instructions"
};

/// cpu.fp32_rate, cpu.bf16_rate, cpu.int8_rate, cpu.amx_int8_rate, cpu.amx_bf16_rate, each with the
/// kernels that this processor and system let run. Asks Linux for the use of AMX's tiles, which it
/// gives once for the whole process.
std::vector<PeakFigure> peak_figures();

/// Steps and readings: cpu.clock (Hz, one thread, dependent additions); for each figure
/// ID.threads_1 and ID (all threads; FLOP/s or OP/s); cpu.int8_limit_share (of what the ports could
/// do at the clock measured at that load, one thread; unit "1"), and with `sustained_seconds`
/// cpu.sustained_fp32_rate.
void plan_cpu_peak(CpuSession* session);
std::vector<Reading> measure_cpu_peak(CpuSession* session, const CpuIdentity& identity);

}  // namespace probes
