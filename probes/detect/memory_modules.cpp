// SPDX-License-Identifier: MIT
#include "probes/detect/memory_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>

#include "hwdb/units.h"
#include "probes/detect/scene.h"
#include "probes/sys_root.h"

namespace probes {
namespace {

constexpr const char* kUdevBoard = "/run/udev/data/+dmi:id";
constexpr const char* kDmiTable = "/sys/firmware/dmi/tables/DMI";
constexpr std::size_t kMaxModules = 4096;
constexpr std::uint64_t kMaxModuleBytes = std::uint64_t{1} << 44;
constexpr std::uint32_t kMaxRate = 100000, kMaxBits = 4096;

struct TypeCode {
  std::uint8_t code;
  std::string_view name;
};
// SMBIOS 3.7, 7.18.2.
constexpr std::array kTypes = {
    TypeCode{0x12, "DDR"},    TypeCode{0x13, "DDR2"},   TypeCode{0x18, "DDR3"},
    TypeCode{0x1a, "DDR4"},   TypeCode{0x1b, "LPDDR"},  TypeCode{0x1c, "LPDDR2"},
    TypeCode{0x1d, "LPDDR3"}, TypeCode{0x1e, "LPDDR4"}, TypeCode{0x20, "HBM"},
    TypeCode{0x21, "HBM2"},   TypeCode{0x22, "DDR5"},   TypeCode{0x23, "LPDDR5"},
    TypeCode{0x24, "HBM3"},
};

/// One structure of the table: its formatted part, and the strings behind it.
class Structure {
 public:
  Structure(std::string_view formatted, std::string_view strings)
      : formatted_(formatted), strings_(strings) {}
  std::uint8_t type() const { return byte(0).value_or(0); }
  std::optional<std::uint8_t> byte(std::size_t at) const {
    if (at >= formatted_.size()) return std::nullopt;
    return static_cast<std::uint8_t>(formatted_[at]);
  }
  /// Little-endian, `n` bytes; absent in tables of older versions, which end before.
  std::optional<std::uint32_t> number(std::size_t at, std::size_t n) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto b = byte(at + i);
      if (!b) return std::nullopt;
      value |= std::uint32_t{*b} << (8 * i);
    }
    return value;
  }
  std::string text(std::size_t at) const {
    std::size_t index = byte(at).value_or(0), begin = 0;
    if (index == 0) return "";
    while (--index > 0) {
      begin = strings_.find('\0', begin);
      if (begin == std::string_view::npos) return "";
      ++begin;
    }
    if (begin >= strings_.size()) return "";
    return std::string(trim(strings_.substr(begin, strings_.find('\0', begin) - begin)));
  }

 private:
  std::string_view formatted_, strings_;
};

MemoryModule module_of(const Structure& s) {
  constexpr std::uint32_t kUnknownWord = 0xffff, kExtended = 0x7fff, kInKilobytes = 0x8000;
  MemoryModule m;
  if (const auto bits = s.number(0x0a, 2); bits && *bits <= kMaxBits) m.data_bits = *bits;
  const std::uint32_t size = s.number(0x0c, 2).value_or(0);
  if (size == kExtended) {
    m.bytes = std::uint64_t{s.number(0x1c, 4).value_or(0) & 0x7fffffff} << 20;
  } else if (size != kUnknownWord) {
    m.bytes =
        (size & kInKilobytes) != 0 ? std::uint64_t{size & 0x7fff} << 10 : std::uint64_t{size} << 20;
  }
  m.locator = s.text(0x10);
  m.bank = s.text(0x11);
  const auto* type = std::ranges::find(kTypes, s.byte(0x12).value_or(0), &TypeCode::code);
  if (type != kTypes.end()) m.type = type->name;
  const auto rate = [&](std::size_t at, std::size_t extended) {
    const std::uint32_t word = s.number(at, 2).value_or(0);
    return word == kUnknownWord ? s.number(extended, 4).value_or(0) & 0x7fffffff : word;
  };
  m.rate_mt_per_s = rate(0x20, 0x58);
  if (m.rate_mt_per_s == 0) m.rate_mt_per_s = rate(0x15, 0x54);
  return m;
}

bool plausible(const MemoryModule& m) {
  return m.bytes <= kMaxModuleBytes && m.rate_mt_per_s <= kMaxRate;
}

bool is_soldered(const MemoryModule& m) {
  return m.type.starts_with("LPDDR");
}

/// What two modules of one channel have in common in their names: "DIMM_A" of "DIMM_A1", the bank
/// where it names the channel; "" when the name is only a number.
std::string channel_name(const MemoryModule& m) {
  const auto upper = [](std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
  };
  const std::string bank = upper(m.bank);
  std::string name = upper(m.locator);
  if (bank.find("CHANNEL") != std::string::npos) return bank;
  while (!name.empty() && std::isdigit(static_cast<unsigned char>(name.back())) != 0)
    name.pop_back();
  if (name.find("CHANNEL") != std::string::npos) return name;
  const std::size_t n = name.size();
  const auto letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  const bool lone = n > 0 && letter(name[n - 1]) && (n == 1 || !letter(name[n - 2]));
  return lone && n < m.locator.size() ? name : "";
}

}  // namespace

