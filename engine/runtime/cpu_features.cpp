// SPDX-License-Identifier: MIT
#include "engine/runtime/cpu_features.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <string_view>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace engine {
namespace {

struct FeatureName {
  std::string_view name;     // ours
  std::string_view cpuinfo;  // Linux's in /proc/cpuinfo
  bool CpuFeatures::*member;
};

constexpr std::array kFeatures = {
    FeatureName{"sse4_2", "sse4_2", &CpuFeatures::sse4_2},
    FeatureName{"avx", "avx", &CpuFeatures::avx},
    FeatureName{"avx2", "avx2", &CpuFeatures::avx2},
    FeatureName{"fma", "fma", &CpuFeatures::fma},
    FeatureName{"f16c", "f16c", &CpuFeatures::f16c},
    FeatureName{"avx512f", "avx512f", &CpuFeatures::avx512f},
    FeatureName{"avx512dq", "avx512dq", &CpuFeatures::avx512dq},
    FeatureName{"avx512bw", "avx512bw", &CpuFeatures::avx512bw},
    FeatureName{"avx512vl", "avx512vl", &CpuFeatures::avx512vl},
    FeatureName{"avx512_vnni", "avx512_vnni", &CpuFeatures::avx512_vnni},
    FeatureName{"avx512_bf16", "avx512_bf16", &CpuFeatures::avx512_bf16},
    FeatureName{"avx512_fp16", "avx512_fp16", &CpuFeatures::avx512_fp16},
    FeatureName{"avx_vnni", "avx_vnni", &CpuFeatures::avx_vnni},
    FeatureName{"amx_tile", "amx_tile", &CpuFeatures::amx_tile},
    FeatureName{"amx_int8", "amx_int8", &CpuFeatures::amx_int8},
    FeatureName{"amx_bf16", "amx_bf16", &CpuFeatures::amx_bf16},
    FeatureName{"neon", "asimd", &CpuFeatures::neon},
    FeatureName{"neon_fp16", "asimdhp", &CpuFeatures::neon_fp16},
    FeatureName{"neon_dotprod", "asimddp", &CpuFeatures::neon_dotprod},
    FeatureName{"neon_i8mm", "i8mm", &CpuFeatures::neon_i8mm},
    FeatureName{"bf16", "bf16", &CpuFeatures::bf16},
    FeatureName{"sve", "sve", &CpuFeatures::sve},
    FeatureName{"sve2", "sve2", &CpuFeatures::sve2},
    FeatureName{"sme", "sme", &CpuFeatures::sme},
};

constexpr bool bit(std::uint64_t word, int n) {
  return (word >> n & 1) != 0;
}

// State components of XCR0 that the system must save: SSE and AVX; opmask and ZMM; tiles.
constexpr std::uint64_t kAvxState = 0x6, kAvx512State = 0xe6, kTileState = 0x60000;

}  // namespace

std::vector<std::string> CpuFeatures::names() const {
  std::vector<std::string> out;
  for (const FeatureName& f : kFeatures) {
    if (this->*f.member) out.emplace_back(f.name);
  }
  return out;
}

CpuFeatures features_from_cpuid(const CpuidReader& cpuid,
                                const std::function<std::uint64_t()>& xcr0) {
  CpuFeatures f;
  const std::uint32_t max_leaf = cpuid(0, 0).eax;
  if (max_leaf < 1) return f;
  const CpuidRegisters one = cpuid(1, 0);
  f.sse4_2 = bit(one.ecx, 20);
  // Without OSXSAVE there is no XCR0 to read, and nothing wider than SSE survives a task switch.
  const std::uint64_t saved = bit(one.ecx, 27) ? xcr0() : 0;
  const bool ymm = (saved & kAvxState) == kAvxState;
  const bool zmm = (saved & kAvx512State) == kAvx512State;
  const bool tiles = (saved & kTileState) == kTileState;
  f.avx = ymm && bit(one.ecx, 28);
  f.fma = ymm && bit(one.ecx, 12);
  f.f16c = ymm && bit(one.ecx, 29);
  if (max_leaf >= 7) {
    const CpuidRegisters seven = cpuid(7, 0);
    f.avx2 = ymm && bit(seven.ebx, 5);
    f.avx512f = zmm && bit(seven.ebx, 16);
    f.avx512dq = zmm && bit(seven.ebx, 17);
    f.avx512bw = zmm && bit(seven.ebx, 30);
    f.avx512vl = zmm && bit(seven.ebx, 31);
    f.avx512_vnni = zmm && bit(seven.ecx, 11);
    f.avx512_fp16 = zmm && bit(seven.edx, 23);
    f.amx_tile = tiles && bit(seven.edx, 24);
    f.amx_int8 = tiles && bit(seven.edx, 25);
    f.amx_bf16 = tiles && bit(seven.edx, 22);
    if (seven.eax >= 1) {  // eax of subleaf 0 is the highest subleaf
      const CpuidRegisters more = cpuid(7, 1);
      f.avx_vnni = ymm && bit(more.eax, 4);
      f.avx512_bf16 = zmm && bit(more.eax, 5);
    }
  }
  if (bit(one.ecx, 31)) {
    const CpuidRegisters host = cpuid(0x40000000, 0);
    std::array<char, 12> text{};
    std::memcpy(text.data(), &host.ebx, 4);
    std::memcpy(text.data() + 4, &host.ecx, 4);
    std::memcpy(text.data() + 8, &host.edx, 4);
    f.hypervisor.assign(text.begin(), std::ranges::find(text, '\0'));
    if (f.hypervisor.empty()) f.hypervisor = "unknown";
  }
  return f;
}

CpuFeatures features_from_hwcap(std::uint64_t hwcap, std::uint64_t hwcap2) {
  // Bit numbers of Linux, arch/arm64/include/uapi/asm/hwcap.h.
  CpuFeatures f;
  f.neon = bit(hwcap, 1);
  f.neon_fp16 = bit(hwcap, 10);
  f.neon_dotprod = bit(hwcap, 20);
  f.sve = bit(hwcap, 22);
  f.sve2 = bit(hwcap2, 1);
  f.neon_i8mm = bit(hwcap2, 13);
  f.bf16 = bit(hwcap2, 14);
  f.sme = bit(hwcap2, 23);
  return f;
}

CpuFeatures features_from_cpuinfo(const std::string& flags) {
  CpuFeatures f;
  std::istringstream words(flags);
  for (std::string word; words >> word;) {
    const auto* it = std::ranges::find(kFeatures, std::string_view(word), &FeatureName::cpuinfo);
    if (it != kFeatures.end()) f.*(it->member) = true;
    if (word == "hypervisor") f.hypervisor = "unknown";
  }
  return f;
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
#if defined(__x86_64__) || defined(__i386__)
    const auto read = [](std::uint32_t leaf, std::uint32_t subleaf) {
      CpuidRegisters r;
      __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
      return r;
    };
    const auto xcr0 = [] {
      std::uint32_t low = 0, high = 0;
      __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      return std::uint64_t{high} << 32 | low;
    };
    return features_from_cpuid(read, xcr0);
#elif defined(__aarch64__) && defined(__linux__)
    return features_from_hwcap(getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
#else
    return CpuFeatures{};
#endif
  }();
  return features;
}

}  // namespace engine
