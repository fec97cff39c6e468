// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/runtime/cpu_features.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

struct Sign {
  std::string_view text, means;
};
// CPUID's vendor text of the hypervisor.
constexpr std::array kCpuid = {
    Sign{"KVMKVMKVM", "kvm"},           Sign{"VMwareVMware", "vmware"},
    Sign{"Microsoft Hv", "hyperv"},     Sign{"XenVMMXenVMM", "xen"},
    Sign{"VBoxVBoxVBox", "virtualbox"}, Sign{"TCGTCGTCGTCG", "qemu"},
    Sign{"bhyve bhyve ", "bhyve"},      Sign{"QNXQVMBSQG", "qnx"},
};
// DMI's maker or product.
constexpr std::array kDmi = {
    Sign{"QEMU", "kvm"},
    Sign{"KVM", "kvm"},
    Sign{"Amazon EC2", "kvm"},
    Sign{"Google Compute Engine", "kvm"},
    Sign{"VMware", "vmware"},
    Sign{"innotek", "virtualbox"},
    Sign{"VirtualBox", "virtualbox"},
    Sign{"Virtual Machine", "hyperv"},
    Sign{"Xen", "xen"},
    Sign{"Parallels", "parallels"},
};

/// "kvm", "vm" for one that does not say its name, "" for none.
std::string hypervisor(const SysRoot& sys) {
  const std::string head = sys.read_head("/proc/cpuinfo", 8192).value_or("");
  // The word stands in the flags of x86 alone; elsewhere the maker's name decides.
  const bool flagged = head.find(" hypervisor") != std::string::npos;
  if (sys.is_live()) {
    const std::string& text = engine::cpu_features().hypervisor;
    const auto* it = std::ranges::find(kCpuid, std::string_view(text), &Sign::text);
    if (it != kCpuid.end()) return std::string(it->means);
  }
  const bool x86 = head.find("flags\t") != std::string::npos;
  if (flagged || !x86) {
    for (const char* file : {"sys_vendor", "product_name"}) {
      const auto text = sys.read_text(fmt::format("/sys/class/dmi/id/{}", file), 256);
      for (const Sign& sign : kDmi) {
        if (text && text->find(sign.text) != std::string::npos) return std::string(sign.means);
      }
    }
  }
  const auto type = sys.read_text("/sys/hypervisor/type", 64);
  if (type && *type == "xen") return "xen";
  return flagged ? "vm" : "";
}

/// What made the container; "" when we are in none.
std::string container(const SysRoot& sys) {
  if (const auto kind = sys.read_text("/run/systemd/container", 64)) return *kind;
  if (sys.exists("/.dockerenv")) return "docker";
  if (sys.exists("/run/.containerenv")) return "podman";
  for (const std::string& line : sys.read_lines("/proc/self/cgroup")) {
    for (const std::string_view sign : {"docker", "kubepods", "libpod", "/lxc"}) {
      if (line.find(sign) != std::string::npos)
        return std::string(sign.substr(sign.front() == '/' ? 1 : 0));
    }
  }
  return "";
}

std::string os_name(const SysRoot& sys) {
  for (const std::string& line : sys.read_lines("/etc/os-release")) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    std::string_view name = std::string_view(line).substr(kKey.size());
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"')
      name = name.substr(1, name.size() - 2);
    return std::string(name);
  }
  return "Linux";
}

}  // namespace

Outcome detect_environment(Scene* scene) {
  const SysRoot& sys = scene->sys;
  hwdb::Machine& machine = scene->machine;
  machine.os = os_name(sys);
  const std::string release = sys.read_text("/proc/sys/kernel/osrelease", 256).value_or("");
  // Version 1 of WSL has no Linux kernel, hence no device; both name Microsoft in the release.
  const bool wsl = release.find("icrosoft") != std::string::npos &&
                   (sys.exists("/dev/dxg") || release.find("WSL2") != std::string::npos);
  const std::string vm = hypervisor(sys), box = container(sys);
  machine.environment = wsl ? "wsl2" : !box.empty() ? "container" : vm;
  std::string reason = machine.environment.empty() ? "on the hardware itself" : machine.environment;
  if (!box.empty()) reason += fmt::format(" ({})", box);
  if (!box.empty() && !vm.empty() && !wsl) reason += ", inside " + vm;
  if (!release.empty()) reason += ", kernel " + release;
  return {Status::ok, reason};
}

Outcome detect_form(Scene* scene) {
  const SysRoot& sys = scene->sys;
  std::string& form = scene->machine.form;
  const auto decide = [&](std::string_view what, std::string reason) {
    form = what;
    return Outcome{Status::ok, fmt::format("{}: {}", what, reason)};
  };
  for (const std::string& name : sys.list("/sys/class/power_supply")) {
    const std::string base = "/sys/class/power_supply/" + name;
    const auto type = sys.read_text(base + "/type", 64);
    // Batteries of mice and headsets have the scope of a device.
    const auto scope = sys.read_text(base + "/scope", 64);
    if (type && *type == "Battery" && (!scope || *scope != "Device"))
      return decide("laptop", "it has the battery " + name);
  }
  const std::string& board = scene->board;
  const auto has = [&](std::string_view word) { return board.find(word) != std::string::npos; };
  if (has("MacBook")) return decide("laptop", board);
  if (has("Mac mini")) return decide("mini", board);
  if (has("iMac") || has("Mac Studio") || has("Mac Pro")) return decide("desktop", board);
  if (!board.empty()) return decide("board", board);
  // Chassis types of the SMBIOS specification, 7.4.1.
  const auto chassis = sys.read_number("/sys/class/dmi/id/chassis_type");
  if (!chassis) return {Status::unsupported, "the firmware does not say; taken for a desktop"};
  switch (*chassis) {
    case 8:
    case 9:
    case 10:
    case 14:
    case 30:
    case 31:
    case 32:
      return decide("laptop", fmt::format("chassis type {}", *chassis));
    case 17:
    case 23:
    case 25:
    case 28:
    case 29:
      return decide("server", fmt::format("chassis type {}", *chassis));
    case 33:
    case 34:
    case 35:
    case 36:
      return decide("mini", fmt::format("chassis type {}", *chassis));
    default:
      return decide("desktop", fmt::format("chassis type {}", *chassis));
  }
}

}  // namespace probes
