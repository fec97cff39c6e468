// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_limits.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace probes {
namespace {

// From Intel's and AMD's optimisation manuals and Arm's software optimisation guides, with
// uops.info for what they leave open.
constexpr PortLimits kIntelServer = {.name = "Intel server core, two 512-bit ports",
                                     .fma_512 = 2,
                                     .fma_256 = 2,
                                     .dot_512 = 2,
                                     .dot_256 = 2,
                                     .maddubs_256 = 1,
                                     .tile = 1.0 / 16};
constexpr PortLimits kIntelClient512 = {.name = "Intel client core, one 512-bit port",
                                        .fma_512 = 1,
                                        .fma_256 = 2,
                                        .dot_512 = 1,
                                        .dot_256 = 2,
                                        .maddubs_256 = 1};
constexpr PortLimits kIntelClient = {
    .name = "Intel core, two 256-bit ports", .fma_256 = 2, .dot_256 = 2, .maddubs_256 = 1};
constexpr PortLimits kZen2 = {
    .name = "AMD Zen 2 or 3, two 256-bit ports", .fma_256 = 2, .maddubs_256 = 1};
constexpr PortLimits kZen4 = {.name = "AMD Zen 4, two 256-bit ports",
                              .fma_512 = 1,
                              .fma_256 = 2,
                              .dot_512 = 1,
                              .dot_256 = 2,
                              .bf16_512 = 1,
                              .maddubs_256 = 1};
constexpr PortLimits kZen5 = {.name = "AMD Zen 5, two 512-bit ports",
                              .fma_512 = 2,
                              .fma_256 = 2,
                              .dot_512 = 2,
                              .dot_256 = 2,
                              .bf16_512 = 2,
                              .maddubs_256 = 1};
constexpr PortLimits kArmFour = {
    .name = "Arm core, four 128-bit ports", .fma_128 = 4, .dot_128 = 4};
constexpr PortLimits kArmTwo = {.name = "Arm core, two 128-bit ports", .fma_128 = 2, .dot_128 = 2};

struct Row {
  std::string_view vendor;
  std::uint32_t family, first_model, last_model;
  const PortLimits* limits;
};
constexpr std::array kRows = {
    Row{"GenuineIntel", 6, 0x55, 0x55, &kIntelServer},  // Skylake-SP, Cascade Lake
    Row{"GenuineIntel", 6, 0x6a, 0x6a, &kIntelServer},  // Ice Lake-SP
    Row{"GenuineIntel", 6, 0x6c, 0x6c, &kIntelServer},  // Ice Lake-D
    Row{"GenuineIntel", 6, 0x8f, 0x8f, &kIntelServer},  // Sapphire Rapids
    Row{"GenuineIntel", 6, 0xcf, 0xcf, &kIntelServer},  // Emerald Rapids
    Row{"GenuineIntel", 6, 0xad, 0xae, &kIntelServer},  // Granite Rapids
    Row{"GenuineIntel", 6, 0x66, 0x66, &kIntelClient512},
    Row{"GenuineIntel", 6, 0x7d, 0x7e, &kIntelClient512},  // Ice Lake
    Row{"GenuineIntel", 6, 0x8c, 0x8d, &kIntelClient512},  // Tiger Lake
    Row{"GenuineIntel", 6, 0xa7, 0xa7, &kIntelClient512},  // Rocket Lake
    Row{"GenuineIntel", 6, 0x4e, 0x4e, &kIntelClient},     // Skylake
    Row{"GenuineIntel", 6, 0x5e, 0x5e, &kIntelClient},
    Row{"GenuineIntel", 6, 0x8e, 0x8e, &kIntelClient},  // Kaby Lake and its children
    Row{"GenuineIntel", 6, 0x9e, 0x9e, &kIntelClient},
    Row{"GenuineIntel", 6, 0xa5, 0xa6, &kIntelClient},  // Comet Lake
    Row{"GenuineIntel", 6, 0x97, 0x97, &kIntelClient},  // Alder Lake
    Row{"GenuineIntel", 6, 0x9a, 0x9a, &kIntelClient},
    Row{"GenuineIntel", 6, 0xb7, 0xb7, &kIntelClient},  // Raptor Lake
    Row{"GenuineIntel", 6, 0xba, 0xba, &kIntelClient},
    Row{"GenuineIntel", 6, 0xbf, 0xbf, &kIntelClient},
    Row{"AuthenticAMD", 0x17, 0x30, 0xff, &kZen2},
    Row{"AuthenticAMD", 0x19, 0x00, 0x0f, &kZen2},  // Milan
    Row{"AuthenticAMD", 0x19, 0x20, 0x5f, &kZen2},  // Vermeer, Rembrandt, Cezanne
    Row{"AuthenticAMD", 0x19, 0x10, 0x1f, &kZen4},  // Genoa
    Row{"AuthenticAMD", 0x19, 0x60, 0xaf, &kZen4},  // Raphael, Phoenix, Bergamo
    Row{"AuthenticAMD", 0x1a, 0x00, 0x1f, &kZen5},  // Turin
    Row{"AuthenticAMD", 0x1a, 0x40, 0x4f, &kZen5},  // Granite Ridge
    Row{"AuthenticAMD", 0x1a, 0x20, 0x2f, &kZen4},  // Strix Point: 512 bits in two halves
    Row{"AuthenticAMD", 0x1a, 0x60, 0x6f, &kZen4},  // Krackan Point
    Row{"arm", 0x41, 0xd40, 0xd40, &kArmFour},      // Neoverse V1
    Row{"arm", 0x41, 0xd4f, 0xd4f, &kArmFour},      // Neoverse V2
    Row{"arm", 0x41, 0xd84, 0xd85, &kArmFour},      // Neoverse V3, Cortex-X925 (GB10)
    Row{"arm", 0x41, 0xd0b, 0xd0c, &kArmTwo},       // Cortex-A76 (Raspberry Pi 5), Neoverse N1
    Row{"arm", 0x41, 0xd41, 0xd41, &kArmTwo},       // Cortex-A78
    Row{"arm", 0x41, 0xd42, 0xd42, &kArmTwo},       // Cortex-A78AE (Jetson Orin)
    Row{"arm", 0x41, 0xd49, 0xd49, &kArmTwo},       // Neoverse N2
    Row{"arm", 0x61, 0x020, 0x03f, &kArmFour},      // Apple M1 and M2
};

}  // namespace

