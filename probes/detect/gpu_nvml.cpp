// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "engine/runtime/child_process.h"
#include "probes/child_message.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

constexpr std::uint32_t kNvidia = 0x10de;

void take(Scene* scene, const engine::NvmlDevice& device) {
  auto it = std::ranges::find_if(scene->gpus, [&](const GpuSighting& gpu) {
    return !device.pci_address.empty() && gpu.pci_address == device.pci_address;
  });
  if (it == scene->gpus.end()) {
    // WSL2 shows no PCI bus, but NVML answers there.
    GpuSighting gpu;
    gpu.pci_address = device.pci_address;
    gpu.vendor_id = kNvidia;
    gpu.device_id = device.pci_id >> 16;
    scene->gpus.push_back(std::move(gpu));
    it = std::prev(scene->gpus.end());
  }
  it->nvml = device;
  // The card's own word beats the bus where the bus is virtual.
  const std::uint32_t lanes = device.pcie_width.value_or(device.max_pcie_width.value_or(0));
  if (!it->link && device.max_pcie_gen && *device.max_pcie_gen > 0 && lanes > 0)
    it->link = PcieLink{*device.max_pcie_gen, lanes};
}

}  // namespace

Outcome detect_gpu_nvml(Scene* scene) {
  if (!scene->sys.is_live()) return {Status::skipped, "a recorded machine has no drivers to ask"};
  const auto is_nvidia = [](const GpuSighting& g) { return g.vendor_id == kNvidia; };
  const bool seen = std::ranges::any_of(scene->gpus, is_nvidia);
  if (!seen && !scene->sys.exists("/dev/nvidiactl") && !scene->sys.exists("/dev/dxg") &&
      !scene->sys.exists("/dev/nvhost-gpu"))
    return {Status::skipped, "no NVIDIA device"};
  const bool asleep = std::ranges::any_of(
      scene->gpus, [&](const GpuSighting& g) { return is_nvidia(g) && g.asleep; });
  if (asleep && !scene->options.force_vulkan)
    return {Status::skipped, "an NVIDIA GPU is asleep and is not woken just to list it"};
  engine::ChildRequest request;
  request.program =
      scene->options.child_program.empty() ? engine::own_program() : scene->options.child_program;
  request.arguments = {"--probe-child", "nvml"};
  request.deadline_seconds = scene->options.deadline_seconds;
  const engine::ChildOutcome child = engine::run_child(request);
  // A whole message counts even if the library then falls over its own end.
  const NvmlResult answer = read_nvml_message(child.message);
  if (!answer && !child.ok()) return {Status::error, "its process " + child.describe()};
  if (!answer) {
    const bool missing = answer.error().code == "probe.nvml_missing";
    return {missing ? Status::unsupported : Status::error, answer.error().what};
  }
  if (!answer->driver_version.empty()) scene->nvidia_version = answer->driver_version;
  for (const engine::NvmlDevice& device : answer->devices) take(scene, device);
  return {Status::ok,
          fmt::format("{} GPUs, driver {}", answer->devices.size(), answer->driver_version)};
}

}  // namespace probes