std::vector<MemoryModule> modules_from_dmi(std::string_view table) {
  constexpr std::size_t kHead = 4;
  constexpr std::uint8_t kMemoryDevice = 17, kEnd = 127;
  std::vector<MemoryModule> modules;
  while (table.size() >= kHead && modules.size() < kMaxModules) {
    const std::size_t length = static_cast<std::uint8_t>(table[1]);
    if (length < kHead || length > table.size()) break;
    // The strings end with an empty one; without any there are two zero bytes as well.
    const std::size_t end = table.find(std::string_view("\0\0", 2), length);
    if (end == std::string_view::npos) break;
    const Structure s(table.substr(0, length), table.substr(length, end + 1 - length));
    if (s.type() == kEnd) break;
    if (s.type() == kMemoryDevice) {
      const MemoryModule m = module_of(s);
      if (plausible(m)) modules.push_back(m);
    }
    table.remove_prefix(end + 2);
  }
  return modules;
}

std::vector<MemoryModule> modules_from_udev(const std::vector<std::string>& lines) {
  constexpr std::string_view kPrefix = "E:MEMORY_DEVICE_";
  std::map<std::uint64_t, MemoryModule> modules;
  std::map<std::uint64_t, std::uint32_t> labelled;
  for (const std::string& line : lines) {
    if (!line.starts_with(kPrefix)) continue;
    const std::size_t under = line.find('_', kPrefix.size()), equals = line.find('=');
    if (under == std::string::npos || equals == std::string::npos || equals < under) continue;
    const std::string_view all = line;
    const auto slot = parse_number(all.substr(kPrefix.size(), under - kPrefix.size()));
    if (!slot || *slot >= kMaxModules) continue;
    const std::string_view key = all.substr(under + 1, equals - under - 1);
    const std::string_view value = trim(all.substr(equals + 1));
    const std::uint64_t number = parse_number(value).value_or(0);
    MemoryModule& m = modules[*slot];
    if (key == "SIZE" && number <= kMaxModuleBytes) m.bytes = number;
    if (key == "TYPE" && std::ranges::find(kTypes, value, &TypeCode::name) != kTypes.end())
      m.type = value;
    if (key == "LOCATOR") m.locator = value;
    if (key == "BANK_LOCATOR") m.bank = value;
    if (key == "DATA_WIDTH" && number <= kMaxBits) m.data_bits = static_cast<std::uint32_t>(number);
    if (key == "CONFIGURED_SPEED_MTS" && number <= kMaxRate)
      m.rate_mt_per_s = static_cast<std::uint32_t>(number);
    if (key == "SPEED_MTS" && number <= kMaxRate)
      labelled[*slot] = static_cast<std::uint32_t>(number);
  }
  std::vector<MemoryModule> out;
  for (auto& [slot, m] : modules) {
    if (m.rate_mt_per_s == 0) m.rate_mt_per_s = labelled[slot];
    out.push_back(std::move(m));
  }
  return out;
}

std::uint32_t channels_of(std::span<const MemoryModule> modules) {
  std::map<std::string, std::uint32_t> bits;  // by channel
  std::uint32_t soldered = 0;
  for (const MemoryModule& m : modules) {
    if (m.bytes == 0) continue;
    if (is_soldered(m)) {
      // Each chip has data lines of its own.
      if (m.data_bits == 0) return 0;
      soldered += m.data_bits;
      continue;
    }
    const std::string name = channel_name(m);
    if (name.empty()) return 0;
    bits[name] = std::max(bits[name], m.data_bits == 0 ? 64u : m.data_bits);
  }
  std::uint32_t sum = soldered;
  for (const auto& [name, width] : bits) sum += width;
  return sum % 64 == 0 ? sum / 64 : 0;
}

bool take_modules(std::span<const MemoryModule> modules, hwdb::MemoryInfo* memory) {
  std::uint32_t filled = 0, rate = 0;
  std::string type;
  bool mixed = false;
  for (const MemoryModule& m : modules) {
    if (m.bytes == 0) continue;
    ++filled;
    mixed = mixed || (!type.empty() && m.type != type);
    if (type.empty()) type = m.type;
    // All run at the speed of the slowest.
    if (m.rate_mt_per_s != 0) rate = rate == 0 ? m.rate_mt_per_s : std::min(rate, m.rate_mt_per_s);
  }
  if (filled == 0) return false;
  memory->modules = filled;
  memory->slots = static_cast<std::uint32_t>(modules.size());
  if (!mixed) memory->type = type;
  if (rate != 0) memory->rate_mt_per_s = rate;
  if (const std::uint32_t channels = channels_of(modules); channels != 0)
    memory->channels = channels;
  return true;
}

Outcome detect_memory_modules(Scene* scene) {
  const SysRoot& sys = scene->sys;
  std::vector<MemoryModule> modules = modules_from_udev(sys.read_lines(kUdevBoard));
  std::string_view source = "udev";
  if (modules.empty()) {
    modules = modules_from_dmi(sys.read_head(kDmiTable, SysRoot::kMaxFileBytes).value_or(""));
    source = "the firmware's tables";
  }
  hwdb::MemoryInfo& memory = scene->machine.memory;
  if (!take_modules(modules, &memory)) {
    if (sys.denied(kDmiTable))
      return {Status::not_permitted,
              fmt::format("only root may read {}, and udev keeps no copy of it", kDmiTable)};
    return {Status::unsupported, "neither the firmware nor udev describes the modules"};
  }
  std::string reason = fmt::format("{} of {} places filled", *memory.modules, *memory.slots);
  if (!memory.type.empty()) reason += fmt::format(", {}", memory.type);
  if (memory.rate_mt_per_s) reason += fmt::format(" at {} MT/s", *memory.rate_mt_per_s);
  reason += memory.channels ? fmt::format(", {} channels", *memory.channels)
                            : std::string(", channels not named");
  return {Status::ok, fmt::format("{} ({})", reason, source)};
}

}  // namespace probes
