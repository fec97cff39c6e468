// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "probes/sys_root.h"

namespace probes {

/// Who made a processor, as /proc/cpuinfo says: on ARM `family` is the implementer and `model` the
/// part.
struct CpuIdentity {
  std::string vendor;  // "GenuineIntel", "AuthenticAMD", "arm", "" unknown
  std::uint32_t family = 0, model = 0;
};
CpuIdentity read_cpu_identity(const SysRoot& sys);

/// How many vector instructions a kind of core starts each clock cycle: the ports that makers and
/// published measurements give it.
struct PortLimits {
  std::string_view name;                         // "Intel server core with AVX-512"
  double fma_512 = 0, fma_256 = 0, fma_128 = 0;  // FP32; 0: has none, or nobody says
  double dot_512 = 0, dot_256 = 0, dot_128 = 0;  // INT8 dot products (VNNI, dotprod)
  double bf16_512 = 0;                           // vdpbf16ps
  double maddubs_256 = 0;                        // the sequence of three
  double tile = 0;                               // AMX, one in so many cycles is its inverse
};
/// Null for a core that the table does not know.
const PortLimits* find_port_limits(const CpuIdentity& identity);

/// Of an instruction as PeakKernel names it; absent when unknown.
std::optional<double> instructions_per_cycle(const PortLimits& limits,
                                             std::string_view instruction);

}  // namespace probes
