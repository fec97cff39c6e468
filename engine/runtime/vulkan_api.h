// SPDX-License-Identifier: MIT
// Private to the Vulkan room: entry points loaded by hand and small helpers. Only vulkan_*.cpp
// includes it.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <cstring>
#include <string>
#include <string_view>

#include "hwdb/result.h"

namespace engine {

/// A fixed-size text field; a driver may leave it without its final zero.
template <std::size_t N>
std::string vulkan_text(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

/// Links `next` into a chain that starts at `head`.
template <class Head, class Next>
void vulkan_chain(Head* head, Next* next) {
  next->pNext = head->pNext;
  head->pNext = next;
}

/// An error of a call that returned `result`; its code says lost, out of memory or neither.
hwdb::Error vulkan_failed(std::string_view call, VkResult result);

// Every entry point by its name without "vk"; all of them are in Vulkan 1.1 or below.
#define TOKWATT_VULKAN_INSTANCE_CALLS(X)    \
  X(DestroyInstance)                        \
  X(EnumeratePhysicalDevices)               \
  X(EnumerateDeviceExtensionProperties)     \
  X(GetPhysicalDeviceProperties)            \
  X(GetPhysicalDeviceProperties2)           \
  X(GetPhysicalDeviceMemoryProperties2)     \
  X(GetPhysicalDeviceFeatures2)             \
  X(GetPhysicalDeviceQueueFamilyProperties) \
  X(CreateDevice)                           \
  X(GetDeviceProcAddr)

#define TOKWATT_VULKAN_DEVICE_CALLS(X) \
  X(DestroyDevice)                     \
  X(GetDeviceQueue)                    \
  X(DeviceWaitIdle)                    \
  X(CreateBuffer)                      \
  X(DestroyBuffer)                     \
  X(GetBufferMemoryRequirements)       \
  X(AllocateMemory)                    \
  X(FreeMemory)                        \
  X(BindBufferMemory)                  \
  X(MapMemory)                         \
  X(CreateShaderModule)                \
  X(DestroyShaderModule)               \
  X(CreateDescriptorSetLayout)         \
  X(DestroyDescriptorSetLayout)        \
  X(CreatePipelineLayout)              \
  X(DestroyPipelineLayout)             \
  X(CreateComputePipelines)            \
  X(DestroyPipeline)                   \
  X(CreateDescriptorPool)              \
  X(DestroyDescriptorPool)             \
  X(AllocateDescriptorSets)            \
  X(UpdateDescriptorSets)              \
  X(CreateCommandPool)                 \
  X(DestroyCommandPool)                \
  X(ResetCommandPool)                  \
  X(AllocateCommandBuffers)            \
  X(BeginCommandBuffer)                \
  X(EndCommandBuffer)                  \
  X(CmdBindPipeline)                   \
  X(CmdBindDescriptorSets)             \
  X(CmdPushConstants)                  \
  X(CmdDispatch)                       \
  X(CmdCopyBuffer)                     \
  X(CmdPipelineBarrier)                \
  X(CmdResetQueryPool)                 \
  X(CmdWriteTimestamp)                 \
  X(CreateQueryPool)                   \
  X(DestroyQueryPool)                  \
  X(GetQueryPoolResults)               \
  X(CreateFence)                       \
  X(DestroyFence)                      \
  X(ResetFences)                       \
  X(WaitForFences)                     \
  X(QueueSubmit)

#define TOKWATT_VULKAN_MEMBER(name) PFN_vk##name name = nullptr;
struct VulkanInstanceCalls {
  TOKWATT_VULKAN_INSTANCE_CALLS(TOKWATT_VULKAN_MEMBER)
};
struct VulkanDeviceCalls {
  TOKWATT_VULKAN_DEVICE_CALLS(TOKWATT_VULKAN_MEMBER)
};
#undef TOKWATT_VULKAN_MEMBER

// VK_KHR_cooperative_matrix and VK_KHR_shader_bfloat16, which the headers of Debian 12 (1.3.239) do
// not have yet; values of the registry.
namespace vulkan_registry {
constexpr const char* kCooperativeMatrix = "VK_KHR_cooperative_matrix";
constexpr const char* kBfloat16 = "VK_KHR_shader_bfloat16";
constexpr auto kCooperativeMatrixFeatures = static_cast<VkStructureType>(1000506000);
constexpr auto kCooperativeMatrixProperties = static_cast<VkStructureType>(1000506001);
constexpr auto kBfloat16Features = static_cast<VkStructureType>(1000141000);
constexpr std::uint32_t kScopeSubgroup = 3;

struct CooperativeMatrixFeatures {
  VkStructureType sType = kCooperativeMatrixFeatures;
  void* pNext = nullptr;
  VkBool32 cooperativeMatrix = VK_FALSE;
  VkBool32 cooperativeMatrixRobustBufferAccess = VK_FALSE;
};
struct CooperativeMatrixProperties {
  VkStructureType sType = kCooperativeMatrixProperties;
  void* pNext = nullptr;
  std::uint32_t MSize = 0, NSize = 0, KSize = 0;
  std::uint32_t AType = 0, BType = 0, CType = 0, ResultType = 0;
  VkBool32 saturatingAccumulation = VK_FALSE;
  std::uint32_t scope = 0;
};
struct Bfloat16Features {
  VkStructureType sType = kBfloat16Features;
  void* pNext = nullptr;
  VkBool32 shaderBFloat16Type = VK_FALSE;
  VkBool32 shaderBFloat16DotProduct = VK_FALSE;
  VkBool32 shaderBFloat16CooperativeMatrix = VK_FALSE;
};
using GetCooperativeMatrixProperties = VkResult(VKAPI_PTR*)(VkPhysicalDevice, std::uint32_t*,
                                                            CooperativeMatrixProperties*);
}  // namespace vulkan_registry

}  // namespace engine
