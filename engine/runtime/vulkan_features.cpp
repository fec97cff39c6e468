// SPDX-License-Identifier: MIT
// Which of a device's optional features are there, and the device's creation with them.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/runtime/vulkan_device_state.h"

namespace engine {
namespace {

NumberType number_type(std::uint32_t component) {
  switch (component) {
    case 0:
      return NumberType::float16;
    case 1:
      return NumberType::float32;
    case 3:
      return NumberType::sint8;
    case 5:
      return NumberType::sint32;
    case 7:
      return NumberType::uint8;
    case 9:
      return NumberType::uint32;
    case 1000141000:
      return NumberType::bfloat16;
    default:
      return NumberType::other;
  }
}

/// The features asked for and then switched on: one chain serves both.
struct Features {
  VkPhysicalDeviceFeatures2 head{};
  VkPhysicalDevice16BitStorageFeatures storage_16{};
  VkPhysicalDevice8BitStorageFeatures storage_8{};
  VkPhysicalDeviceShaderFloat16Int8Features small{};
  VkPhysicalDeviceVulkanMemoryModelFeatures memory_model{};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot{};
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroup{};
  VkPhysicalDeviceHostQueryResetFeatures query_reset{};
  vulkan_registry::CooperativeMatrixFeatures matrix;
  vulkan_registry::Bfloat16Features bfloat16;

  Features() {
    head.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    storage_16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    storage_8.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES;
    small.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES;
    memory_model.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES;
    dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES;
    subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
    query_reset.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_HOST_QUERY_RESET_FEATURES;
  }
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;
};

class DeviceOpener {
 public:
  explicit DeviceOpener(VulkanDeviceState* state)
      : s_(*state),
        calls_(state->instance->calls()),
        extensions_(state->instance->extensions(state->physical)) {}

  hwdb::Status open() {
    VkPhysicalDeviceProperties basic{};
    calls_.GetPhysicalDeviceProperties(s_.physical, &basic);
    // Above 1.2 the instance's own version holds: newer features come as extensions.
    api_ = std::min(basic.apiVersion, VK_API_VERSION_1_2);
    if (api_ < VK_API_VERSION_1_1)
      return hwdb::Error{"probe.gpu_unsupported", "its driver is older than Vulkan 1.1", "Vulkan",
                         "install a newer driver"};
    read_limits(basic.limits);
    read_memory();
    ask_features();
    read_matrix_shapes();
    if (const auto status = find_queues(); !status) return status;
    return create();
  }

 private:
  bool has(std::string_view extension) const {
    return std::ranges::find(extensions_, extension) != extensions_.end();
  }
  /// Takes an extension into use when it is there, or needs none from `core` on.
  bool use(const char* extension, std::uint32_t core = std::numeric_limits<std::uint32_t>::max()) {
    if (api_ >= core) return true;
    if (!has(extension)) return false;
    enabled_.push_back(extension);
    return true;
  }

