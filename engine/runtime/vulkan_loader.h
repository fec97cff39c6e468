// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/result.h"

namespace engine {

struct VulkanHeap {
  std::uint64_t size_bytes = 0;
  bool device_local = false;
  std::optional<std::uint64_t> budget_bytes, usage_bytes;  // absent without VK_EXT_memory_budget
};

/// What one Vulkan driver says about one device.
struct VulkanDevice {
  enum class Type { other, integrated, discrete, virtual_gpu, cpu };
  std::string name;
  Type type = Type::other;
  std::uint32_t vendor_id = 0, device_id = 0;  // PCI's where the vendor has one
  std::uint32_t driver_id = 0;                 // VkDriverId, 0 before Vulkan 1.2
  std::string driver_name, driver_info;
  std::string api_version;                 // "1.3.230"
  std::string uuid, luid;                  // hexadecimal, "" unknown
  std::string pci_address;                 // "0000:01:00.0", "" when the driver does not say
  std::uint32_t subgroup_size = 0;         // 0 before Vulkan 1.1
  std::uint64_t max_buffer_bytes = 0;      // largest storage buffer that a shader can address
  std::uint64_t max_allocation_bytes = 0;  // 0 unknown
  bool storage_16bit = false, shader_float16 = false, shader_int8 = false;
  std::vector<VulkanHeap> heaps;
};

/// Opens the Vulkan loader and asks every device. Loads vendors' drivers into this process, so only
/// a child process may call it. Errors: probe.vulkan_missing (no loader), probe.vulkan_loader (a
/// loader that does not work), probe.vulkan_driver (no driver that works), probe.vulkan (a call
/// that failed, with its result code).
hwdb::Result<std::vector<VulkanDevice>> list_vulkan_devices(
    const std::string& library = "libvulkan.so.1");

/// Whether a device draws or computes on the processor: by type, driver or name. Never a GPU.
bool is_software_renderer(const VulkanDevice& device);

}  // namespace engine
