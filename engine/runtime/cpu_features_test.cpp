// SPDX-License-Identifier: MIT
#include "engine/runtime/cpu_features.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>

namespace engine {
namespace {

// A processor with everything that we ask for, as CPUID would say it.
struct FakeCpu {
  std::map<std::pair<std::uint32_t, std::uint32_t>, CpuidRegisters> leaves;
  std::uint64_t xcr0 = 0xe6 | 0x60000;
  FakeCpu() {
    leaves[{0, 0}] = {31, 0, 0, 0};
    leaves[{1, 0}] = {0, 0, 1u << 12 | 1u << 20 | 1u << 27 | 1u << 28 | 1u << 29, 0};
    leaves[{7, 0}] = {1, 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, 1u << 11,
                      1u << 22 | 1u << 23 | 1u << 24 | 1u << 25};
    leaves[{7, 1}] = {1u << 4 | 1u << 5, 0, 0, 0};
  }
  CpuFeatures read() const {
    return features_from_cpuid(
        [this](std::uint32_t leaf, std::uint32_t sub) {
          const auto it = leaves.find({leaf, sub});
          return it != leaves.end() ? it->second : CpuidRegisters{};
        },
        [this] { return xcr0; });
  }
};

TEST(CpuFeatures, ReadsEveryBit) {
  const CpuFeatures f = FakeCpu().read();
  const std::vector<std::string> expected = {
      "sse4_2",   "avx",      "avx2",     "fma",         "f16c",        "avx512f",
      "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
      "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"};
  EXPECT_EQ(f.names(), expected);
  EXPECT_EQ(f.hypervisor, "");
}

TEST(CpuFeatures, StateThatTheSystemDoesNotSaveIsNotOffered) {
  FakeCpu cpu;
  cpu.xcr0 = 0x7;  // no ZMM, no tiles
  CpuFeatures f = cpu.read();
  EXPECT_TRUE(f.avx2 && f.fma && f.avx_vnni);
  EXPECT_FALSE(f.avx512f || f.avx512_vnni || f.avx512_bf16 || f.amx_tile || f.amx_int8);
  cpu.xcr0 = 0x1;
  f = cpu.read();
  EXPECT_EQ(f.names(), std::vector<std::string>{"sse4_2"});
  cpu.xcr0 = 0xe6;  // ZMM but no tiles
  f = cpu.read();
  EXPECT_TRUE(f.avx512f);
  EXPECT_FALSE(f.amx_tile || f.amx_bf16);
}

TEST(CpuFeatures, WithoutXsaveXcr0IsNeverRead) {
  FakeCpu cpu;
  cpu.leaves[{1, 0}].ecx &= ~(1u << 27);
  const CpuFeatures f = features_from_cpuid(
      [&](std::uint32_t leaf, std::uint32_t sub) {
        return cpu.leaves[{leaf, sub}];
      },
      []() -> std::uint64_t {
        ADD_FAILURE() << "xgetbv would fault here";
        return ~0ull;
      });
  EXPECT_EQ(f.names(), std::vector<std::string>{"sse4_2"});
}

TEST(CpuFeatures, OldProcessorsWithoutTheLeaves) {
  FakeCpu cpu;
  cpu.leaves[{0, 0}].eax = 1;  // no leaf 7: what a wrong read returns must not count
  EXPECT_FALSE(cpu.read().avx2);
  cpu.leaves[{0, 0}].eax = 31;
  cpu.leaves[{7, 0}].eax = 0;  // no subleaf 1
  EXPECT_FALSE(cpu.read().avx_vnni);
}

TEST(CpuFeatures, HypervisorVendor) {
  FakeCpu cpu;
  cpu.leaves[{1, 0}].ecx |= 1u << 31;
  cpu.leaves[{0x40000000, 0}] = {0, 0x4b4d564b, 0x564b4d56, 0x4d};
  EXPECT_EQ(cpu.read().hypervisor, "KVMKVMKVM");
}

TEST(CpuFeatures, Aarch64Words) {
  const CpuFeatures f = features_from_hwcap(1u << 1 | 1u << 10 | 1u << 20, 1u << 13 | 1u << 14);
  const std::vector<std::string> expected = {"neon", "neon_fp16", "neon_dotprod", "neon_i8mm",
                                             "bf16"};
  EXPECT_EQ(f.names(), expected);
  EXPECT_TRUE(features_from_hwcap(0, 0).names().empty());
}

TEST(CpuFeatures, CpuinfoSaysTheSameAsTheProcessor) {
#if defined(__x86_64__)
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  while (std::getline(in, line) && line.rfind("flags", 0) != 0) {
  }
  if (line.empty()) GTEST_SKIP() << "no /proc/cpuinfo here";
  EXPECT_EQ(features_from_cpuinfo(line).names(), cpu_features().names());
#else
  GTEST_SKIP() << "compares CPUID, which only x86 has";
#endif
}

}  // namespace
}  // namespace engine
