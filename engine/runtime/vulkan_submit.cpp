// SPDX-License-Identifier: MIT
// Recording, submitting, timing and copying.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstring>

#include "engine/runtime/vulkan_device_state.h"

namespace engine {
namespace {

/// Lives for one submission.
class DescriptorPool {
 public:
  DescriptorPool(const VulkanDeviceState& device, std::uint32_t sets, std::uint32_t buffers)
      : device_(device) {
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                       std::max<std::uint32_t>(buffers, 1)};
    VkDescriptorPoolCreateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    info.maxSets = std::max<std::uint32_t>(sets, 1);
    info.poolSizeCount = 1;
    info.pPoolSizes = &size;
    result_ = device.calls.CreateDescriptorPool(device.device, &info, nullptr, &pool_);
  }
  DescriptorPool(const DescriptorPool&) = delete;
  DescriptorPool& operator=(const DescriptorPool&) = delete;
  ~DescriptorPool() {
    if (!device_.hung) device_.calls.DestroyDescriptorPool(device_.device, pool_, nullptr);
  }
  VkResult result() const { return result_; }

  hwdb::Result<VkDescriptorSet> set_of(const DispatchStep& step) {
    const VulkanKernel::State& kernel = step.kernel->state();
    VkDescriptorSetAllocateInfo info{};
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    info.descriptorPool = pool_;
    info.descriptorSetCount = 1;
    info.pSetLayouts = &kernel.set_layout;
    VkDescriptorSet set = VK_NULL_HANDLE;
    const VkResult result = device_.calls.AllocateDescriptorSets(device_.device, &info, &set);
    if (result != VK_SUCCESS) return vulkan_failed("vkAllocateDescriptorSets", result);
    for (std::uint32_t i = 0; i < step.buffers.size(); ++i) {
      const VkDescriptorBufferInfo buffer = {step.buffers[i]->state().handle, 0, VK_WHOLE_SIZE};
      VkWriteDescriptorSet write{};
      write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
      write.dstSet = set;
      write.dstBinding = i;
      write.descriptorCount = 1;
      write.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
      write.pBufferInfo = &buffer;
      device_.calls.UpdateDescriptorSets(device_.device, 1, &write, 0, nullptr);
    }
    return set;
  }

 private:
  const VulkanDeviceState& device_;
  VkDescriptorPool pool_ = VK_NULL_HANDLE;
  VkResult result_ = VK_SUCCESS;
};

hwdb::Error misuse(std::string what) {
  return {"probe.gpu_unsupported", std::move(what), "Vulkan", ""};
}

hwdb::Status check(const GpuStep& step, const ComputeFeatures& features) {
  if (const auto* dispatch = std::get_if<DispatchStep>(&step)) {
    const VulkanKernel::State& kernel = dispatch->kernel->state();
    if (dispatch->buffers.size() != kernel.n_buffers || dispatch->push.size() != kernel.push_words)
      return misuse("a kernel was given other buffers or constants than it has");
    if (dispatch->workgroups == 0 || dispatch->workgroups > features.max_workgroups)
      return misuse(fmt::format("{} workgroups at once are more than the device takes",
                                dispatch->workgroups));
    return hwdb::Ok{};
  }
  const auto& copy = std::get<CopyStep>(step);
  if (copy.bytes == 0 || copy.bytes > copy.from->bytes() || copy.bytes > copy.to->bytes())
    return misuse("a copy is longer than its buffers");
  return hwdb::Ok{};
}

class Recorder {
 public:
  Recorder(const VulkanDeviceState& device, const VulkanQueue& queue)
      : vk_(device.calls), queue_(queue), commands_(queue.commands) {}

  VkResult begin(const VulkanDeviceState& device) {
    VkResult result = vk_.ResetCommandPool(device.device, queue_.pool, 0);
    if (result != VK_SUCCESS) return result;
    VkCommandBufferBeginInfo info{};
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
    result = vk_.BeginCommandBuffer(commands_, &info);
    if (result != VK_SUCCESS) return result;
    if (queue_.timestamp_bits == 0) return result;
    if (device.reset_queries != nullptr) {
      device.reset_queries(device.device, queue_.queries, 0, 2);
    } else {
      vk_.CmdResetQueryPool(commands_, queue_.queries, 0, 2);
    }
    return result;
  }
  void stamp(std::uint32_t index) {
    if (queue_.timestamp_bits > 0)
      vk_.CmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queue_.queries, index);
  }
  /// Everything before is done and seen by everything after, the host's reads included.
  void barrier() {
    VkMemoryBarrier memory{};
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    memory.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT;
    memory.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
    vk_.CmdPipelineBarrier(commands_, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                           VK_PIPELINE_STAGE_ALL_COMMANDS_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                           &memory, 0, nullptr, 0, nullptr);
  }
  void add(const GpuStep& step, VkDescriptorSet set) {
    if (const auto* copy = std::get_if<CopyStep>(&step)) {
      const VkBufferCopy region = {0, 0, copy->bytes};
      vk_.CmdCopyBuffer(commands_, copy->from->state().handle, copy->to->state().handle, 1,
                        &region);
      return;
    }
    const auto& dispatch = std::get<DispatchStep>(step);
    const VulkanKernel::State& kernel = dispatch.kernel->state();
    vk_.CmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.pipeline);
    vk_.CmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.layout, 0, 1, &set,
                              0, nullptr);
    if (!dispatch.push.empty())
      vk_.CmdPushConstants(commands_, kernel.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           4 * kernel.push_words, dispatch.push.data());
    vk_.CmdDispatch(commands_, dispatch.workgroups, 1, 1);
  }
  VkResult end() { return vk_.EndCommandBuffer(commands_); }

 private:
  const VulkanDeviceCalls& vk_;
  const VulkanQueue& queue_;
  VkCommandBuffer commands_;
};

