// SPDX-License-Identifier: MIT
// Private to the Vulkan room: what a VulkanCompute and its buffers and kernels share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/runtime/vulkan_compute.h"
#include "engine/runtime/vulkan_instance.h"

namespace engine {

struct VulkanQueue {
  std::uint32_t family = 0;
  std::uint32_t timestamp_bits = 0;
  VkQueue handle = nullptr;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkCommandBuffer commands = nullptr;
  VkQueryPool queries = VK_NULL_HANDLE;
};

struct VulkanDeviceState {
  std::unique_ptr<VulkanInstance> instance;
  VkPhysicalDevice physical = nullptr;
  VkDevice device = nullptr;
  VulkanDeviceCalls calls;
  PFN_vkResetQueryPool reset_queries = nullptr;  // by the host; null where the device cannot
  VulkanDevice identity;
  ComputeFeatures features;
  VkPhysicalDeviceMemoryProperties memory{};
  VulkanQueue compute, transfer;  // transfer.handle is null where it has no queue of its own
  VkFence fence = VK_NULL_HANDLE;
  bool hung = false;  // a submission never came back: nothing may be destroyed

  VulkanDeviceState() = default;
  VulkanDeviceState(const VulkanDeviceState&) = delete;
  VulkanDeviceState& operator=(const VulkanDeviceState&) = delete;
  ~VulkanDeviceState();
};

struct VulkanBuffer::State {
  std::shared_ptr<VulkanDeviceState> device;
  VkBuffer handle = VK_NULL_HANDLE;
  VkDeviceMemory memory = VK_NULL_HANDLE;
  std::uint64_t bytes = 0;
  void* mapped = nullptr;
  ~State();
};

struct VulkanKernel::State {
  std::shared_ptr<VulkanDeviceState> device;
  VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  VkPipeline pipeline = VK_NULL_HANDLE;
  std::uint32_t n_buffers = 0, push_words = 0;
  ~State();
};

/// Opens the device with every feature that is wanted here and present, and its queues.
hwdb::Status open_vulkan_device(VulkanDeviceState* state);

}  // namespace engine
