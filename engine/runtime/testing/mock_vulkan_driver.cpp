// SPDX-License-Identifier: MIT
// A Vulkan driver for tests: it reports the devices of $TOKWATT_MOCK_GPUS and can do nothing else.
// One device is NAME|TYPE|VENDOR:DEVICE|PCI|HEAPS|FLAGS, devices are separated by ';':
//   TYPE   integrated, discrete, virtual or cpu
//   PCI    0000:01:00.0, or empty for a driver that does not say
//   HEAPS  MiB, with 'h' behind for a heap that is not local to the device, separated by ','
//   FLAGS  "no16" for a device without 16-bit storage, else empty
// Compiled with FAULT_<KIND> it is a broken driver instead: ABORT, HANG, NULL or BANNER.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

namespace {

struct Device {
  void* loader_magic = reinterpret_cast<void*>(0x01CDC0DE);  // the loader writes its table here
  std::vector<std::string> fields;
  std::string field(std::size_t i) const { return i < fields.size() ? fields[i] : std::string(); }
};
struct Instance {
  void* loader_magic = reinterpret_cast<void*>(0x01CDC0DE);
  std::vector<Device> devices;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo*, const VkAllocationCallbacks*,
                                    VkInstance* out) {
  auto* instance = new Instance;
  const char* text = std::getenv("TOKWATT_MOCK_GPUS");
  for (const std::string& line : split(text != nullptr ? text : "", ';'))
    instance->devices.push_back({reinterpret_cast<void*>(0x01CDC0DE), split(line, '|')});
  *out = reinterpret_cast<VkInstance>(instance);
  return VK_SUCCESS;
}

void VKAPI_CALL destroy_instance(VkInstance instance, const VkAllocationCallbacks*) {
  delete reinterpret_cast<Instance*>(instance);
}

VkResult VKAPI_CALL enumerate_devices(VkInstance instance, std::uint32_t* n,
                                      VkPhysicalDevice* out) {
  auto& devices = reinterpret_cast<Instance*>(instance)->devices;
  if (out != nullptr) {
    for (std::uint32_t i = 0; i < *n && i < devices.size(); ++i)
      out[i] = reinterpret_cast<VkPhysicalDevice>(&devices[i]);
  }
  *n = static_cast<std::uint32_t>(devices.size());
  return VK_SUCCESS;
}

VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice device, const char*, std::uint32_t* n,
                                         VkExtensionProperties* out) {
  std::vector<const char*> names = {VK_EXT_MEMORY_BUDGET_EXTENSION_NAME};
  if (!reinterpret_cast<Device*>(device)->field(3).empty())
    names.push_back(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
  for (std::uint32_t i = 0; out != nullptr && i < *n && i < names.size(); ++i) {
    out[i] = {};
    std::strncpy(out[i].extensionName, names[i], sizeof out[i].extensionName - 1);
  }
  *n = static_cast<std::uint32_t>(names.size());
  return VK_SUCCESS;
}

VkResult VKAPI_CALL enumerate_instance_extensions(const char*, std::uint32_t* n,
                                                  VkExtensionProperties*) {
  *n = 0;
  return VK_SUCCESS;
}

void VKAPI_CALL properties(VkPhysicalDevice handle, VkPhysicalDeviceProperties* out) {
  const auto& device = *reinterpret_cast<Device*>(handle);
  *out = {};
  out->apiVersion = VK_API_VERSION_1_2;
  const std::string type = device.field(1);
  out->deviceType = type == "integrated" ? VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
                    : type == "discrete" ? VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
                    : type == "virtual"  ? VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU
                    : type == "cpu"      ? VK_PHYSICAL_DEVICE_TYPE_CPU
                                         : VK_PHYSICAL_DEVICE_TYPE_OTHER;
  std::sscanf(device.field(2).c_str(), "%x:%x", &out->vendorID, &out->deviceID);
  std::strncpy(out->deviceName, device.field(0).c_str(), sizeof out->deviceName - 1);
  out->limits.maxStorageBufferRange = 0x7fffffff;
}

void VKAPI_CALL properties2(VkPhysicalDevice handle, VkPhysicalDeviceProperties2* out) {
  const auto& device = *reinterpret_cast<Device*>(handle);
  properties(handle, &out->properties);
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr;
       next = next->pNext) {
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT) {
      auto* pci = reinterpret_cast<VkPhysicalDevicePCIBusInfoPropertiesEXT*>(next);
      std::sscanf(device.field(3).c_str(), "%x:%x:%x.%x", &pci->pciDomain, &pci->pciBus,
                  &pci->pciDevice, &pci->pciFunction);
    } else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES) {
      auto* driver = reinterpret_cast<VkPhysicalDeviceDriverProperties*>(next);
      std::strncpy(driver->driverName, "mock", sizeof driver->driverName - 1);
    } else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES) {
      reinterpret_cast<VkPhysicalDeviceSubgroupProperties*>(next)->subgroupSize = 32;
    } else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES) {
      // Made of name and address, so that a device has the same through every driver.
      auto* id = reinterpret_cast<VkPhysicalDeviceIDProperties*>(next);
      const std::string text = device.field(0) + device.field(3);
      for (std::size_t i = 0; i < text.size(); ++i)
        id->deviceUUID[i % VK_UUID_SIZE] ^= static_cast<std::uint8_t>(text[i] * (i + 1));
    }
  }
}

