// SPDX-License-Identifier: MIT
#include "engine/runtime/nvml_loader.h"

#include <gtest/gtest.h>

namespace engine {
namespace {

TEST(NvmlLoader, ReadsEveryCard) {
  const auto answer = list_nvml_devices(TOKWATT_MOCK_NVML);
  ASSERT_TRUE(answer.has_value()) << answer.error().what;
  EXPECT_EQ(answer->driver_version, "550.163.01");
  ASSERT_EQ(answer->devices.size(), 2u);
  const NvmlDevice& card = answer->devices[0];
  EXPECT_EQ(card.name, "NVIDIA GeForce RTX 4090");
  EXPECT_EQ(card.pci_address, "0000:01:00.0");
  EXPECT_EQ(card.pci_id, 0x268410deu);
  EXPECT_EQ(card.memory_total_bytes, 25757220864u);
  EXPECT_EQ(card.memory_free_bytes, 25000000000u);
  EXPECT_EQ(card.power_limit_watts, 450.0);
  EXPECT_EQ(card.power_watts, 21.5);
  EXPECT_TRUE(card.energy_joules.has_value());
  EXPECT_EQ(card.max_pcie_gen, 4u);
  EXPECT_EQ(card.pcie_width, 8u);
  EXPECT_EQ(card.compute_capability, "8.9");
  EXPECT_FALSE(card.mig);
}

TEST(NvmlLoader, WhatACardDoesNotSayIsAbsent) {
  const auto answer = list_nvml_devices(TOKWATT_MOCK_NVML);
  ASSERT_TRUE(answer.has_value());
  const NvmlDevice& card = answer->devices.at(1);
  EXPECT_EQ(card.pci_address, "000f:01:00.0");
  EXPECT_FALSE(card.memory_total_bytes || card.power_limit_watts || card.power_watts ||
               card.energy_joules || card.max_pcie_gen);
  EXPECT_FALSE(card.max_pcie_width) << "the library lacks the function";
  EXPECT_EQ(card.compute_capability, "12.1");
}

TEST(NvmlLoader, MissingAndWrongLibraries) {
  EXPECT_EQ(list_nvml_devices("libnot-there.so.1").error().code, "probe.nvml_missing");
  // A library that is something else has none of the functions.
  EXPECT_EQ(list_nvml_devices("libm.so.6").error().code, "probe.nvml");
}

TEST(NvmlLoader, WatchingTellsTheCounterAgainUntilNobodyListens) {
  std::vector<double> joules;
  const hwdb::Status status = watch_nvml_devices(
      [&](const NvmlAnswer& answer) {
        joules.push_back(answer.devices.at(0).energy_joules.value_or(0));
        return joules.size() < 3;
      },
      TOKWATT_MOCK_NVML);
  EXPECT_TRUE(status);
  ASSERT_EQ(joules.size(), 3u);
  EXPECT_LT(joules[0], joules[1]);
  EXPECT_LT(joules[1], joules[2]);
}

}  // namespace
}  // namespace engine
