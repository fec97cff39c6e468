// SPDX-License-Identifier: MIT
// The device, its buffers and its kernels; vulkan_submit.cpp runs them.
#include "engine/runtime/vulkan_compute.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine/runtime/vulkan_device_state.h"

namespace engine {
namespace {

/// "GPU-0a1b2c3d-..." and "0a1b2c3d..." are the same.
std::string plain_uuid(std::string_view text) {
  if (text.starts_with("GPU-")) text.remove_prefix(4);
  std::string out;
  for (const char c : text) {
    if (c != '-') out += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

hwdb::Result<std::size_t> choose(const std::vector<VulkanDevice>& devices,
                                 const ComputeOptions& options) {
  std::vector<std::size_t> fits;
  const auto look = [&](const auto& wanted) {
    if (!fits.empty()) return;
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if ((options.allow_software || !is_software_renderer(devices[i])) && wanted(devices[i]))
        fits.push_back(i);
    }
  };
  if (!options.pci_address.empty())
    look([&](const VulkanDevice& d) { return d.pci_address == options.pci_address; });
  // One that says another address is another card, whatever else agrees.
  const auto maybe_there = [&](const VulkanDevice& d) {
    return options.pci_address.empty() || d.pci_address.empty();
  };
  if (!options.uuid.empty())
    look([&](const VulkanDevice& d) {
      return maybe_there(d) && plain_uuid(d.uuid) == plain_uuid(options.uuid);
    });
  if (!options.pci_id.empty()) {
    look([&](const VulkanDevice& d) {
      return maybe_there(d) &&
             fmt::format("{:04x}:{:04x}", d.vendor_id, d.device_id) == options.pci_id;
    });
    if (fits.size() > 1)
      return hwdb::Error{"probe.gpu_unsupported",
                         "several Vulkan devices have that id, and none says its address", "Vulkan",
                         ""};
  }
  if (options.pci_address.empty() && options.uuid.empty() && options.pci_id.empty()) {
    look([](const VulkanDevice& d) { return !is_software_renderer(d); });
    look([](const VulkanDevice&) { return true; });
  }
  if (!fits.empty()) return fits.front();
  return hwdb::Error{
      "probe.gpu_unsupported",
      devices.empty() ? "there is no Vulkan device" : "no Vulkan driver offers this device",
      "Vulkan", "install the GPU's Vulkan driver"};
}

hwdb::Status open_queue(VulkanDeviceState* s, VulkanQueue* queue) {
  const VulkanDeviceCalls& vk = s->calls;
  vk.GetDeviceQueue(s->device, queue->family, 0, &queue->handle);
  VkCommandPoolCreateInfo pool{};
  pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  pool.queueFamilyIndex = queue->family;
  VkResult result = vk.CreateCommandPool(s->device, &pool, nullptr, &queue->pool);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateCommandPool", result);
  VkCommandBufferAllocateInfo commands{};
  commands.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  commands.commandPool = queue->pool;
  commands.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  commands.commandBufferCount = 1;
  result = vk.AllocateCommandBuffers(s->device, &commands, &queue->commands);
  if (result != VK_SUCCESS) return vulkan_failed("vkAllocateCommandBuffers", result);
  if (queue->timestamp_bits == 0) return hwdb::Ok{};
  VkQueryPoolCreateInfo queries{};
  queries.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO;
  queries.queryType = VK_QUERY_TYPE_TIMESTAMP;
  queries.queryCount = 2;
  result = vk.CreateQueryPool(s->device, &queries, nullptr, &queue->queries);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateQueryPool", result);
  return hwdb::Ok{};
}

/// The memory type of the best fit, in the order of the wishes; -1: none is allowed.
int find_memory_type(const VulkanDeviceState& s, std::uint32_t allowed, BufferKind kind) {
  constexpr VkMemoryPropertyFlags kLocal = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  constexpr VkMemoryPropertyFlags kVisible =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  struct Wish {
    VkMemoryPropertyFlags with, without;
  };
  std::vector<Wish> wishes;
  switch (kind) {
    case BufferKind::device:
      wishes = {{kLocal, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT}, {kLocal, 0}, {0, 0}};
      break;
    case BufferKind::upload:
      wishes = {{kVisible, kLocal | kCached}, {kVisible, kLocal}, {kVisible, 0}};
      break;
    case BufferKind::readback:
      wishes = {{kVisible | kCached, kLocal}, {kVisible | kCached, 0}, {kVisible, 0}};
      break;
  }
  // AMD's device-coherent memory and protected memory are for other purposes.
  constexpr VkMemoryPropertyFlags kStrange =
      VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | 0x40 | 0x80;
  for (const Wish& wish : wishes) {
    int best = -1;
    for (std::uint32_t i = 0; i < s.memory.memoryTypeCount; ++i) {
      const VkMemoryType& type = s.memory.memoryTypes[i];
      const bool fits = (allowed & (1U << i)) != 0 &&
                        (type.propertyFlags & wish.with) == wish.with &&
                        (type.propertyFlags & (wish.without | kStrange)) == 0;
      const auto size = [&](int t) {
        return s.memory.memoryHeaps[s.memory.memoryTypes[t].heapIndex].size;
      };
      if (fits && (best < 0 || size(static_cast<int>(i)) > size(best))) best = static_cast<int>(i);
    }
    if (best >= 0) return best;
  }
  return -1;
}

}  // namespace

VulkanDeviceState::~VulkanDeviceState() {
  if (hung) {
    if (instance != nullptr) instance->abandon();
    return;
  }
  if (device == nullptr) return;
  // The creation may have ended before these were loaded.
  if (calls.QueueSubmit != nullptr) {
    calls.DeviceWaitIdle(device);
    for (const VulkanQueue* queue : {&compute, &transfer}) {
      calls.DestroyQueryPool(device, queue->queries, nullptr);
      calls.DestroyCommandPool(device, queue->pool, nullptr);
    }
    calls.DestroyFence(device, fence, nullptr);
  }
  if (calls.DestroyDevice != nullptr) calls.DestroyDevice(device, nullptr);
}

VulkanBuffer::State::~State() {
  if (device->hung) return;
  device->calls.DestroyBuffer(device->device, handle, nullptr);
  device->calls.FreeMemory(device->device, memory, nullptr);
}

VulkanKernel::State::~State() {
  if (device->hung) return;
  device->calls.DestroyPipeline(device->device, pipeline, nullptr);
  device->calls.DestroyPipelineLayout(device->device, layout, nullptr);
  device->calls.DestroyDescriptorSetLayout(device->device, set_layout, nullptr);
}

VulkanBuffer::VulkanBuffer(std::unique_ptr<State> state) : state_(std::move(state)) {}
VulkanBuffer::VulkanBuffer(VulkanBuffer&&) noexcept = default;
VulkanBuffer& VulkanBuffer::operator=(VulkanBuffer&&) noexcept = default;
VulkanBuffer::~VulkanBuffer() = default;
std::uint64_t VulkanBuffer::bytes() const {
  return state_->bytes;
}
std::span<std::byte> VulkanBuffer::mapped() const {
  if (state_->mapped == nullptr) return {};
  return {static_cast<std::byte*>(state_->mapped), static_cast<std::size_t>(state_->bytes)};
}

VulkanKernel::VulkanKernel(std::unique_ptr<State> state) : state_(std::move(state)) {}
VulkanKernel::VulkanKernel(VulkanKernel&&) noexcept = default;
VulkanKernel& VulkanKernel::operator=(VulkanKernel&&) noexcept = default;
VulkanKernel::~VulkanKernel() = default;

VulkanCompute::VulkanCompute(std::shared_ptr<VulkanDeviceState> state) : state_(std::move(state)) {}
VulkanCompute::VulkanCompute(VulkanCompute&&) noexcept = default;
VulkanCompute& VulkanCompute::operator=(VulkanCompute&&) noexcept = default;
VulkanCompute::~VulkanCompute() = default;

const VulkanDevice& VulkanCompute::device() const {
  return state_->identity;
}
const ComputeFeatures& VulkanCompute::features() const {
  return state_->features;
}
bool VulkanCompute::is_software() const {
  return is_software_renderer(state_->identity);
}
std::vector<std::string> VulkanCompute::messages() const {
  return state_->instance->messages();
}

hwdb::Result<VulkanCompute> VulkanCompute::open(const ComputeOptions& options) {
  auto state = std::make_shared<VulkanDeviceState>();
  auto instance = VulkanInstance::open(options.library, options.validate);
  if (!instance) return instance.error();
  state->instance = std::move(*instance);
  const auto handles = state->instance->devices();
  if (!handles) return handles.error();
  std::vector<VulkanDevice> devices;
  for (const VkPhysicalDevice handle : *handles)
    devices.push_back(read_vulkan_device(*state->instance, handle));
  const auto chosen = choose(devices, options);
  if (!chosen) return chosen.error();
  state->physical = (*handles)[*chosen];
  state->identity = devices[*chosen];
  if (const auto status = open_vulkan_device(state.get()); !status) return status.error();
  if (const auto status = open_queue(state.get(), &state->compute); !status) return status.error();
  if (state->features.transfer_queue) {
    if (const auto status = open_queue(state.get(), &state->transfer); !status)
      return status.error();
  }
  VkFenceCreateInfo fence{};
  fence.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
  const VkResult result = state->calls.CreateFence(state->device, &fence, nullptr, &state->fence);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateFence", result);
  return VulkanCompute(std::move(state));
}

hwdb::Result<VulkanBuffer> VulkanCompute::make_buffer(std::uint64_t bytes, BufferKind kind) {
  const VulkanDeviceCalls& vk = state_->calls;
  auto buffer = std::make_unique<VulkanBuffer::State>();
  buffer->device = state_;
  buffer->bytes = bytes;
  VkBufferCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  info.size = bytes;
  info.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  if (kind == BufferKind::device) info.usage |= VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
  const std::array<std::uint32_t, 2> families = {state_->compute.family, state_->transfer.family};
  if (state_->features.transfer_queue) {
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = 2;
    info.pQueueFamilyIndices = families.data();
  }
  VkResult result = vk.CreateBuffer(state_->device, &info, nullptr, &buffer->handle);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateBuffer", result);
  VkMemoryRequirements needs{};
  vk.GetBufferMemoryRequirements(state_->device, buffer->handle, &needs);
  const int type = find_memory_type(*state_, needs.memoryTypeBits, kind);
  if (type < 0)
    return hwdb::Error{"probe.gpu_unsupported", "it has no memory of the kind needed", "Vulkan",
                       ""};
  VkMemoryAllocateInfo allocation{};
  allocation.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocation.allocationSize = needs.size;
  allocation.memoryTypeIndex = static_cast<std::uint32_t>(type);
  result = vk.AllocateMemory(state_->device, &allocation, nullptr, &buffer->memory);
  if (result != VK_SUCCESS) return vulkan_failed("vkAllocateMemory", result);
  result = vk.BindBufferMemory(state_->device, buffer->handle, buffer->memory, 0);
  if (result != VK_SUCCESS) return vulkan_failed("vkBindBufferMemory", result);
  if (kind != BufferKind::device) {
    result = vk.MapMemory(state_->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->mapped);
    if (result != VK_SUCCESS) return vulkan_failed("vkMapMemory", result);
  }
  return VulkanBuffer(std::move(buffer));
}

hwdb::Result<VulkanKernel> VulkanCompute::make_kernel(const KernelRequest& request) {
  const VulkanDeviceCalls& vk = state_->calls;
  auto kernel = std::make_unique<VulkanKernel::State>();
  kernel->device = state_;
  kernel->n_buffers = request.n_buffers;
  kernel->push_words = request.push_words;

  std::vector<VkDescriptorSetLayoutBinding> bindings(request.n_buffers);
  for (std::uint32_t i = 0; i < request.n_buffers; ++i)
    bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  VkDescriptorSetLayoutCreateInfo set{};
  set.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO;
  set.bindingCount = request.n_buffers;
  set.pBindings = bindings.data();
  VkResult result =
      vk.CreateDescriptorSetLayout(state_->device, &set, nullptr, &kernel->set_layout);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateDescriptorSetLayout", result);
  const VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, 4 * request.push_words};
  VkPipelineLayoutCreateInfo layout{};
  layout.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO;
  layout.setLayoutCount = 1;
  layout.pSetLayouts = &kernel->set_layout;
  layout.pushConstantRangeCount = request.push_words > 0 ? 1 : 0;
  layout.pPushConstantRanges = &push;
  result = vk.CreatePipelineLayout(state_->device, &layout, nullptr, &kernel->layout);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreatePipelineLayout", result);