void VKAPI_CALL memory2(VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties2* out) {
  auto& memory = out->memoryProperties;
  memory = {};
  for (const std::string& heap : split(reinterpret_cast<Device*>(handle)->field(4), ',')) {
    auto& slot = memory.memoryHeaps[memory.memoryHeapCount++];
    slot.size = std::strtoull(heap.c_str(), nullptr, 10) << 20;
    slot.flags = heap.back() == 'h' ? 0u : VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
  }
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr;
       next = next->pNext) {
    if (next->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) continue;
    auto* budget = reinterpret_cast<VkPhysicalDeviceMemoryBudgetPropertiesEXT*>(next);
    for (std::uint32_t i = 0; i < memory.memoryHeapCount; ++i)
      budget->heapBudget[i] = memory.memoryHeaps[i].size / 2;
  }
}

void VKAPI_CALL features2(VkPhysicalDevice handle, VkPhysicalDeviceFeatures2* out) {
  const bool has16 = reinterpret_cast<Device*>(handle)->field(5) != "no16";
  for (auto* next = static_cast<VkBaseOutStructure*>(out->pNext); next != nullptr;
       next = next->pNext) {
    if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES)
      reinterpret_cast<VkPhysicalDevice16BitStorageFeatures*>(next)->storageBuffer16BitAccess =
          has16 ? VK_TRUE : VK_FALSE;
  }
}

// The loader insists on these, nobody calls them.
void VKAPI_CALL nothing() {}

#if defined(FAULT_BANNER)
// Printed while the library is being opened, as some drivers do.
[[maybe_unused]] const int kBanner = std::printf("MOCK DRIVER 1.0 {\"not\": \"the message\"}\n");
#endif

}  // namespace

extern "C" {

__attribute__((visibility("default"))) PFN_vkVoidFunction vk_icdGetInstanceProcAddr(
    VkInstance, const char* name) {
#if defined(FAULT_NULL)
  static_cast<void>(name);
  return nullptr;
#else
  struct Entry {
    std::string_view name;
    PFN_vkVoidFunction function;
  };
  static const Entry kEntries[] = {
      {"vkCreateInstance", reinterpret_cast<PFN_vkVoidFunction>(create_instance)},
      {"vkDestroyInstance", reinterpret_cast<PFN_vkVoidFunction>(destroy_instance)},
      {"vkEnumeratePhysicalDevices", reinterpret_cast<PFN_vkVoidFunction>(enumerate_devices)},
      {"vkEnumerateInstanceExtensionProperties",
       reinterpret_cast<PFN_vkVoidFunction>(enumerate_instance_extensions)},
      {"vkEnumerateDeviceExtensionProperties",
       reinterpret_cast<PFN_vkVoidFunction>(enumerate_extensions)},
      {"vkGetPhysicalDeviceProperties", reinterpret_cast<PFN_vkVoidFunction>(properties)},
      {"vkGetPhysicalDeviceProperties2", reinterpret_cast<PFN_vkVoidFunction>(properties2)},
      {"vkGetPhysicalDeviceMemoryProperties2", reinterpret_cast<PFN_vkVoidFunction>(memory2)},
      {"vkGetPhysicalDeviceFeatures2", reinterpret_cast<PFN_vkVoidFunction>(features2)},
  };
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.function;
  }
  const std::string_view asked = name;
  if (asked == "vk_icdGetInstanceProcAddr" || asked.starts_with("vk_icd") ||
      asked == "vkEnumerateInstanceVersion" || asked.find("KHR") != std::string_view::npos ||
      asked.find("EXT") != std::string_view::npos)
    return nullptr;
  return reinterpret_cast<PFN_vkVoidFunction>(nothing);
#endif
}

__attribute__((visibility("default"))) VkResult vk_icdNegotiateLoaderICDInterfaceVersion(
    std::uint32_t* version) {
#if defined(FAULT_ABORT)
  std::abort();
#elif defined(FAULT_HANG)
  for (;;) ::pause();
#endif
  *version = 5;
  return VK_SUCCESS;
}

}  // extern "C"
