// SPDX-License-Identifier: MIT
// Private to the Vulkan room.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/runtime/vulkan_api.h"
#include "engine/runtime/vulkan_loader.h"
#include "hwdb/result.h"

namespace engine {

/// The loader, opened, with one instance. Everything made of it must be gone before it.
class VulkanInstance {
 public:
  /// `validate`: with the Khronos validation layer, whose warnings and errors are kept; error
  /// probe.vulkan_layer when it is not installed. Other errors as list_vulkan_devices.
  static hwdb::Result<std::unique_ptr<VulkanInstance>> open(const std::string& library,
                                                            bool validate);
  VulkanInstance(const VulkanInstance&) = delete;
  VulkanInstance& operator=(const VulkanInstance&) = delete;
  ~VulkanInstance();

  const VulkanInstanceCalls& calls() const { return calls_; }
  hwdb::Result<std::vector<VkPhysicalDevice>> devices() const;
  std::vector<std::string> extensions(VkPhysicalDevice device) const;
  PFN_vkVoidFunction find_call(const char* name) const { return get_(instance_, name); }
  /// What the validation layer has said so far.
  std::vector<std::string> messages() const;
  /// Leaves the instance and the library open for good: their own end could hang.
  void abandon();

 private:
  struct LibraryCloser {
    void operator()(void* handle) const;
  };
  VulkanInstance() = default;
  hwdb::Status create(const std::string& library, bool validate);
  static VKAPI_ATTR VkBool32 VKAPI_CALL take_message(
      VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
      const VkDebugUtilsMessengerCallbackDataEXT* data, void* self);

  std::unique_ptr<void, LibraryCloser> library_;
  PFN_vkGetInstanceProcAddr get_ = nullptr;
  VkInstance instance_ = nullptr;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  VulkanInstanceCalls calls_;
  mutable std::mutex mutex_;  // the layer may speak from any thread
  std::vector<std::string> messages_;
};

/// What the driver says of one device.
VulkanDevice read_vulkan_device(const VulkanInstance& instance, VkPhysicalDevice device);

}  // namespace engine
