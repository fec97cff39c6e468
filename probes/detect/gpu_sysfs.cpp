// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "probes/detect/scene.h"

namespace probes {
namespace {

/// Watts out of the hwmon file of a device, which counts microwatts.
std::optional<double> hwmon_watts(const SysRoot& sys, const std::string& device,
                                  std::string_view file) {
  for (const std::string& name : sys.list(device + "/hwmon")) {
    const auto micro = sys.read_number(fmt::format("{}/hwmon/{}/{}", device, name, file));
    if (micro && *micro > 0) return static_cast<double>(*micro) / 1e6;
  }
  return std::nullopt;
}

constexpr double kMegahertz = 1e6, kMaxMegahertz = 20000;

/// The highest of amdgpu's levels, "2: 2304Mhz *", in Hz.
std::optional<double> highest_level(const SysRoot& sys, const std::string& file) {
  std::optional<double> best;
  for (const std::string& line : sys.read_lines(file)) {
    const std::size_t colon = line.find(':'), unit = line.find("Mhz");
    if (colon == std::string::npos || unit == std::string::npos || unit < colon) continue;
    const auto mhz = parse_number(std::string_view(line).substr(colon + 1, unit - colon - 1));
    if (!mhz || *mhz == 0 || static_cast<double>(*mhz) > kMaxMegahertz) continue;
    best = std::max(best.value_or(0), static_cast<double>(*mhz) * kMegahertz);
  }
  return best;
}

void read_amdgpu(const SysRoot& sys, const std::string& device, GpuSighting* gpu) {
  gpu->vram_bytes = sys.read_number(device + "/mem_info_vram_total");
  gpu->vram_used_bytes = sys.read_number(device + "/mem_info_vram_used");
  gpu->gtt_bytes = sys.read_number(device + "/mem_info_gtt_total");
  gpu->kernel_name = sys.read_text(device + "/product_name", 256).value_or("");
  gpu->power_limit_watts = hwmon_watts(sys, device, "power1_cap");
  gpu->core_clock_hz = highest_level(sys, device + "/pp_dpm_sclk");
  gpu->memory_clock_hz = highest_level(sys, device + "/pp_dpm_mclk");
  // The driver makes these only for cards: a processor's own graphics has neither chips of a memory
  // maker nor a bus to count on.
  gpu->known_discrete =
      sys.exists(device + "/mem_info_vram_vendor") || sys.exists(device + "/pcie_bw");
}

void read_intel(const SysRoot& sys, const std::string& device, GpuSighting* gpu) {
  // Part of the processor is what sits on the root bus; there is no card there.
  gpu->known_discrete = gpu->link.has_value();
  gpu->power_limit_watts = hwmon_watts(sys, device, "power1_max");
  // Only some drivers say it: xe per tile, i915 out of the tree.
  gpu->vram_bytes = sys.read_number(device + "/tile0/physical_vram_size_bytes");
  for (const std::string& node : sys.list(device + "/drm")) {
    if (!gpu->vram_bytes && node.starts_with("card"))
      gpu->vram_bytes = sys.read_number(fmt::format("{}/drm/{}/lmem_total_bytes", device, node));
    // i915; xe has it below its tile.
    if (node.starts_with("card")) {
      const auto mhz = sys.read_number(fmt::format("{}/drm/{}/gt_RP0_freq_mhz", device, node));
      if (mhz && *mhz > 0 && static_cast<double>(*mhz) <= kMaxMegahertz)
        gpu->core_clock_hz = static_cast<double>(*mhz) * kMegahertz;
    }
  }
  const auto mhz = sys.read_number(device + "/tile0/gt0/freq0/rp0_freq");
  if (mhz && *mhz > 0 && static_cast<double>(*mhz) <= kMaxMegahertz)
    gpu->core_clock_hz = static_cast<double>(*mhz) * kMegahertz;
}

void read_nvidia(const SysRoot& sys, GpuSighting* gpu) {
  // The open drivers of the kernel (nouveau, nova) have no such folder.
  const std::string file = fmt::format("/proc/driver/nvidia/gpus/{}/information", gpu->pci_address);
  for (const std::string& line : sys.read_lines(file)) {
    if (const auto v = value_of(line, "Model")) gpu->kernel_name = *v;
    if (const auto v = value_of(line, "GPU UUID")) gpu->kernel_uuid = *v;
  }
}

}  // namespace

Outcome detect_gpu_sysfs(Scene* scene) {
  const SysRoot& sys = scene->sys;
  scene->nvidia_version = sys.read_text("/sys/module/nvidia/version", 64).value_or("");
  std::size_t sizes = 0;
  for (GpuSighting& gpu : scene->gpus) {
    const std::string device = "/sys/bus/pci/devices/" + gpu.pci_address;
    if (gpu.kernel_driver == "amdgpu") read_amdgpu(sys, device, &gpu);
    if (gpu.vendor_id == 0x8086) read_intel(sys, device, &gpu);
    if (gpu.vendor_id == 0x10de) read_nvidia(sys, &gpu);
    // Sizes beyond any card are damage.
    for (auto* size : {&gpu.vram_bytes, &gpu.gtt_bytes}) {
      if (*size && **size > (std::uint64_t{1} << 44)) size->reset();
    }
    sizes += gpu.vram_bytes ? 1 : 0;
  }
  if (scene->gpus.empty()) return {Status::skipped, "no GPU on the bus"};
  return {Status::ok, fmt::format("{} of {} GPUs say their memory", sizes, scene->gpus.size())};
}

}  // namespace probes
