// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace engine {

/// What the processor offers and the operating system lets a program use. A feature whose registers
/// the system does not save is false.
struct CpuFeatures {
  bool sse4_2 = false, avx = false, avx2 = false, fma = false, f16c = false;
  bool avx512f = false, avx512dq = false, avx512bw = false, avx512vl = false;
  bool avx512_vnni = false, avx512_bf16 = false, avx512_fp16 = false, avx_vnni = false;
  bool amx_tile = false, amx_int8 = false, amx_bf16 = false;
  bool neon = false, neon_fp16 = false, neon_dotprod = false, neon_i8mm = false, bf16 = false;
  bool sve = false, sve2 = false, sme = false;
  std::string hypervisor;  // CPUID's vendor text such as "KVMKVMKVM"; "" on bare metal or unknown

  /// The names of what is true, in the order above: "avx2", "avx512_vnni", "neon_dotprod"...
  std::vector<std::string> names() const;
};

struct CpuidRegisters {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
/// Answers CPUID for a leaf and subleaf.
using CpuidReader = std::function<CpuidRegisters(std::uint32_t leaf, std::uint32_t subleaf)>;

/// The x86 part, from any CPUID: `xcr0` is asked only when the system uses XSAVE.
CpuFeatures features_from_cpuid(const CpuidReader& cpuid,
                                const std::function<std::uint64_t()>& xcr0);
/// The AArch64 part, from the two auxiliary vector words of Linux.
CpuFeatures features_from_hwcap(std::uint64_t hwcap, std::uint64_t hwcap2);
/// The same from a feature line of /proc/cpuinfo ("flags" or "Features"), for recorded machines.
CpuFeatures features_from_cpuinfo(const std::string& flags);

/// This machine's, asked once. All false on a processor family we do not know.
const CpuFeatures& cpu_features();

}  // namespace engine