/// Seconds between the two timestamps; negative when the driver does not say.
double stamped_seconds(const VulkanDeviceState& s, const VulkanQueue& queue, double period_ns) {
  std::array<std::uint64_t, 2> stamps{};
  const VkResult result = s.calls.GetQueryPoolResults(
      s.device, queue.queries, 0, 2, sizeof stamps, stamps.data(), sizeof(std::uint64_t),
      VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
  if (result != VK_SUCCESS) return -1;
  const std::uint64_t mask = queue.timestamp_bits >= 64
                                 ? ~std::uint64_t{0}
                                 : (std::uint64_t{1} << queue.timestamp_bits) - 1;
  return static_cast<double>((stamps[1] - stamps[0]) & mask) * period_ns * 1e-9;
}

}  // namespace

hwdb::Result<RunTime> VulkanCompute::run(const Submission& submission) {
  VulkanDeviceState& s = *state_;
  if (s.hung)
    return hwdb::Error{"probe.gpu_timeout", "an earlier run never came back", "Vulkan", ""};
  const bool own_queue = submission.on_transfer_queue && s.features.transfer_queue;
  const VulkanQueue& queue = own_queue ? s.transfer : s.compute;
  std::uint32_t n_sets = 0, n_buffers = 0;
  for (const GpuStep& step : submission.steps) {
    if (const auto status = check(step, s.features); !status) return status.error();
    if (const auto* dispatch = std::get_if<DispatchStep>(&step)) {
      if (submission.on_transfer_queue) return misuse("a transfer queue runs no kernels");
      ++n_sets;
      n_buffers += static_cast<std::uint32_t>(dispatch->buffers.size());
    }
  }
  DescriptorPool pool(s, n_sets, n_buffers);
  if (pool.result() != VK_SUCCESS) return vulkan_failed("vkCreateDescriptorPool", pool.result());
  std::vector<VkDescriptorSet> sets;
  for (const GpuStep& step : submission.steps) {
    sets.push_back(VK_NULL_HANDLE);
    if (const auto* dispatch = std::get_if<DispatchStep>(&step)) {
      const auto set = pool.set_of(*dispatch);
      if (!set) return set.error();
      sets.back() = *set;
    }
  }

  Recorder recorder(s, queue);
  VkResult result = recorder.begin(s);
  if (result != VK_SUCCESS) return vulkan_failed("vkBeginCommandBuffer", result);
  recorder.barrier();
  recorder.stamp(0);
  for (std::uint32_t pass = 0; pass < submission.passes; ++pass) {
    for (std::size_t i = 0; i < submission.steps.size(); ++i) {
      recorder.add(submission.steps[i], sets[i]);
      if (submission.ordered) recorder.barrier();
    }
  }
  if (!submission.ordered) recorder.barrier();
  recorder.stamp(1);
  result = recorder.end();
  if (result != VK_SUCCESS) return vulkan_failed("vkEndCommandBuffer", result);

  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &queue.commands;
  s.calls.ResetFences(s.device, 1, &s.fence);
  const auto start = std::chrono::steady_clock::now();
  result = s.calls.QueueSubmit(queue.handle, 1, &info, s.fence);
  if (result != VK_SUCCESS) return vulkan_failed("vkQueueSubmit", result);
  const auto timeout_ns = static_cast<std::uint64_t>(submission.timeout_seconds * 1e9);
  result = s.calls.WaitForFences(s.device, 1, &s.fence, VK_TRUE, timeout_ns);
  if (result == VK_TIMEOUT) {
    s.hung = true;
    return hwdb::Error{"probe.gpu_timeout",
                       fmt::format("a run did not end within {:.0f} s", submission.timeout_seconds),
                       "Vulkan", ""};
  }
  if (result != VK_SUCCESS) return vulkan_failed("vkWaitForFences", result);
  RunTime time;
  time.host_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  time.device_seconds =
      queue.timestamp_bits > 0 ? stamped_seconds(s, queue, s.features.timestamp_ns) : -1;
  // A clock that stands still or runs longer than the host waited is none.
  if (time.device_seconds <= 0 || time.device_seconds > time.host_seconds * 1.01)
    time.device_seconds = time.host_seconds;
  return time;
}

hwdb::Status VulkanCompute::upload(const VulkanBuffer& to, std::span<const std::byte> bytes) {
  auto staging = make_buffer(bytes.size(), BufferKind::upload);
  if (!staging) return staging.error();
  std::memcpy(staging->mapped().data(), bytes.data(), bytes.size());
  Submission copy;
  copy.steps = {CopyStep{&*staging, &to, bytes.size()}};
  const auto time = run(copy);
  if (!time) return time.error();
  return hwdb::Ok{};
}

hwdb::Result<std::vector<std::byte>> VulkanCompute::download(const VulkanBuffer& from,
                                                             std::uint64_t bytes) {
  auto staging = make_buffer(bytes, BufferKind::readback);
  if (!staging) return staging.error();
  Submission copy;
  copy.steps = {CopyStep{&from, &*staging, bytes}};
  const auto time = run(copy);
  if (!time) return time.error();
  const auto mapped = staging->mapped();
  return std::vector<std::byte>(mapped.begin(), mapped.end());
}

}  // namespace engine
