// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "hwdb/machine.h"
#include "hwdb/rows.h"
#include "planner/assumptions.h"
#include "planner/scenario.h"

/// Which class factors count for a device, and the peaks they are shares of.
namespace planner {

/// "cuda", "rocm", "vulkan", "metal", "sycl": as the factor rows say it.
std::string_view to_string(hwdb::GpuInfo::Backend backend);

/// The row with the most members equal to those asked for and none against; `fallback_factor()`
/// when none matches. An empty member of a row matches all.
const hwdb::SpeedFactorRow& find_factor(const Assumptions& assumptions, std::string_view backend,
                                        std::string_view vendor, std::string_view arch,
                                        std::string_view form);
const hwdb::SpeedFactorRow& factor_of(const Assumptions& assumptions, const hwdb::GpuInfo& gpu,
                                      hwdb::GpuInfo::Backend backend);
/// Of the processors: backend "cpu", form "board" on boards and phones, else "cpu".
const hwdb::SpeedFactorRow& cpu_factor(const Assumptions& assumptions,
                                       const hwdb::Machine& machine);

/// Arithmetic peak that MFU is a share of: 16-bit (with matrix units where there are any), else
/// 32-bit. 0 when nobody knows.
hwdb::FlopsPerSecond gpu_peak(const hwdb::GpuInfo& gpu);
/// The processors' peak: as known, else cores x the widest vector unit named in the instruction
/// sets x 3 GHz (2 GHz on boards and phones). `assumed` tells that it is the latter.
hwdb::FlopsPerSecond cpu_peak(const hwdb::Machine& machine, bool* assumed);

}  // namespace planner