  VkShaderModuleCreateInfo code{};
  code.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  code.codeSize = request.spirv.size_bytes();
  code.pCode = request.spirv.data();
  VkShaderModule shader = VK_NULL_HANDLE;
  result = vk.CreateShaderModule(state_->device, &code, nullptr, &shader);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateShaderModule", result);
  std::vector<VkSpecializationMapEntry> entries;
  for (std::uint32_t i = 0; i < request.specialization.size(); ++i)
    entries.push_back({i, 4 * i, 4});
  VkSpecializationInfo constants{};
  constants.mapEntryCount = static_cast<std::uint32_t>(entries.size());
  constants.pMapEntries = entries.data();
  constants.dataSize = 4 * entries.size();
  constants.pData = request.specialization.data();
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{};
  subgroup.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO;
  subgroup.requiredSubgroupSize = request.subgroup_size;
  VkComputePipelineCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO;
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  if (request.subgroup_size != 0 && state_->features.fixed_subgroup_size)
    info.stage.pNext = &subgroup;
  if (request.subgroup_size != 0 && state_->features.full_subgroups)
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = shader;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &constants;
  info.layout = kernel->layout;
  result = vk.CreateComputePipelines(state_->device, VK_NULL_HANDLE, 1, &info, nullptr,
                                     &kernel->pipeline);
  vk.DestroyShaderModule(state_->device, shader, nullptr);
  if (result != VK_SUCCESS) return vulkan_failed("vkCreateComputePipelines", result);
  return VulkanKernel(std::move(kernel));
}

}  // namespace engine
