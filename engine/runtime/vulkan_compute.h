// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/runtime/vulkan_loader.h"
#include "hwdb/result.h"

/// Compute through Vulkan: one device, its buffers and kernels, and timed submissions. Loads
/// vendors' drivers into this process, so only a child process may use it. Errors: those of
/// list_vulkan_devices, and probe.gpu_memory, probe.gpu_lost, probe.gpu_timeout,
/// probe.gpu_unsupported, probe.vulkan_layer. Not for two threads at once.
namespace engine {

enum class NumberType { float16, float32, bfloat16, sint8, uint8, sint32, uint32, other };
/// "fp16", "fp32", "bf16", "int8", "uint8", "int32", "uint32", "other".
std::string_view to_string(NumberType type);

/// One shape D = A(m,k) * B(k,n) + C(m,n) that a subgroup can compute as a whole
/// (VK_KHR_cooperative_matrix).
struct MatrixShape {
  std::uint32_t m = 0, n = 0, k = 0;
  NumberType a = NumberType::other, b = NumberType::other;
  NumberType c = NumberType::other, result = NumberType::other;
  bool saturating = false;
};

struct ComputeFeatures {
  bool storage_16bit = false, storage_8bit = false;
  bool float16 = false, int8 = false;  // arithmetic
  bool int_dot = false;                // 4 x int8 dot products, in hardware or not
  bool int_dot_accelerated = false;    // the driver says that they are faster than plain code
  bool bfloat16_matrix = false;
  std::vector<MatrixShape> matrix_shapes;  // empty without cooperative matrices
  std::uint32_t subgroup_size = 0, min_subgroup_size = 0, max_subgroup_size = 0;
  bool fixed_subgroup_size = false;  // a kernel may ask for one
  bool full_subgroups = false;       // and for workgroups without a part-filled subgroup
  std::uint32_t max_workgroup_size = 0, shared_memory_bytes = 0, max_workgroups = 0;
  double timestamp_ns = 0;         // 0: no timestamps, the host's clock is used
  bool transfer_queue = false;     // one of its own, apart from the compute queue
  std::uint64_t memory_bytes = 0;  // of the largest heap on the device
  std::uint64_t budget_bytes = 0;  // what of it this process may take now; memory_bytes if unsaid
};

struct ComputeOptions {
  std::string library = "libvulkan.so.1";
  // The device wanted: by its address; where its driver says none, by UUID (as Vulkan or NVML
  // writes it); else by "vendor:device" when just one device has that id. All "": the first.
  std::string pci_address, uuid, pci_id;
  bool allow_software = true;  // false: a software renderer is refused, probe.gpu_unsupported
  bool validate = false;
};

struct VulkanDeviceState;  // the Vulkan room's own

enum class BufferKind {
  device,   // fast, not visible to the host
  upload,   // pinned system memory, written by the host
  readback  // pinned system memory, cached, read by the host
};

class VulkanBuffer {
 public:
  VulkanBuffer(VulkanBuffer&&) noexcept;
  VulkanBuffer& operator=(VulkanBuffer&&) noexcept;
  ~VulkanBuffer();
  std::uint64_t bytes() const;
  /// The host's view; empty for BufferKind::device.
  std::span<std::byte> mapped() const;

  struct State;
  const State& state() const { return *state_; }
  explicit VulkanBuffer(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

struct KernelRequest {
  std::span<const std::uint32_t> spirv;       // entry point "main"
  std::uint32_t n_buffers = 0;                // storage buffers, set 0, bindings from 0
  std::uint32_t push_words = 0;               // 32-bit push constants
  std::vector<std::uint32_t> specialization;  // constants 0, 1, ...
  std::uint32_t subgroup_size = 0;            // 0: the driver's choice
};

class VulkanKernel {
 public:
  VulkanKernel(VulkanKernel&&) noexcept;
  VulkanKernel& operator=(VulkanKernel&&) noexcept;
  ~VulkanKernel();

  struct State;
  const State& state() const { return *state_; }
  explicit VulkanKernel(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

struct DispatchStep {
  const VulkanKernel* kernel = nullptr;
  std::vector<const VulkanBuffer*> buffers;
  std::uint32_t workgroups = 1;
  std::vector<std::uint32_t> push;
};
struct CopyStep {
  const VulkanBuffer* from = nullptr;
  const VulkanBuffer* to = nullptr;
  std::uint64_t bytes = 0;
};
using GpuStep = std::variant<DispatchStep, CopyStep>;

struct Submission {
  std::vector<GpuStep> steps;
  std::uint32_t passes = 1;        // the steps, this many times over
  bool ordered = true;             // each step waits for the one before; else they may overlap
  bool on_transfer_queue = false;  // copies only; the compute queue where there is no other
  double timeout_seconds = 10;
};

struct RunTime {
  double device_seconds = 0;  // between the timestamps; host_seconds without any
  double host_seconds = 0;    // from submission to the fence
};

class VulkanCompute {
 public:
  static hwdb::Result<VulkanCompute> open(const ComputeOptions& options);
  VulkanCompute(VulkanCompute&&) noexcept;
  VulkanCompute& operator=(VulkanCompute&&) noexcept;
  /// Buffers and kernels may outlive it. After a timeout nothing is given back to the driver: that
  /// would wait for what hangs.
  ~VulkanCompute();

  const VulkanDevice& device() const;
  const ComputeFeatures& features() const;
  /// Draws or computes on the processor: its figures are never a GPU's.
  bool is_software() const;

  hwdb::Result<VulkanBuffer> make_buffer(std::uint64_t bytes, BufferKind kind);
  hwdb::Result<VulkanKernel> make_kernel(const KernelRequest& request);
  /// Records, submits and waits. Error probe.gpu_timeout: the device is unusable from then on.
  hwdb::Result<RunTime> run(const Submission& submission);
  /// Through a staging buffer; the sizes must fit.
  hwdb::Status upload(const VulkanBuffer& to, std::span<const std::byte> bytes);
  hwdb::Result<std::vector<std::byte>> download(const VulkanBuffer& from, std::uint64_t bytes);
  /// What the validation layer has said since the opening.
  std::vector<std::string> messages() const;

 private:
  explicit VulkanCompute(std::shared_ptr<VulkanDeviceState> state);
  std::shared_ptr<VulkanDeviceState> state_;
};

}  // namespace engine
