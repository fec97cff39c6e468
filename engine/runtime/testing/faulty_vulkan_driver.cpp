// SPDX-License-Identifier: MIT
// A Vulkan driver for tests: lavapipe, until a kernel with 16 bytes of push constants is recorded.
// Then $TOKWATT_FAULT happens: "abort", "hang", or "lost" for a device that is lost at the next
// submission. "print" only prints to stdout each time.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

namespace {

using GetProc = PFN_vkVoidFunction(VKAPI_PTR*)(VkInstance, const char*);
using Negotiate = VkResult(VKAPI_PTR*)(std::uint32_t*);

void* library() {
  static void* const handle = ::dlopen("libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL);
  return handle;
}
GetProc real_get() {
  return library() == nullptr
             ? nullptr
             : reinterpret_cast<GetProc>(::dlsym(library(), "vk_icdGetInstanceProcAddr"));
}

std::string_view fault() {
  const char* text = std::getenv("TOKWATT_FAULT");
  return text != nullptr ? text : "";
}

PFN_vkGetDeviceProcAddr real_device_get = nullptr;
PFN_vkCmdPushConstants real_push = nullptr;
PFN_vkQueueSubmit real_submit = nullptr;
bool lost = false;

void VKAPI_CALL push_constants(VkCommandBuffer commands, VkPipelineLayout layout,
                               VkShaderStageFlags stages, std::uint32_t offset, std::uint32_t size,
                               const void* values) {
  if (size == 16) {
    if (fault() == "abort") {
      std::fprintf(stderr, "driver: assertion failed\n");
      std::abort();
    }
    if (fault() == "hang") {
      for (;;) ::pause();
    }
    if (fault() == "print") {
      std::printf("{\"done\":{}}\n");
      std::fflush(stdout);
    }
    lost = fault() == "lost";
  }
  real_push(commands, layout, stages, offset, size, values);
}

VkResult VKAPI_CALL submit(VkQueue queue, std::uint32_t n, const VkSubmitInfo* info,
                           VkFence fence) {
  return lost ? VK_ERROR_DEVICE_LOST : real_submit(queue, n, info, fence);
}

PFN_vkVoidFunction VKAPI_CALL device_get(VkDevice device, const char* name) {
  const PFN_vkVoidFunction real = real_device_get(device, name);
  const std::string_view asked = name;
  if (asked == "vkCmdPushConstants") {
    real_push = reinterpret_cast<PFN_vkCmdPushConstants>(real);
    return reinterpret_cast<PFN_vkVoidFunction>(push_constants);
  }
  if (asked == "vkQueueSubmit") {
    real_submit = reinterpret_cast<PFN_vkQueueSubmit>(real);
    return reinterpret_cast<PFN_vkVoidFunction>(submit);
  }
  return real;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) PFN_vkVoidFunction vk_icdGetInstanceProcAddr(
    VkInstance instance, const char* name) {
  const GetProc get = real_get();
  if (get == nullptr) return nullptr;
  const PFN_vkVoidFunction real = get(instance, name);
  if (real == nullptr || std::string_view(name) != "vkGetDeviceProcAddr") return real;
  real_device_get = reinterpret_cast<PFN_vkGetDeviceProcAddr>(real);
  return reinterpret_cast<PFN_vkVoidFunction>(device_get);
}

__attribute__((visibility("default"))) VkResult vk_icdNegotiateLoaderICDInterfaceVersion(
    std::uint32_t* version) {
  if (library() == nullptr) return VK_ERROR_INCOMPATIBLE_DRIVER;
  const auto real =
      reinterpret_cast<Negotiate>(::dlsym(library(), "vk_icdNegotiateLoaderICDInterfaceVersion"));
  return real != nullptr ? real(version) : VK_ERROR_INCOMPATIBLE_DRIVER;
}

}  // extern "C"
