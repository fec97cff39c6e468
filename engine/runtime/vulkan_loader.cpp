// SPDX-License-Identifier: MIT
// The Vulkan room. The loader is opened at run time: nothing here links it.
#include "engine/runtime/vulkan_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

namespace engine {
namespace {

// More than any machine has; a driver that says more is broken.
constexpr std::uint32_t kMaxDevices = 256;

struct LibraryCloser {
  void operator()(void* handle) const { ::dlclose(handle); }
};

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

/// A fixed-size text field; a driver may leave it without its final zero.
template <std::size_t N>
std::string text(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

hwdb::Error failed(std::string_view call, VkResult result) {
  std::string what = fmt::format("{} returned {}", call, static_cast<int>(result));
  if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
    what += ": no driver that works is installed";
    return {"probe.vulkan_driver", what, "Vulkan", "install your GPU's Vulkan driver"};
  }
  // What the loader says of a damaged driver manifest.
  if (result == VK_ERROR_OUT_OF_HOST_MEMORY) what += ": usually a damaged driver file, not memory";
  if (result == VK_ERROR_INITIALIZATION_FAILED) what += ": a driver did not start";
  return {"probe.vulkan", what, "Vulkan", ""};
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

/// The entry points that are used, all of them present.
struct Calls {
  PFN_vkDestroyInstance destroy_instance = nullptr;
  PFN_vkEnumeratePhysicalDevices enumerate_devices = nullptr;
  PFN_vkEnumerateDeviceExtensionProperties enumerate_extensions = nullptr;
  PFN_vkGetPhysicalDeviceProperties properties = nullptr;
  PFN_vkGetPhysicalDeviceProperties2 properties2 = nullptr;
  PFN_vkGetPhysicalDeviceMemoryProperties2 memory2 = nullptr;
  PFN_vkGetPhysicalDeviceFeatures2 features2 = nullptr;
};

template <class F>
bool load(PFN_vkGetInstanceProcAddr get, VkInstance instance, const char* name, F* out) {
  *out = reinterpret_cast<F>(get(instance, name));
  return *out != nullptr;
}

/// Links `next` into a chain that starts at `head`.
template <class Head, class Next>
void chain(Head* head, Next* next) {
  next->pNext = head->pNext;
  head->pNext = next;
}

class DeviceReader {
 public:
  DeviceReader(const Calls& calls, VkPhysicalDevice device) : calls_(calls), device_(device) {}

  VulkanDevice read() {
    read_extensions();
    VkPhysicalDeviceProperties basic{};
    calls_.properties(device_, &basic);
    out_.name = text(basic.deviceName);
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

  void read_extensions() {
    std::uint32_t n = 0;
    if (calls_.enumerate_extensions(device_, nullptr, &n, nullptr) != VK_SUCCESS) return;
    std::vector<VkExtensionProperties> list(std::min<std::uint32_t>(n, 4096));
    n = static_cast<std::uint32_t>(list.size());
    if (calls_.enumerate_extensions(device_, nullptr, &n, list.data()) < VK_SUCCESS) return;
    for (std::uint32_t i = 0; i < n; ++i) extensions_.push_back(text(list[i].extensionName));
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
    chain(&head, &id);
    chain(&head, &subgroup);
    chain(&head, &limits);
    if (knows_driver) chain(&head, &driver);
    if (knows_pci) chain(&head, &pci);
    calls_.properties2(device_, &head);
    out_.uuid = hex(id.deviceUUID);
    if (id.deviceLUIDValid == VK_TRUE) out_.luid = hex(id.deviceLUID);
    out_.subgroup_size = subgroup.subgroupSize;
    out_.max_allocation_bytes = limits.maxMemoryAllocationSize;
    if (knows_driver) {
      out_.driver_id = static_cast<std::uint32_t>(driver.driverID);
      out_.driver_name = text(driver.driverName);
      out_.driver_info = text(driver.driverInfo);
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
    chain(&head, &storage);
    if (api_ >= VK_API_VERSION_1_2 || has(VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME))
      chain(&head, &small);
    calls_.features2(device_, &head);
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
    if (knows_budget) chain(&head, &budget);
    calls_.memory2(device_, &head);
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

  const Calls& calls_;
  VkPhysicalDevice device_;
  std::uint32_t api_ = 0;
  std::vector<std::string> extensions_;
  VulkanDevice out_;
};

hwdb::Result<std::vector<VulkanDevice>> list_of(const Calls& calls, VkInstance instance) {
  std::uint32_t n = 0;
  VkResult result = calls.enumerate_devices(instance, &n, nullptr);
  if (result != VK_SUCCESS) return failed("vkEnumeratePhysicalDevices", result);
  std::vector<VkPhysicalDevice> handles(std::min(n, kMaxDevices));
  n = static_cast<std::uint32_t>(handles.size());
  result = calls.enumerate_devices(instance, &n, handles.data());
  if (result < VK_SUCCESS) return failed("vkEnumeratePhysicalDevices", result);
  std::vector<VulkanDevice> devices;
  for (std::uint32_t i = 0; i < n; ++i) {
    if (handles[i] != nullptr) devices.push_back(DeviceReader(calls, handles[i]).read());
  }
  return devices;
}

}  // namespace

hwdb::Result<std::vector<VulkanDevice>> list_vulkan_devices(const std::string& library) {
  std::unique_ptr<void, LibraryCloser> handle(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (handle == nullptr) {
    return hwdb::Error{"probe.vulkan_missing",
                       fmt::format("the Vulkan loader {} is not installed", library), "Vulkan",
                       "install the package libvulkan1 and your GPU's Vulkan driver"};
  }
  const auto broken = [&](std::string_view what) {
    return hwdb::Error{"probe.vulkan_loader", fmt::format("{} has no {}", library, what), "Vulkan",
                       ""};
  };
  const auto get =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(::dlsym(handle.get(), "vkGetInstanceProcAddr"));
  if (get == nullptr) return broken("vkGetInstanceProcAddr");
  PFN_vkEnumerateInstanceVersion instance_version = nullptr;
  PFN_vkCreateInstance create_instance = nullptr;
  if (!load(get, nullptr, "vkCreateInstance", &create_instance)) return broken("vkCreateInstance");
  // A loader of Vulkan 1.0 cannot be asked for what we read; none is in use any more.
  if (!load(get, nullptr, "vkEnumerateInstanceVersion", &instance_version))
    return broken("Vulkan 1.1");

  VkApplicationInfo app{};
  app.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  app.pApplicationName = "tokwatt";
  app.apiVersion = VK_API_VERSION_1_2;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &app;
  VkInstance instance = nullptr;
  const VkResult result = create_instance(&info, nullptr, &instance);
  if (result != VK_SUCCESS) return failed("vkCreateInstance", result);
  Calls calls;
  const bool complete =
      load(get, instance, "vkDestroyInstance", &calls.destroy_instance) &&
      load(get, instance, "vkEnumeratePhysicalDevices", &calls.enumerate_devices) &&
      load(get, instance, "vkEnumerateDeviceExtensionProperties", &calls.enumerate_extensions) &&
      load(get, instance, "vkGetPhysicalDeviceProperties", &calls.properties) &&
      load(get, instance, "vkGetPhysicalDeviceProperties2", &calls.properties2) &&
      load(get, instance, "vkGetPhysicalDeviceMemoryProperties2", &calls.memory2) &&
      load(get, instance, "vkGetPhysicalDeviceFeatures2", &calls.features2);
  if (!complete) return broken("entry points of Vulkan 1.1");
  auto devices = list_of(calls, instance);
  calls.destroy_instance(instance, nullptr);
  return devices;
}

}  // namespace engine