  void read_limits(const VkPhysicalDeviceLimits& limits) {
    ComputeFeatures& f = s_.features;
    f.max_workgroup_size =
        std::min(limits.maxComputeWorkGroupInvocations, limits.maxComputeWorkGroupSize[0]);
    f.shared_memory_bytes = limits.maxComputeSharedMemorySize;
    f.max_workgroups = limits.maxComputeWorkGroupCount[0];
    timestamp_ns_ = limits.timestampPeriod;

    VkPhysicalDeviceProperties2 head{};
    head.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    VkPhysicalDeviceSubgroupProperties subgroup{};
    subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    VkPhysicalDeviceSubgroupSizeControlProperties control{};
    control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
    VkPhysicalDeviceShaderIntegerDotProductProperties dot{};
    dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES;
    vulkan_chain(&head, &subgroup);
    if (has(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) vulkan_chain(&head, &control);
    if (has(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) vulkan_chain(&head, &dot);
    calls_.GetPhysicalDeviceProperties2(s_.physical, &head);
    f.subgroup_size = f.min_subgroup_size = f.max_subgroup_size = subgroup.subgroupSize;
    if (control.maxSubgroupSize != 0) {
      f.min_subgroup_size = control.minSubgroupSize;
      f.max_subgroup_size = control.maxSubgroupSize;
      may_fix_subgroup_ = (control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    }
    f.int_dot_accelerated = dot.integerDotProduct4x8BitPackedSignedAccelerated == VK_TRUE;
  }

  void read_memory() {
    VkPhysicalDeviceMemoryProperties2 head{};
    head.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    const bool knows_budget = use(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    if (knows_budget) vulkan_chain(&head, &budget);
    calls_.GetPhysicalDeviceMemoryProperties2(s_.physical, &head);
    s_.memory = head.memoryProperties;
    s_.memory.memoryHeapCount = std::min(s_.memory.memoryHeapCount, VK_MAX_MEMORY_HEAPS);
    s_.memory.memoryTypeCount = std::min(s_.memory.memoryTypeCount, VK_MAX_MEMORY_TYPES);
    ComputeFeatures& f = s_.features;
    for (std::uint32_t i = 0; i < s_.memory.memoryHeapCount; ++i) {
      const VkMemoryHeap& heap = s_.memory.memoryHeaps[i];
      if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0 || heap.size <= f.memory_bytes)
        continue;
      f.memory_bytes = heap.size;
      f.budget_bytes = heap.size;
      if (knows_budget) {
        const auto used = std::min(budget.heapUsage[i], budget.heapBudget[i]);
        f.budget_bytes = std::min(heap.size, budget.heapBudget[i] - used);
      }
    }
  }

  void ask_features() {
    vulkan_chain(&on_.head, &on_.storage_16);
    if (use(VK_KHR_8BIT_STORAGE_EXTENSION_NAME, VK_API_VERSION_1_2))
      vulkan_chain(&on_.head, &on_.storage_8);
    if (use(VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, VK_API_VERSION_1_2))
      vulkan_chain(&on_.head, &on_.small);
    if (use(VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME, VK_API_VERSION_1_2))
      vulkan_chain(&on_.head, &on_.memory_model);
    if (use(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) vulkan_chain(&on_.head, &on_.dot);
    if (use(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) vulkan_chain(&on_.head, &on_.subgroup);
    if (use(VK_EXT_HOST_QUERY_RESET_EXTENSION_NAME, VK_API_VERSION_1_2))
      vulkan_chain(&on_.head, &on_.query_reset);
    if (use(vulkan_registry::kCooperativeMatrix)) vulkan_chain(&on_.head, &on_.matrix);
    if (use(vulkan_registry::kBfloat16)) vulkan_chain(&on_.head, &on_.bfloat16);
    calls_.GetPhysicalDeviceFeatures2(s_.physical, &on_.head);
    on_.head.features = {};  // none of the graphics features
    on_.memory_model.vulkanMemoryModelDeviceScope = VK_FALSE;
    on_.memory_model.vulkanMemoryModelAvailabilityVisibilityChains = VK_FALSE;
    on_.matrix.cooperativeMatrixRobustBufferAccess = VK_FALSE;
    ComputeFeatures& f = s_.features;
    f.storage_16bit = on_.storage_16.storageBuffer16BitAccess == VK_TRUE;
    f.storage_8bit = on_.storage_8.storageBuffer8BitAccess == VK_TRUE;
    f.float16 = on_.small.shaderFloat16 == VK_TRUE;
    f.int8 = on_.small.shaderInt8 == VK_TRUE;
    f.int_dot = on_.dot.shaderIntegerDotProduct == VK_TRUE;
    f.bfloat16_matrix = on_.bfloat16.shaderBFloat16CooperativeMatrix == VK_TRUE;
    f.full_subgroups = on_.subgroup.computeFullSubgroups == VK_TRUE;
    f.fixed_subgroup_size = may_fix_subgroup_ && on_.subgroup.subgroupSizeControl == VK_TRUE;
  }

  void read_matrix_shapes() {
    if (on_.matrix.cooperativeMatrix != VK_TRUE || on_.memory_model.vulkanMemoryModel != VK_TRUE)
      return;
    const auto list = reinterpret_cast<vulkan_registry::GetCooperativeMatrixProperties>(
        s_.instance->find_call("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"));
    std::uint32_t n = 0;
    if (list == nullptr || list(s_.physical, &n, nullptr) != VK_SUCCESS) return;
    std::vector<vulkan_registry::CooperativeMatrixProperties> rows(
        std::min<std::uint32_t>(n, 4096));
    n = static_cast<std::uint32_t>(rows.size());
    if (list(s_.physical, &n, rows.data()) < VK_SUCCESS) return;
    rows.resize(std::min<std::size_t>(n, rows.size()));
    for (const auto& row : rows) {
      if (row.scope != vulkan_registry::kScopeSubgroup) continue;
      s_.features.matrix_shapes.push_back({row.MSize, row.NSize, row.KSize, number_type(row.AType),
                                           number_type(row.BType), number_type(row.CType),
                                           number_type(row.ResultType),
                                           row.saturatingAccumulation == VK_TRUE});
    }
  }

  hwdb::Status find_queues() {
    std::uint32_t n = 0;
    calls_.GetPhysicalDeviceQueueFamilyProperties(s_.physical, &n, nullptr);
    std::vector<VkQueueFamilyProperties> families(std::min<std::uint32_t>(n, 256));
    n = static_cast<std::uint32_t>(families.size());
    calls_.GetPhysicalDeviceQueueFamilyProperties(s_.physical, &n, families.data());
    families.resize(std::min<std::size_t>(n, families.size()));
    const auto find = [&](VkQueueFlags with, VkQueueFlags without) -> int {
      for (std::size_t i = 0; i < families.size(); ++i) {
        const VkQueueFlags flags = families[i].queueFlags;
        if (families[i].queueCount > 0 && (flags & with) == with && (flags & without) == 0)
          return static_cast<int>(i);
      }
      return -1;
    };
    // The general queue runs at the full rate everywhere; one for compute alone may not.
    int compute = find(VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT, 0);
    if (compute < 0) compute = find(VK_QUEUE_COMPUTE_BIT, 0);
    if (compute < 0)
      return hwdb::Error{"probe.gpu_unsupported", "it has no queue for compute", "Vulkan", ""};
    const int transfer =
        find(VK_QUEUE_TRANSFER_BIT, VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT | 0x20 | 0x40);
    const auto fill = [&](int index, VulkanQueue* queue) {
      queue->family = static_cast<std::uint32_t>(index);
      queue->timestamp_bits = families[queue->family].timestampValidBits;
    };
    fill(compute, &s_.compute);
    if (transfer >= 0) fill(transfer, &s_.transfer);
    // Commands of a queue for transfers alone may not reset queries; without the host's help the
    // host's clock has to do.
    if (on_.query_reset.hostQueryReset != VK_TRUE) s_.transfer.timestamp_bits = 0;
    s_.features.transfer_queue = transfer >= 0;
    if (s_.compute.timestamp_bits > 0) s_.features.timestamp_ns = timestamp_ns_;
    return hwdb::Ok{};
  }

  hwdb::Status create() {
    const float priority = 1;
    std::vector<VkDeviceQueueCreateInfo> queues;
    const auto add = [&](std::uint32_t family) {
      VkDeviceQueueCreateInfo q{};
      q.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
      q.queueFamilyIndex = family;
      q.queueCount = 1;
      q.pQueuePriorities = &priority;
      queues.push_back(q);
    };
    add(s_.compute.family);
    if (s_.features.transfer_queue) add(s_.transfer.family);
    VkDeviceCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    info.pNext = &on_.head;
    info.queueCreateInfoCount = static_cast<std::uint32_t>(queues.size());
    info.pQueueCreateInfos = queues.data();
    info.enabledExtensionCount = static_cast<std::uint32_t>(enabled_.size());
    info.ppEnabledExtensionNames = enabled_.data();
    const VkResult result = calls_.CreateDevice(s_.physical, &info, nullptr, &s_.device);
    if (result != VK_SUCCESS) {
      s_.device = nullptr;
      return vulkan_failed("vkCreateDevice", result);
    }
#define TOKWATT_VULKAN_LOAD(name)                                                                  \
  s_.calls.name = reinterpret_cast<PFN_vk##name>(calls_.GetDeviceProcAddr(s_.device, "vk" #name)); \
  if (s_.calls.name == nullptr)                                                                    \
    return hwdb::Error{"probe.vulkan_loader", "the driver has no vk" #name, "Vulkan", ""};
    TOKWATT_VULKAN_DEVICE_CALLS(TOKWATT_VULKAN_LOAD)
#undef TOKWATT_VULKAN_LOAD
    for (const char* name : {"vkResetQueryPool", "vkResetQueryPoolEXT"}) {
      if (s_.reset_queries == nullptr && on_.query_reset.hostQueryReset == VK_TRUE)
        s_.reset_queries =
            reinterpret_cast<PFN_vkResetQueryPool>(calls_.GetDeviceProcAddr(s_.device, name));
    }
    if (s_.reset_queries == nullptr) s_.transfer.timestamp_bits = 0;
    return hwdb::Ok{};
  }

  VulkanDeviceState& s_;
  const VulkanInstanceCalls& calls_;
  std::vector<std::string> extensions_;
  std::vector<const char*> enabled_;
  Features on_;
  std::uint32_t api_ = 0;
  double timestamp_ns_ = 0;
  bool may_fix_subgroup_ = false;
};

}  // namespace

hwdb::Status open_vulkan_device(VulkanDeviceState* state) {
  return DeviceOpener(state).open();
}

std::string_view to_string(NumberType type) {
  switch (type) {
    case NumberType::float16:
      return "fp16";
    case NumberType::float32:
      return "fp32";
    case NumberType::bfloat16:
      return "bf16";
    case NumberType::sint8:
      return "int8";
    case NumberType::uint8:
      return "uint8";
    case NumberType::sint32:
      return "int32";
    case NumberType::uint32:
      return "uint32";
    case NumberType::other:
      break;
  }
  return "other";
}

}  // namespace engine
