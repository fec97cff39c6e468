// SPDX-License-Identifier: MIT
#include "engine/runtime/vulkan_instance.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>

namespace engine {
namespace {

// More than any machine has; a driver that says more is broken.
constexpr std::uint32_t kMaxDevices = 256;
constexpr std::size_t kMaxMessages = 1000;
constexpr const char* kValidationLayer = "VK_LAYER_KHRONOS_validation";

template <class F>
bool load(PFN_vkGetInstanceProcAddr get, VkInstance instance, const char* name, F* out) {
  *out = reinterpret_cast<F>(get(instance, name));
  return *out != nullptr;
}

bool has_layer(PFN_vkGetInstanceProcAddr get, std::string_view layer) {
  PFN_vkEnumerateInstanceLayerProperties list = nullptr;
  if (!load(get, nullptr, "vkEnumerateInstanceLayerProperties", &list)) return false;
  std::uint32_t n = 0;
  if (list(&n, nullptr) != VK_SUCCESS) return false;
  std::vector<VkLayerProperties> layers(std::min<std::uint32_t>(n, 1024));
  n = static_cast<std::uint32_t>(layers.size());
  if (list(&n, layers.data()) < VK_SUCCESS) return false;
  layers.resize(n);
  return std::ranges::any_of(
      layers, [&](const VkLayerProperties& l) { return vulkan_text(l.layerName) == layer; });
}

}  // namespace

hwdb::Error vulkan_failed(std::string_view call, VkResult result) {
  std::string what = fmt::format("{} returned {}", call, static_cast<int>(result));
  switch (result) {
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      what += ": no driver that works is installed";
      return {"probe.vulkan_driver", what, "Vulkan", "install your GPU's Vulkan driver"};
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      // What the loader says of a damaged driver manifest.
      what += ": usually a damaged driver file, not memory";
      break;
    case VK_ERROR_INITIALIZATION_FAILED:
      what += ": a driver did not start";
      break;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return {"probe.gpu_memory", what + ": the device has no memory left", "Vulkan",
              "close other programs that use the GPU"};
    case VK_ERROR_DEVICE_LOST:
      return {"probe.gpu_lost", what + ": the device was lost", "Vulkan",
              "see the kernel log (dmesg)"};
    default:
      break;
  }
  return {"probe.vulkan", what, "Vulkan", ""};
}

void VulkanInstance::LibraryCloser::operator()(void* handle) const {
  ::dlclose(handle);
}

hwdb::Result<std::unique_ptr<VulkanInstance>> VulkanInstance::open(const std::string& library,
                                                                   bool validate) {
  std::unique_ptr<VulkanInstance> instance(new VulkanInstance);
  const hwdb::Status status = instance->create(library, validate);
  if (!status) return status.error();
  return instance;
}

hwdb::Status VulkanInstance::create(const std::string& library, bool validate) {
  library_.reset(::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library_ == nullptr) {
    return hwdb::Error{"probe.vulkan_missing",
                       fmt::format("the Vulkan loader {} is not installed", library), "Vulkan",
                       "install the package libvulkan1 and your GPU's Vulkan driver"};
  }
  const auto broken = [&](std::string_view what) {
    return hwdb::Error{"probe.vulkan_loader", fmt::format("{} has no {}", library, what), "Vulkan",
                       ""};
  };
  get_ =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(::dlsym(library_.get(), "vkGetInstanceProcAddr"));
  if (get_ == nullptr) return broken("vkGetInstanceProcAddr");
  PFN_vkEnumerateInstanceVersion instance_version = nullptr;
  PFN_vkCreateInstance create_instance = nullptr;
  if (!load(get_, nullptr, "vkCreateInstance", &create_instance)) return broken("vkCreateInstance");
  // A loader of Vulkan 1.0 cannot be asked for what we read; none is in use any more.
  if (!load(get_, nullptr, "vkEnumerateInstanceVersion", &instance_version))
    return broken("Vulkan 1.1");

  VkApplicationInfo app{};
  app.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
  app.pApplicationName = "tokwatt";
  app.apiVersion = VK_API_VERSION_1_2;
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &app;
  VkDebugUtilsMessengerCreateInfoEXT listener{};
  listener.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT;
  listener.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                             VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  listener.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                         VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
  listener.pfnUserCallback = take_message;
  listener.pUserData = this;
  const char* const layer = kValidationLayer;
  const char* const extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  if (validate) {
    if (!has_layer(get_, kValidationLayer)) {
      return hwdb::Error{"probe.vulkan_layer", fmt::format("{} is not installed", kValidationLayer),
                         "Vulkan", "install the package vulkan-validationlayers"};
    }
    info.enabledLayerCount = info.enabledExtensionCount = 1;
    info.ppEnabledLayerNames = &layer;
    info.ppEnabledExtensionNames = &extension;
    info.pNext = &listener;
  }
  const VkResult result = create_instance(&info, nullptr, &instance_);
  if (result != VK_SUCCESS) {
    instance_ = nullptr;
    return vulkan_failed("vkCreateInstance", result);
  }
#define TOKWATT_VULKAN_LOAD(name) \
  if (!load(get_, instance_, "vk" #name, &calls_.name)) return broken("vk" #name);
  TOKWATT_VULKAN_INSTANCE_CALLS(TOKWATT_VULKAN_LOAD)
#undef TOKWATT_VULKAN_LOAD
  if (validate) {
    PFN_vkCreateDebugUtilsMessengerEXT create_messenger = nullptr;
    if (load(get_, instance_, "vkCreateDebugUtilsMessengerEXT", &create_messenger))
      create_messenger(instance_, &listener, nullptr, &messenger_);
  }
  return hwdb::Ok{};
}

VulkanInstance::~VulkanInstance() {
  if (instance_ == nullptr) return;
  PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger = nullptr;
  if (messenger_ != VK_NULL_HANDLE &&
      load(get_, instance_, "vkDestroyDebugUtilsMessengerEXT", &destroy_messenger))
    destroy_messenger(instance_, messenger_, nullptr);
  if (calls_.DestroyInstance != nullptr) calls_.DestroyInstance(instance_, nullptr);
}

void VulkanInstance::abandon() {
  instance_ = nullptr;
  static_cast<void>(library_.release());
}

hwdb::Result<std::vector<VkPhysicalDevice>> VulkanInstance::devices() const {
  std::uint32_t n = 0;
  VkResult result = calls_.EnumeratePhysicalDevices(instance_, &n, nullptr);
  if (result != VK_SUCCESS) return vulkan_failed("vkEnumeratePhysicalDevices", result);
  std::vector<VkPhysicalDevice> handles(std::min(n, kMaxDevices));
  n = static_cast<std::uint32_t>(handles.size());
  result = calls_.EnumeratePhysicalDevices(instance_, &n, handles.data());
  if (result < VK_SUCCESS) return vulkan_failed("vkEnumeratePhysicalDevices", result);
  handles.resize(std::min<std::size_t>(n, handles.size()));
  std::erase(handles, nullptr);
  return handles;
}

std::vector<std::string> VulkanInstance::extensions(VkPhysicalDevice device) const {
  std::uint32_t n = 0;
  if (calls_.EnumerateDeviceExtensionProperties(device, nullptr, &n, nullptr) != VK_SUCCESS)
    return {};
  std::vector<VkExtensionProperties> list(std::min<std::uint32_t>(n, 4096));
  n = static_cast<std::uint32_t>(list.size());
  if (calls_.EnumerateDeviceExtensionProperties(device, nullptr, &n, list.data()) < VK_SUCCESS)
    return {};
  list.resize(std::min<std::size_t>(n, list.size()));
  std::vector<std::string> names;
  for (const auto& e : list) names.push_back(vulkan_text(e.extensionName));
  return names;
}

std::vector<std::string> VulkanInstance::messages() const {
  const std::lock_guard lock(mutex_);
  return messages_;
}

VKAPI_ATTR VkBool32 VKAPI_CALL VulkanInstance::take_message(
    VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
    const VkDebugUtilsMessengerCallbackDataEXT* data, void* self) {
  auto* instance = static_cast<VulkanInstance*>(self);
  const std::lock_guard lock(instance->mutex_);
  if (data != nullptr && data->pMessage != nullptr && instance->messages_.size() < kMaxMessages)
    instance->messages_.emplace_back(data->pMessage);
  return VK_FALSE;
}

}  // namespace engine
