// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "hwdb/units.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

// What stands on other disks, in memory or for removable media.
constexpr std::array<std::string_view, 10> kNoDisks = {"loop", "ram", "zram", "dm-",  "md",
                                                       "sr",   "fd",  "nbd",  "drbd", "zd"};
constexpr std::array<std::string_view, 6> kVirtualMakers = {"QEMU", "VMware",  "Msft",
                                                            "VBOX", "Virtual", "Google"};
constexpr std::uint64_t kSectorBytes = 512;  // of the size file, whatever the disk's own
constexpr std::uint64_t kMaxSectors = std::uint64_t{1} << 50;

bool starts_with_any(std::string_view name, auto& prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view p) { return name.starts_with(p); });
}

std::string kind_of(const SysRoot& sys, const std::string& name, const std::string& maker) {
  if (name.starts_with("vd") || name.starts_with("xvd") || starts_with_any(maker, kVirtualMakers))
    return "virtual";
  if (name.starts_with("nvme")) return "nvme";
  if (name.starts_with("mmcblk")) return "card";
  const auto turns = sys.read_number(fmt::format("/sys/block/{}/queue/rotational", name));
  if (!turns) return "";
  return *turns == 0 ? "ssd" : "hdd";
}

/// The last PCI device on the way to the disk; "" when it is on none.
std::string pci_address_of(const std::string& real) {
  std::string address;
  for (std::size_t at = 0; at < real.size();) {
    const std::size_t end = std::min(real.find('/', at + 1), real.size());
    const std::string_view part = std::string_view(real).substr(at + 1, end - at - 1);
    if (is_pci_address(part)) address = part;
    at = end;
  }
  return address;
}

}  // namespace

Outcome detect_disks(Scene* scene) {
  const SysRoot& sys = scene->sys;
  const std::vector<std::string> names = sys.list("/sys/block");
  if (names.empty()) return {Status::unsupported, "no disks in /sys/block"};
  std::string reason;
  for (const std::string& name : names) {
    if (starts_with_any(name, kNoDisks)) continue;
    // A partition of an eMMC chip that only firmware writes to.
    if (name.starts_with("mmcblk") && name.find("boot") != std::string::npos) continue;
    const std::string base = "/sys/block/" + name;
    const auto sectors = sys.read_number(base + "/size");
    if (!sectors || *sectors == 0 || *sectors > kMaxSectors) continue;
    hwdb::DiskInfo disk;
    disk.name = name;
    disk.size = hwdb::Bytes(*sectors * kSectorBytes);
    const std::string vendor = sys.read_text(base + "/device/vendor", 256).value_or("");
    disk.model = sys.read_text(base + "/device/model", 256).value_or("");
    if (disk.model.empty()) disk.model = sys.read_text(base + "/device/name", 256).value_or("");
    disk.kind = kind_of(sys, name, vendor + disk.model);
    if (disk.kind == "nvme") {
      const std::string address = pci_address_of(sys.resolve(base));
      if (const auto link = pcie_link_to(sys, address)) disk.link_name = link->name();
    }
    reason +=
        fmt::format("{}{} {}", reason.empty() ? "" : ", ", name, hwdb::format_bytes(disk.size));
    scene->machine.disks.push_back(std::move(disk));
  }
  if (reason.empty()) return {Status::unsupported, "only virtual block devices"};
  return {Status::ok, reason};
}

}  // namespace probes
