// SPDX-License-Identifier: MIT
#include "hwdb/machine_identity.h"

#include <gtest/gtest.h>

namespace hwdb {
namespace {

Machine rig() {
  Machine m;
  m.cpu.name = "AMD Ryzen 9 7950X";
  m.cpu.threads = 32;
  m.cpu.usable_threads = 32;
  m.cpu.governor = "performance";
  m.memory.total = {Bytes(64 * kGiB), Basis::detected, "", ""};
  GpuInfo gpu;
  gpu.name = "NVIDIA GeForce RTX 4090";
  gpu.pci_id = "10de:2684";
  gpu.pci_address = "0000:01:00.0";
  gpu.driver = "NVIDIA 550.107.02";
  m.gpus = {gpu};
  return m;
}

std::vector<std::string> differences(const Machine& here, const Machine& stored) {
  return fingerprint_differences(machine_fingerprint(here), machine_fingerprint(stored));
}

TEST(MachineIdentity, TheKeyFollowsTheHardwareOnly) {
  Machine other = rig();
  other.gpus[0].driver = "NVIDIA 560.1";
  other.cpu.governor = "powersave";
  other.memory.total.value = Bytes(128 * kGiB);
  other.memory.bandwidth = {BytesPerSecond(7e10), Basis::measured, "", ""};
  EXPECT_EQ(machine_key(rig()), machine_key(other));
  other.gpus[0].pci_address = "0000:02:00.0";
  EXPECT_NE(machine_key(rig()), machine_key(other));
  EXPECT_EQ(machine_key(rig()).find_first_not_of("abcdefghimn-0123456789"), std::string::npos);
}

TEST(MachineIdentity, WhatMeasurementsDependOnIsADifference) {
  EXPECT_TRUE(differences(rig(), rig()).empty());
  Machine driver = rig(), governor = rig(), memory = rig(), threads = rig(), gone = rig();
  driver.gpus[0].driver = "NVIDIA 560.35.03";
  governor.cpu.governor = "powersave";
  memory.memory.total.value = Bytes(32 * kGiB);
  threads.cpu.usable_threads = 4;
  gone.gpus.clear();
  ASSERT_EQ(differences(driver, rig()).size(), 1u);
  EXPECT_EQ(differences(driver, rig())[0], "GPU 1 driver: NVIDIA 560.35.03, was NVIDIA 550.107.02");
  EXPECT_EQ(differences(governor, rig()).size(), 1u);
  EXPECT_EQ(differences(memory, rig()).size(), 1u);
  EXPECT_EQ(differences(threads, rig()).size(), 1u);
  ASSERT_FALSE(differences(gone, rig()).empty());
  EXPECT_FALSE(differences(rig(), gone).empty());
}

TEST(MachineIdentity, WhatMeansNothingIsNoDifference) {
  Machine kernel = rig(), asleep = rig();
  kernel.memory.total.value = Bytes(64 * kGiB - 900 * kMiB);
  EXPECT_TRUE(differences(kernel, rig()).empty());
  asleep.gpus[0].driver = "amdgpu";  // the driver proper was not asked
  EXPECT_TRUE(differences(asleep, rig()).empty());
  EXPECT_TRUE(differences(rig(), asleep).empty());
}

TEST(MachineIdentity, DamagedFingerprintsDiffer) {
  for (const char* text : {"", "nonsense", "processor: \n", "\n\n: :\n"})
    EXPECT_FALSE(fingerprint_differences(machine_fingerprint(rig()), text).empty()) << text;
}

}  // namespace
}  // namespace hwdb
