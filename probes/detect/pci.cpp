// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "probes/detect/scene.h"

namespace probes {
namespace {

struct Vendor {
  std::uint32_t id;
  std::string_view name;
};
// Others with the display class (ASPEED, Matrox, QXL, VMware...) only draw.
constexpr std::array kVendors = {
    Vendor{0x10de, "NVIDIA"}, Vendor{0x1002, "AMD"},      Vendor{0x8086, "Intel"},
    Vendor{0x106b, "Apple"},  Vendor{0x5143, "Qualcomm"}, Vendor{0x1ed5, "Moore Threads"},
};

constexpr std::uint64_t kDisplay = 0x03, kAccelerator = 0x12;
constexpr std::string_view kDevices = "/sys/bus/pci/devices";

/// "16.0 GT/s PCIe" → 4; 0 for anything else.
std::uint32_t generation_of(std::string_view speed) {
  constexpr std::array<std::string_view, 6> kSpeeds = {"2.5", "5.0", "8.0", "16.0", "32.0", "64.0"};
  const std::string_view number = speed.substr(0, speed.find(' '));
  for (std::uint32_t i = 0; i < kSpeeds.size(); ++i) {
    // Older kernels write "5 GT/s".
    if (number == kSpeeds[i] ||
        (kSpeeds[i].ends_with(".0") && number == kSpeeds[i].substr(0, kSpeeds[i].size() - 2)))
      return i + 1;
  }
  return 0;
}

/// The link above one device, as good as it gets: cards at rest run slower, so speed is the best
/// that the device can do, while the width is what was trained.
std::optional<PcieLink> link_above(const SysRoot& sys, const std::string& device) {
  const auto speed = sys.read_text(device + "/max_link_speed", 64);
  auto lanes = sys.read_number(device + "/current_link_width");
  // A sleeping card reads as all ones or nothing.
  if (!lanes || *lanes == 0 || *lanes > 32) lanes = sys.read_number(device + "/max_link_width");
  const std::uint32_t generation = speed ? generation_of(*speed) : 0;
  if (generation == 0 || !lanes || *lanes == 0 || *lanes > 32) return std::nullopt;
  return PcieLink{generation, static_cast<std::uint32_t>(*lanes)};
}

/// The narrowest link between a card and the processor.
std::optional<PcieLink> link_to_host(const SysRoot& sys, const std::string& address,
                                     std::uint32_t vendor) {
  const std::string real = sys.resolve(fmt::format("{}/{}", kDevices, address));
  // /sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0: every part that is an address is a device.
  std::vector<std::string> chain;
  for (std::size_t at = 0; at < real.size();) {
    const std::size_t end = std::min(real.find('/', at + 1), real.size());
    if (is_pci_address(std::string_view(real).substr(at + 1, end - at - 1)))
      chain.push_back(real.substr(0, end));
    at = end;
  }
  // On the root bus sits what is part of the processor: no link to speak of.
  if (chain.size() < 2) return std::nullopt;
  // Intel's cards say 2.5 GT/s x1 of the links inside the card: theirs ends at its upstream port.
  if (vendor == 0x8086 && chain.size() >= 4) chain.resize(chain.size() - 2);
  std::optional<PcieLink> narrowest;
  for (std::size_t i = 1; i < chain.size(); ++i) {
    std::optional<PcieLink> link = link_above(sys, chain[i]);
    if (!link) continue;
    // The port at the other end limits the speed as well.
    const auto port = sys.read_text(chain[i - 1] + "/max_link_speed", 64);
    const std::uint32_t port_generation = port ? generation_of(*port) : 0;
    if (port_generation > 0) link->generation = std::min(link->generation, port_generation);
    if (!narrowest || link->bytes_per_second() < narrowest->bytes_per_second()) narrowest = link;
  }
  return narrowest;
}

}  // namespace

bool is_pci_address(std::string_view text) {
  return std::ranges::count(text, ':') == 2 && std::ranges::count(text, '.') == 1 &&
         text.find_first_not_of("0123456789abcdef:.") == std::string_view::npos;
}

std::optional<PcieLink> pcie_link_to(const SysRoot& sys, const std::string& address) {
  if (!is_pci_address(address)) return std::nullopt;
  return link_to_host(sys, address, 0);
}

std::string_view gpu_vendor(std::uint32_t vendor_id) {
  const auto* it = std::ranges::find(kVendors, vendor_id, &Vendor::id);
  return it != kVendors.end() ? it->name : std::string_view();
}

double PcieLink::bytes_per_second() const {
  // Gigabytes a second and lane after the line code; 64 GT/s carries 242 of 256 bytes in a FLIT.
  constexpr std::array<double, 6> kLane = {2.5 * 8 / 10 / 8,     5.0 * 8 / 10 / 8,
                                           8.0 * 128 / 130 / 8,  16.0 * 128 / 130 / 8,
                                           32.0 * 128 / 130 / 8, 64.0 * 242 / 256 / 8};
  if (generation == 0 || generation > kLane.size()) return 0;
  return kLane[generation - 1] * 1e9 * lanes;
}

std::string PcieLink::name() const {
  return fmt::format("PCIe {}.0 x{}", generation, lanes);
}

bool has_gpu_node(const SysRoot& sys) {
  for (const char* node : {"/dev/kfd", "/dev/dxg", "/dev/nvidiactl", "/dev/nvhost-gpu"}) {
    if (sys.exists(node)) return true;
  }
  return std::ranges::any_of(sys.list("/dev/dri"),
                             [](const std::string& name) { return name.starts_with("renderD"); });
}

Outcome detect_pci(Scene* scene) {
  const SysRoot& sys = scene->sys;
  const std::vector<std::string> addresses = sys.list(kDevices);
  if (addresses.empty()) return {Status::unsupported, "no PCI bus"};
  std::string others;
  for (const std::string& address : addresses) {
    const std::string base = fmt::format("{}/{}", kDevices, address);
    const auto device_class = sys.read_number(base + "/class");
    const std::uint64_t major = device_class.value_or(0) >> 16;
    if (major != kDisplay && major != kAccelerator) continue;
    const auto vendor = sys.read_number(base + "/vendor"),
               device = sys.read_number(base + "/device");
    if (!vendor || !device || *vendor > 0xffff || *device > 0xffff) continue;
    const auto vendor_id = static_cast<std::uint32_t>(*vendor);
    // AMD's largest cards are accelerators by class; other vendors' of that class are no GPUs.
    if (gpu_vendor(vendor_id).empty() || (major == kAccelerator && vendor_id != 0x1002)) {
      others += fmt::format(" {:04x}:{:04x}", *vendor, *device);
      continue;
    }
    GpuSighting gpu;
    gpu.pci_address = address;
    gpu.vendor_id = vendor_id;
    gpu.device_id = static_cast<std::uint32_t>(*device);
    gpu.kernel_driver = sys.link_name(base + "/driver");
    gpu.asleep = sys.read_text(base + "/power/runtime_status", 64).value_or("") == "suspended";
    gpu.link = link_to_host(sys, address, vendor_id);
    if (const auto lanes = sys.read_number(base + "/max_link_width"); lanes && *lanes <= 32)
      gpu.max_lanes = static_cast<std::uint32_t>(*lanes);
    scene->gpus.push_back(std::move(gpu));
  }
  std::string reason =
      fmt::format("{} devices, {} of them GPUs", addresses.size(), scene->gpus.size());
  if (!others.empty()) reason += "; displays or accelerators that are no GPUs:" + others;
  return {Status::ok, reason};
}

}  // namespace probes
