// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/runtime/cpu_features.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

// The first processor's block is enough; on large servers the whole file takes milliseconds.
constexpr std::size_t kCpuinfoHead = 8192;

struct ArmCore {
  std::uint32_t part;
  std::string_view name;
};
// "CPU part" of implementer 0x41 (Arm), as in Linux, arch/arm64/include/asm/cputype.h.
constexpr std::array kArmCores = {
    ArmCore{0xd03, "Cortex-A53"},  ArmCore{0xd05, "Cortex-A55"},  ArmCore{0xd07, "Cortex-A57"},
    ArmCore{0xd08, "Cortex-A72"},  ArmCore{0xd09, "Cortex-A73"},  ArmCore{0xd0a, "Cortex-A75"},
    ArmCore{0xd0b, "Cortex-A76"},  ArmCore{0xd0c, "Neoverse-N1"}, ArmCore{0xd0d, "Cortex-A77"},
    ArmCore{0xd40, "Neoverse-V1"}, ArmCore{0xd41, "Cortex-A78"},  ArmCore{0xd42, "Cortex-A78AE"},
    ArmCore{0xd44, "Cortex-X1"},   ArmCore{0xd46, "Cortex-A510"}, ArmCore{0xd47, "Cortex-A710"},
    ArmCore{0xd48, "Cortex-X2"},   ArmCore{0xd49, "Neoverse-N2"}, ArmCore{0xd4d, "Cortex-A715"},
    ArmCore{0xd4e, "Cortex-X3"},   ArmCore{0xd4f, "Neoverse-V2"}, ArmCore{0xd80, "Cortex-A520"},
    ArmCore{0xd81, "Cortex-A720"}, ArmCore{0xd82, "Cortex-X4"},   ArmCore{0xd84, "Neoverse-V3"},
    ArmCore{0xd85, "Cortex-X925"}, ArmCore{0xd87, "Cortex-A725"},
};

struct SocVendor {
  std::string_view compatible, name;
};
constexpr std::array kSocVendors = {
    SocVendor{"brcm", "Broadcom"},
    SocVendor{"rockchip", "Rockchip"},
    SocVendor{"allwinner", "Allwinner"},
    SocVendor{"qcom", "Qualcomm"},
    SocVendor{"mediatek", "MediaTek"},
    SocVendor{"amlogic", "Amlogic"},
    SocVendor{"cix", "CIX"},
    SocVendor{"spacemit", "SpacemiT"},
};

/// "M1 Pro" out of "Apple MacBook Pro (14-inch, M1 Pro, 2021)"; "" when there is none.
std::string apple_chip(std::string_view model) {
  for (std::size_t at = model.find('M'); at != std::string_view::npos;
       at = model.find('M', at + 1)) {
    const std::string_view rest = model.substr(at + 1);
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0 || digits > 2) continue;
    for (const std::string_view grade : {" Pro", " Max", " Ultra"}) {
      if (rest.substr(digits).starts_with(grade))
        return fmt::format("M{}{}", rest.substr(0, digits), grade);
    }
    return fmt::format("M{}", rest.substr(0, digits));
  }
  return "";
}

/// What a device tree's board and chip are called by people; "" when it is none we know.
std::string name_of_board(const std::string& board, const std::string& compatible) {
  if (board.starts_with("Apple ")) {
    const std::string chip = apple_chip(board);
    return chip.empty() ? "" : "Apple " + chip;
  }
  if (board.find("Jetson") != std::string::npos)
    return board.substr(0, board.find(" Developer Kit")) + " CPU";
  const std::size_t comma = compatible.find(',');
  if (comma == std::string::npos) return "";
  std::string chip = compatible.substr(comma + 1);
  std::ranges::transform(chip, chip.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (board.starts_with("Raspberry Pi"))
    return fmt::format("{} ({})",
                       board.substr(0, std::min(board.find(" Model"), board.find(" Rev"))), chip);
  const auto* vendor = std::ranges::find(kSocVendors, std::string_view(compatible).substr(0, comma),
                                         &SocVendor::compatible);
  return vendor != kSocVendors.end() ? fmt::format("{} {}", vendor->name, chip) : "";
}

std::string name_of_arm_core(std::uint64_t implementer, std::uint64_t part) {
  if (implementer != 0x41) return "";
  const auto* core = std::ranges::find(kArmCores, part, &ArmCore::part);
  return core != kArmCores.end() ? "Arm " + std::string(core->name) : "";
}

/// Runs of spaces, which Intel pads its names with, become one.
std::string squeeze(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  }
  return out;
}

}  // namespace

Outcome detect_board(Scene* scene) {
  // Strings of the device tree end with a zero byte; lists have one between.
  for (const char* base : {"/proc/device-tree", "/sys/firmware/devicetree/base"}) {
    const auto model = scene->sys.read_text(fmt::format("{}/model", base), 4096);
    if (!model) continue;
    scene->board = model->substr(0, model->find('\0'));
    const auto compatible = scene->sys.read_text(fmt::format("{}/compatible", base), 4096);
    if (compatible) scene->compatible = compatible->substr(compatible->find_last_of('\0') + 1);
    return {Status::ok, scene->board};
  }
  return {Status::unsupported, "no device tree (a PC has none)"};
}

Outcome detect_cpu(Scene* scene) {
  hwdb::CpuInfo& cpu = scene->machine.cpu;
  std::string flags;
  std::uint64_t implementer = 0, part = 0;
  const std::string head = scene->sys.read_head("/proc/cpuinfo", kCpuinfoHead).value_or("");
  std::size_t at = 0;
  while (at < head.size()) {
    const std::size_t end = std::min(head.find('\n', at), head.size());
    const std::string_view line(head.data() + at, end - at);
    at = end + 1;
    if (const auto v = value_of(line, "model name"); v && cpu.name.empty()) cpu.name = squeeze(*v);
    if (const auto v = value_of(line, "flags"); v && flags.empty()) flags = *v;
    if (const auto v = value_of(line, "Features"); v && flags.empty()) flags = *v;
    if (const auto v = value_of(line, "CPU implementer"))
      implementer = parse_number(*v).value_or(0);
    // Little cores come first in most lists: the highest part number is the biggest core.
    if (const auto v = value_of(line, "CPU part"))
      part = std::max(part, parse_number(*v).value_or(0));
  }
  // The running system is asked itself: its answer knows what the system saves.
  cpu.isa = scene->sys.is_live() ? engine::cpu_features().names()
                                 : engine::features_from_cpuinfo(flags).names();
  if (const std::string name = name_of_board(scene->board, scene->compatible); !name.empty())
    cpu.name = name;
  // Arm machines with PC firmware name no processor; the maker's board does.
  const auto product = scene->sys.read_text("/sys/class/dmi/id/product_name", 256);
  if (cpu.name.empty() && product && product->find("DGX_Spark") != std::string::npos)
    cpu.name = "NVIDIA GB10";
  // Firmware names the chip by its maker's JEDEC number: NVIDIA's T241 is sold as Grace.
  const auto soc = scene->sys.read_text("/sys/devices/soc0/soc_id", 64);
  if (cpu.name.empty() && soc && *soc == "jep106:036b:0241") cpu.name = "NVIDIA Grace";
  if (cpu.name.empty()) cpu.name = name_of_arm_core(implementer, part);
  cpu.governor = scene->sys.read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", 64)
                     .value_or("");
  if (head.empty()) return {Status::error, "/proc/cpuinfo is not readable"};
  if (cpu.name.empty()) return {Status::ok, "the processor does not say its name"};
  return {Status::ok, cpu.name};
}

}  // namespace probes
