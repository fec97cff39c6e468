// SPDX-License-Identifier: MIT
#include "engine/runtime/vulkan_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "engine/runtime/vulkan_instance.h"

namespace engine {
namespace {

// VkDriverId of what draws on the processor: SwiftShader and llvmpipe.
constexpr std::array<std::uint32_t, 2> kSoftwareDrivers = {10, 13};

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

VulkanDevice::Type type_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return VulkanDevice::Type::integrated;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return VulkanDevice::Type::discrete;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return VulkanDevice::Type::virtual_gpu;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return VulkanDevice::Type::cpu;
    default:
      return VulkanDevice::Type::other;
  }
}

class DeviceReader {
 public:
  DeviceReader(const VulkanInstance& instance, VkPhysicalDevice device)
      : calls_(instance.calls()), device_(device), extensions_(instance.extensions(device)) {}

  VulkanDevice read() {
    VkPhysicalDeviceProperties basic{};
    calls_.GetPhysicalDeviceProperties(device_, &basic);
    out_.name = vulkan_text(basic.deviceName);
    out_.type = type_of(basic.deviceType);
    out_.vendor_id = basic.vendorID;
    out_.device_id = basic.deviceID;
    out_.api_version =
        fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(basic.apiVersion),
                    VK_API_VERSION_MINOR(basic.apiVersion), VK_API_VERSION_PATCH(basic.apiVersion));
    out_.max_buffer_bytes = basic.limits.maxStorageBufferRange;
    api_ = basic.apiVersion;
    if (api_ >= VK_API_VERSION_1_1) {
      read_properties();
      read_features();
    }
    read_memory();
    return std::move(out_);
  }

 private:
  bool has(std::string_view extension) const {
    return std::ranges::find(extensions_, extension) != extensions_.end();
  }

  void read_properties() {
    VkPhysicalDeviceProperties2 head{};
    head.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    VkPhysicalDeviceIDProperties id{};
    id.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES;
    VkPhysicalDeviceSubgroupProperties subgroup{};
    subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    VkPhysicalDeviceMaintenance3Properties limits{};
    limits.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES;
    VkPhysicalDeviceDriverProperties driver{};
    driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    VkPhysicalDevicePCIBusInfoPropertiesEXT pci{};
    pci.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT;
    const bool knows_driver =
        api_ >= VK_API_VERSION_1_2 || has(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);
    const bool knows_pci = has(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
    vulkan_chain(&head, &id);
    vulkan_chain(&head, &subgroup);
    vulkan_chain(&head, &limits);
    if (knows_driver) vulkan_chain(&head, &driver);
    if (knows_pci) vulkan_chain(&head, &pci);
    calls_.GetPhysicalDeviceProperties2(device_, &head);
    out_.uuid = hex(id.deviceUUID);
    if (id.deviceLUIDValid == VK_TRUE) out_.luid = hex(id.deviceLUID);
    out_.subgroup_size = subgroup.subgroupSize;
    out_.max_allocation_bytes = limits.maxMemoryAllocationSize;
    if (knows_driver) {
      out_.driver_id = static_cast<std::uint32_t>(driver.driverID);
      out_.driver_name = vulkan_text(driver.driverName);
      out_.driver_info = vulkan_text(driver.driverInfo);
    }
    if (knows_pci) {
      out_.pci_address = fmt::format("{:04x}:{:02x}:{:02x}.{:x}", pci.pciDomain, pci.pciBus,
                                     pci.pciDevice, pci.pciFunction);
    }
  }

  void read_features() {
    VkPhysicalDeviceFeatures2 head{};
    head.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    VkPhysicalDevice16BitStorageFeatures storage{};
    storage.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    VkPhysicalDeviceShaderFloat16Int8Features small{};
    small.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES;
    vulkan_chain(&head, &storage);
    if (api_ >= VK_API_VERSION_1_2 || has(VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME))
      vulkan_chain(&head, &small);
    calls_.GetPhysicalDeviceFeatures2(device_, &head);
    out_.storage_16bit = storage.storageBuffer16BitAccess == VK_TRUE;
    out_.shader_float16 = small.shaderFloat16 == VK_TRUE;
    out_.shader_int8 = small.shaderInt8 == VK_TRUE;
  }

  void read_memory() {
    VkPhysicalDeviceMemoryProperties2 head{};
    head.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    const bool knows_budget = has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    if (knows_budget) vulkan_chain(&head, &budget);
    calls_.GetPhysicalDeviceMemoryProperties2(device_, &head);
    const auto& memory = head.memoryProperties;
    for (std::uint32_t i = 0; i < std::min(memory.memoryHeapCount, VK_MAX_MEMORY_HEAPS); ++i) {
      VulkanHeap heap;
      heap.size_bytes = memory.memoryHeaps[i].size;
      heap.device_local = (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0;
      if (knows_budget) {
        heap.budget_bytes = budget.heapBudget[i];
        heap.usage_bytes = budget.heapUsage[i];
      }
      out_.heaps.push_back(heap);
    }
  }

  const VulkanInstanceCalls& calls_;
  VkPhysicalDevice device_;
  std::vector<std::string> extensions_;
  std::uint32_t api_ = 0;
  VulkanDevice out_;
};

}  // namespace

VulkanDevice read_vulkan_device(const VulkanInstance& instance, VkPhysicalDevice device) {
  return DeviceReader(instance, device).read();
}

bool is_software_renderer(const VulkanDevice& d) {
  if (d.type == VulkanDevice::Type::cpu) return true;
  if (std::ranges::find(kSoftwareDrivers, d.driver_id) != kSoftwareDrivers.end()) return true;
  // Also by name: old drivers give no id, and some call themselves another type.
  for (const std::string_view name :
       {"llvmpipe", "lavapipe", "SwiftShader", "softpipe", "Microsoft Basic Render"}) {
    if (d.name.find(name) != std::string::npos) return true;
  }
  return false;
}

hwdb::Result<std::vector<VulkanDevice>> list_vulkan_devices(const std::string& library) {
  auto instance = VulkanInstance::open(library, false);
  if (!instance) return instance.error();
  const auto handles = (*instance)->devices();
  if (!handles) return handles.error();
  std::vector<VulkanDevice> devices;
  for (const VkPhysicalDevice handle : *handles)
    devices.push_back(read_vulkan_device(**instance, handle));
  return devices;
}

}  // namespace engine
