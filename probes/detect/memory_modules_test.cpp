// SPDX-License-Identifier: MIT
#include "probes/detect/memory_modules.h"

#include <gtest/gtest.h>

namespace probes {
namespace {

/// A table of structures of type 17, byte by byte as in SMBIOS 3.7, 7.18.
class Table {
 public:
  Table& device(std::uint32_t size_word, std::uint8_t type, std::uint32_t speed,
                std::uint32_t configured, const std::string& locator, std::uint32_t extended = 0,
                std::size_t length = 0x5c) {
    std::string s(length, '\0');
    const auto put = [&](std::size_t at, std::uint32_t value, std::size_t n) {
      for (std::size_t i = 0; i < n && at + i < s.size(); ++i)
        s[at + i] = static_cast<char>(value >> (8 * i));
    };
    put(0, 17, 1);
    put(1, static_cast<std::uint32_t>(length), 1);
    put(0x0a, 64, 2);
    put(0x0c, size_word, 2);
    put(0x10, 2, 1);  // the second string
    put(0x12, type, 1);
    put(0x15, speed, 2);
    put(0x1c, extended, 4);
    put(0x20, configured, 2);
    put(0x58, 8800, 4);
    bytes_ += s + "first" + '\0' + locator + '\0' + '\0';
    return *this;
  }
  Table& other(std::uint8_t type) {
    bytes_ += std::string{static_cast<char>(type), 6, 0, 0, 1, 2} + std::string(2, '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

TEST(MemoryModules, TheFirmwaresTableIsRead) {
  const auto modules = modules_from_dmi(Table()
                                            .other(1)
                                            .device(0x4000, 0x1a, 3200, 2933, "DIMM_A1")
                                            .device(0, 0x02, 0, 0, "DIMM_A2")
                                            .device(0x7fff, 0x22, 5600, 0, "DIMM_B1", 65536)
                                            .device(0x8400, 0x22, 5600, 0xffff, "DIMM_B2")
                                            .other(127)
                                            .device(0x4000, 0x1a, 3200, 3200, "after the end")
                                            .bytes());
  ASSERT_EQ(modules.size(), 4u);
  EXPECT_EQ(modules[0].bytes, 16 * hwdb::kGiB);
  EXPECT_EQ(modules[0].type, "DDR4");
  EXPECT_EQ(modules[0].rate_mt_per_s, 2933u);  // as configured, not as labelled
  EXPECT_EQ(modules[0].locator, "DIMM_A1");
  EXPECT_EQ(modules[1].bytes, 0u);
  EXPECT_EQ(modules[2].bytes, 64 * hwdb::kGiB);
  EXPECT_EQ(modules[2].rate_mt_per_s, 5600u);
  EXPECT_EQ(modules[3].bytes, hwdb::kMiB);
  EXPECT_EQ(modules[3].rate_mt_per_s, 8800u);  // beyond 65535 MT/s the word says "see elsewhere"
}

TEST(MemoryModules, TablesCutAnywhereAreReadToTheirLastWholeStructure) {
  const std::string whole =
      Table().device(0x4000, 0x1a, 3200, 3200, "A1").device(0x4000, 0x1a, 3200, 3200, "B1").bytes();
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    const std::size_t found = modules_from_dmi(std::string_view(whole).substr(0, n)).size();
    EXPECT_EQ(found, n < whole.size() / 2 ? 0u : n < whole.size() ? 1u : 2u) << n;
  }
  EXPECT_TRUE(modules_from_dmi(std::string(64, '\0')).empty());
  EXPECT_TRUE(modules_from_dmi(std::string(4096, '\xff')).empty());
  // A structure of version 2.0 ends before the speeds.
  const auto old = modules_from_dmi(Table().device(0x0400, 0x12, 0, 0, "A0", 0, 0x15).bytes());
  ASSERT_EQ(old.size(), 1u);
  EXPECT_EQ(old[0].bytes, hwdb::kGiB);
  EXPECT_EQ(old[0].rate_mt_per_s, 0u);
}

TEST(MemoryModules, UdevsCopyIsRead) {
  const auto modules = modules_from_udev(
      {"I:1234", "E:MEMORY_ARRAY_NUM_DEVICES=2", "E:MEMORY_DEVICE_0_LOCATOR=DIMM_A1",
       "E:MEMORY_DEVICE_0_SIZE=8589934592", "E:MEMORY_DEVICE_0_TYPE=DDR4",
       "E:MEMORY_DEVICE_0_SPEED_MTS=3200", "E:MEMORY_DEVICE_1_LOCATOR=DIMM_B1",
       "E:MEMORY_DEVICE_1_PRESENT=0", "E:MEMORY_DEVICE_1_TYPE=<OUT OF SPEC>",
       "E:MEMORY_DEVICE_99999999_SIZE=5", "E:MEMORY_DEVICE_x_SIZE=5", "E:MEMORY_DEVICE_"});
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[0].bytes, 8 * hwdb::kGiB);
  EXPECT_EQ(modules[0].rate_mt_per_s, 3200u);
  EXPECT_EQ(modules[1].bytes, 0u);
  EXPECT_EQ(modules[1].type, "");
}

TEST(MemoryModules, ChannelsAreWhatTheNamesShare) {
  const auto count = [](std::vector<std::pair<const char*, const char*>> names,
                        const char* type = "DDR5", std::uint32_t bits = 64) {
    std::vector<MemoryModule> modules;
    for (const auto& [locator, bank] : names)
      modules.push_back({hwdb::kGiB, type, locator, bank, bits, 4800});
    return channels_of(modules);
  };
  EXPECT_EQ(count({{"DIMM_A1", ""}, {"DIMM_A2", ""}, {"DIMM_B1", ""}}), 2u);
  EXPECT_EQ(count({{"DIMM 0", "P0 CHANNEL A"}, {"DIMM 1", "P0 CHANNEL A"}}), 1u);
  EXPECT_EQ(count({{"ChannelA-DIMM0", "BANK 0"}, {"ChannelB-DIMM0", "BANK 2"}}), 2u);
  EXPECT_EQ(count({{"CPU1_DIMM_A1", ""}, {"CPU2_DIMM_A1", ""}}), 2u);
  EXPECT_EQ(count({{"A1", ""}, {"B1", ""}, {"C1", ""}, {"D1", ""}}), 4u);
  // Numbers alone do not tell what is shared.
  EXPECT_EQ(count({{"PROC 1 DIMM 1", ""}, {"PROC 1 DIMM 2", ""}}), 0u);
  EXPECT_EQ(count({{"DIMM 0", ""}, {"DIMM 1", ""}}), 0u);
  EXPECT_EQ(count({{"Onboard", ""}, {"Onboard", ""}}, "LPDDR5", 64), 2u);
  EXPECT_EQ(count({{"", ""}, {"", ""}, {"", ""}, {"", ""}}, "LPDDR5", 16), 1u);
  EXPECT_EQ(count({{"", ""}}, "LPDDR5", 16), 0u);
}

TEST(MemoryModules, TheSlowestSetsTheRate) {
  hwdb::MemoryInfo memory;
  EXPECT_FALSE(take_modules(std::vector<MemoryModule>{MemoryModule{}}, &memory));
  const std::vector<MemoryModule> modules = {{hwdb::kGiB, "DDR4", "A1", "", 64, 3200},
                                             {hwdb::kGiB, "DDR4", "B1", "", 64, 2666},
                                             {0, "", "B2", "", 0, 0}};
  EXPECT_TRUE(take_modules(modules, &memory));
  EXPECT_EQ(memory.rate_mt_per_s, 2666u);
  EXPECT_EQ(memory.channels, 2u);
  EXPECT_EQ(memory.modules, 2u);
  EXPECT_EQ(memory.slots, 3u);
  EXPECT_EQ(memory.type, "DDR4");
}

}  // namespace
}  // namespace probes
