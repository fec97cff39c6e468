// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/nvml_loader.h"
#include "engine/runtime/vulkan_loader.h"
#include "hwdb/machine.h"
#include "probes/detect_machine.h"
#include "probes/sys_root.h"

namespace probes {

enum class Status { ok, unsupported, not_permitted, skipped, error };
std::string_view to_string(Status status);

/// What a detector says of itself. `reason` may explain an ok as well.
struct Outcome {
  Status status = Status::ok;
  std::string reason;
};

/// One way from the host to a card.
struct PcieLink {
  std::uint32_t generation = 0, lanes = 0;
  /// One way, after the line code (8b/10b, 128b/130b, and FLIT from generation 6).
  double bytes_per_second() const;
  std::string name() const;  // "PCIe 4.0 x16"
};

/// One GPU as the different sources saw it; joined by PCI address. What a source did not say is
/// absent.
struct GpuSighting {
  std::string pci_address;  // "" for one that is not on PCI
  std::uint32_t vendor_id = 0, device_id = 0;
  std::string kernel_driver;  // "amdgpu", "nvidia", "i915"...
  bool asleep = false;        // switched off by runtime power management
  std::optional<PcieLink> link;
  // The kernel driver's files.
  std::string kernel_name, kernel_uuid, kernel_version;
  std::optional<std::uint64_t> vram_bytes, vram_used_bytes, gtt_bytes;
  std::optional<double> power_limit_watts;
  bool known_discrete = false;  // the driver has files that only cards of their own have
  // The vendors' libraries.
  std::optional<engine::NvmlDevice> nvml;
  std::optional<engine::VulkanDevice> vulkan;
};

/// What the detectors work on, in order; each adds what it finds.
struct Scene {
  const SysRoot& sys;
  const DetectOptions& options;
  hwdb::Machine machine;
  std::vector<GpuSighting> gpus;
  std::string board;                    // the device tree's model, "" on PCs
  std::string compatible;               // the device tree's most general name, "brcm,bcm2712"
  std::string nvidia_version;           // of the driver, "" unknown
  std::vector<DetectStep> extra_steps;  // for parts of a detector: single drivers
};

/// One entry of the list in detect_machine.cpp.
struct Detector {
  const char* name;
  Outcome (*run)(Scene*);
};

Outcome detect_board(Scene* scene);        // device tree: Raspberry Pi, Jetson, Apple
Outcome detect_cpu(Scene* scene);          // name and instruction sets
Outcome detect_memory(Scene* scene);       // size and what is free
Outcome detect_topology(Scene* scene);     // packages, cores, kinds, caches, NUMA: the hwloc room
Outcome detect_limits(Scene* scene);       // cgroup, affinity
Outcome detect_environment(Scene* scene);  // system, hypervisor, container, WSL
Outcome detect_form(Scene* scene);         // battery, chassis
Outcome detect_pci(Scene* scene);          // display devices on the bus, and their links
Outcome detect_gpu_sysfs(Scene* scene);    // what amdgpu, i915, xe and nvidia say in files
Outcome detect_gpu_nvml(Scene* scene);     // in a child process
Outcome detect_gpu_vulkan(Scene* scene);   // in a child process
Outcome join_gpus(Scene* scene);           // sightings → Machine.gpus

/// Whether the machine has any device node through which a GPU driver could answer.
bool has_gpu_node(const SysRoot& sys);
/// The manifests of all Vulkan drivers that are installed for everyone.
std::vector<std::string> vulkan_manifests(const SysRoot& sys);
/// Vendors whose display devices can compute: PCI vendor id → name; "" for all others.
std::string_view gpu_vendor(std::uint32_t vendor_id);

}  // namespace probes
