// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "engine/runtime/child_process.h"
#include "probes/child_message.h"
#include "probes/detect/scene.h"

namespace probes {
namespace {

using engine::VulkanDevice;

bool same_device(const GpuSighting& gpu, const VulkanDevice& d) {
  if (!d.pci_address.empty() && !gpu.pci_address.empty()) return gpu.pci_address == d.pci_address;
  // Without an address on both sides: one driver's answer beside another's for the same device.
  if (gpu.vulkan && !gpu.vulkan->luid.empty() && gpu.vulkan->luid == d.luid) return true;
  return gpu.vulkan && !d.uuid.empty() && gpu.vulkan->uuid == d.uuid;
}

/// The device in the list; the end when it is new. A driver that does not say the address means the
/// one card of that id, when there is just one.
std::vector<GpuSighting>::iterator find_sighting(Scene* scene, const VulkanDevice& d) {
  auto& gpus = scene->gpus;
  auto it = std::ranges::find_if(gpus, [&](const GpuSighting& g) { return same_device(g, d); });
  if (it != gpus.end() || !d.pci_address.empty()) return it;
  const auto same_id = [&](const GpuSighting& g) {
    return g.vendor_id == d.vendor_id && g.device_id == d.device_id && !g.pci_address.empty();
  };
  if (std::ranges::count_if(gpus, same_id) == 1) return std::ranges::find_if(gpus, same_id);
  return gpus.end();
}

std::uint64_t local_bytes(const VulkanDevice& d) {
  std::uint64_t sum = 0;
  for (const auto& heap : d.heaps) sum += heap.device_local ? heap.size_bytes : 0;
  return sum;
}

void take(Scene* scene, const VulkanDevice& d) {
  if (engine::is_software_renderer(d)) {
    const auto known = [&](const hwdb::Renderer& r) { return r.name == d.name; };
    auto& list = scene->machine.software_renderers;
    if (std::ranges::none_of(list, known)) list.push_back({d.name, d.driver_name});
    return;
  }
  auto it = find_sighting(scene, d);
  if (it == scene->gpus.end()) {
    // Every backend that runs on Vulkan alone needs 16-bit values in buffers.
    if (!d.storage_16bit) {
      scene->machine.notes.push_back(fmt::format(
          "{} is left out: its driver has no 16-bit storage, which language models need.", d.name));
      return;
    }
    GpuSighting gpu;
    gpu.pci_address = d.pci_address;
    gpu.vendor_id = d.vendor_id;
    gpu.device_id = d.device_id;
    gpu.vulkan = d;
    scene->gpus.push_back(std::move(gpu));
  } else if (!it->vulkan || local_bytes(d) > local_bytes(*it->vulkan)) {
    // One card through two drivers is one: the driver that offers more memory speaks for it.
    it->vulkan = d;
  }
}

struct Attempt {
  VulkanAnswer answer = hwdb::Error{};
  std::string failure;   // "" when there is an answer
  bool missing = false;  // there is no loader or no driver to ask
};

/// One child; `manifest` restricts it to one driver, "" is all of them.
Attempt ask(const DetectOptions& options, const std::string& manifests, double deadline_seconds) {
  engine::ChildRequest request;
  request.program = options.child_program.empty() ? engine::own_program() : options.child_program;
  request.arguments = {"--probe-child", "vulkan"};
  request.deadline_seconds = deadline_seconds;
  // Layers that came with other programs (overlays, recorders) have no business here.
  request.environment = {{"VK_LOADER_LAYERS_DISABLE", "~implicit~"}};
  if (!manifests.empty()) {
    request.environment.emplace_back("VK_DRIVER_FILES", manifests);
    request.environment.emplace_back("VK_ICD_FILENAMES", manifests);  // its name before 2022
  }
  // llvmpipe brings LLVM along, which takes longer to load than all else together.
  if (!options.force_vulkan)
    request.environment.emplace_back("VK_LOADER_DRIVERS_DISABLE", "*lvp_icd*,*swiftshader*");
  const engine::ChildOutcome child = engine::run_child(request);
  Attempt attempt;
  attempt.answer = read_vulkan_message(child.message);
  if (attempt.answer) return attempt;  // whole, even if a driver then fell over its own end
  const std::string& code = attempt.answer.error().code;
  attempt.missing = code == "probe.vulkan_missing" || code == "probe.vulkan_driver";
  attempt.failure = child.ok() ? attempt.answer.error().what : "its process " + child.describe();
  return attempt;
}

/// A render node that this user may not open; "" when there is none.
std::string closed_node(const SysRoot& sys) {
  for (const std::string& name : sys.list("/dev/dri")) {
    const std::string path = "/dev/dri/" + name;
    if (name.starts_with("renderD") && sys.denied(path)) return path;
  }
  return "";
}

std::string joined(const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) out += (out.empty() ? "" : ":") + path;
  return out;
}

/// Asks each driver by itself after all together failed, so that one broken file hides no device.
Outcome ask_one_by_one(Scene* scene, const std::string& first_failure) {
  const DetectOptions& options = scene->options;
  const auto manifests =
      options.vulkan_drivers.empty() ? vulkan_manifests(scene->sys) : options.vulkan_drivers;
  if (manifests.size() < 2) return {Status::error, first_failure};
  std::size_t answered = 0;
  std::string culprits;
  for (const std::string& manifest : manifests) {
    Attempt attempt = ask(options, manifest, std::min(options.deadline_seconds, 5.0));
    DetectStep step{"vulkan driver " + manifest, std::string(to_string(Status::ok)), "", 0};
    if (attempt.answer) {
      ++answered;
      for (const VulkanDevice& d : *attempt.answer) take(scene, d);
      step.reason = fmt::format("{} devices", attempt.answer->size());
    } else {
      step.status = to_string(Status::error);
      step.reason = attempt.failure;
      culprits += fmt::format(" {} ({})", manifest, attempt.failure);
    }
    scene->extra_steps.push_back(std::move(step));
  }
  if (culprits.empty()) culprits = " none alone";
  const std::string reason =
      fmt::format("all drivers together: {}; one at a time {} of {} answered; at fault:{}",
                  first_failure, answered, manifests.size(), culprits);
  return {answered > 0 ? Status::ok : Status::error, reason};
}

}  // namespace