CpuIdentity read_cpu_identity(const SysRoot& sys) {
  CpuIdentity id;
  for (const std::string& line : sys.read_lines("/proc/cpuinfo")) {
    const auto number = [&](std::string_view key, std::uint32_t* out) {
      const auto text = value_of(line, key);
      const auto n = text ? parse_number(*text) : std::nullopt;
      if (!n) return false;
      // The first core speaks; on ARM the last is often the fastest, and is numbered so.
      *out = static_cast<std::uint32_t>(*n);
      return true;
    };
    if (const auto vendor = value_of(line, "vendor_id")) id.vendor = *vendor;
    if (number("cpu family", &id.family) || number("model", &id.model)) continue;
    if (number("CPU implementer", &id.family)) id.vendor = "arm";
    number("CPU part", &id.model);
  }
  return id;
}

const PortLimits* find_port_limits(const CpuIdentity& id) {
  const auto* row = std::ranges::find_if(kRows, [&](const Row& r) {
    return r.vendor == id.vendor && r.family == id.family && id.model >= r.first_model &&
           id.model <= r.last_model;
  });
  return row != kRows.end() ? row->limits : nullptr;
}

std::optional<double> instructions_per_cycle(const PortLimits& limits,
                                             std::string_view instruction) {
  const std::pair<std::string_view, double> known[] = {
      {"vfmadd zmm, FP32", limits.fma_512},
      {"vfmadd ymm, FP32", limits.fma_256},
      {"fmla 4s, FP32", limits.fma_128},
      {"vpdpbusd zmm", limits.dot_512},
      {"vpdpbusd ymm", limits.dot_256},
      {"sdot 4s", limits.dot_128},
      {"vdpbf16ps zmm", limits.bf16_512},
      {"vpmaddubsw + vpmaddwd + vpaddd ymm", limits.maddubs_256},
      {"tdpbssd", limits.tile},
      {"tdpbf16ps", limits.tile},
  };
  const auto* it =
      std::ranges::find_if(known, [&](const auto& k) { return k.first == instruction; });
  if (it == std::end(known) || it->second <= 0) return std::nullopt;
  return it->second;
}

}  // namespace probes
