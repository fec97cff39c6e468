// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/machine.h"

namespace probes {

/// One place for memory, as the firmware's tables (SMBIOS type 17) describe it.
struct MemoryModule {
  std::uint64_t bytes = 0;  // 0: the slot is empty
  std::string type;         // "DDR5", "LPDDR5"; "" unknown
  std::string locator, bank;
  std::uint32_t data_bits = 0;      // 0 unknown
  std::uint32_t rate_mt_per_s = 0;  // as configured, else as labelled; 0 unknown
};

/// Out of the table as the firmware wrote it. Whatever is cut short or inconsistent ends the list.
std::vector<MemoryModule> modules_from_dmi(std::string_view table);
/// Out of the properties that udev keeps of the board ("E:MEMORY_DEVICE_0_SIZE=..."), which
/// everybody may read.
std::vector<MemoryModule> modules_from_udev(const std::vector<std::string>& lines);

/// 64 bits wide channels of the whole machine; 0 when the names do not tell which modules share
/// one.
std::uint32_t channels_of(std::span<const MemoryModule> modules);

/// Type, rate, channels, filled and all slots, as far as the modules say; true when any did.
bool take_modules(std::span<const MemoryModule> modules, hwdb::MemoryInfo* memory);

}  // namespace probes