Outcome detect_gpu_vulkan(Scene* scene) {
  const DetectOptions& options = scene->options;
  if (!scene->sys.is_live()) return {Status::skipped, "a recorded machine has no drivers to ask"};
  if (!options.ask_vulkan) return {Status::skipped, "not asked for"};
  if (!options.force_vulkan) {
    if (scene->gpus.empty() && !has_gpu_node(scene->sys))
      return {Status::skipped, "no GPU device node; only a software renderer could answer"};
    if (std::ranges::any_of(scene->gpus, &GpuSighting::asleep))
      return {Status::skipped, "a GPU is asleep and is not woken just to list it"};
    const auto complete = [](const GpuSighting& g) {
      return g.nvml && !g.nvml->name.empty() && g.nvml->memory_total_bytes;
    };
    if (!scene->gpus.empty() && std::ranges::all_of(scene->gpus, complete))
      return {Status::skipped, "NVML has answered for every GPU"};
  }
  Attempt all = ask(options, joined(options.vulkan_drivers), options.deadline_seconds);
  if (all.missing) return {Status::unsupported, all.failure};
  if (!all.answer) return ask_one_by_one(scene, all.failure);
  for (const VulkanDevice& d : *all.answer) take(scene, d);
  const std::string closed = closed_node(scene->sys);
  const bool answered =
      std::ranges::any_of(scene->gpus, [](const GpuSighting& g) { return g.vulkan.has_value(); });
  if (!answered && !closed.empty())
    return {Status::not_permitted, closed + " may not be opened; join the group render"};
  return {Status::ok, fmt::format("{} devices, {} of them software", all.answer->size(),
                                  scene->machine.software_renderers.size())};
}

}  // namespace probes
