// SPDX-License-Identifier: MIT
// Memory and arithmetic loads; gpu_matrix.cpp has those of the matrix units.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "probes/measure/gpu_bench.h"
#include "probes/measure/gpu_shaders.h"

namespace probes {
namespace {

using engine::BufferKind;
using engine::DispatchStep;
using engine::GpuStep;
using engine::Submission;
using engine::VulkanBuffer;
using engine::VulkanKernel;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kSmallestStream = 16 * kMiB;
// A software renderer reads a few GB/s; one pass shall not take seconds.
constexpr std::uint64_t kSoftwareStream = 256 * kMiB;

enum StreamKind { kRead, kWrite, kCopy };
enum ChainKind { kFp32, kFp16, kInt8 };

std::string size_text(std::uint64_t bytes) {
  if (bytes >= 1024 * kMiB)
    return fmt::format("{:g} GiB", static_cast<double>(bytes) / (1024 * kMiB));
  return fmt::format("{} MiB", bytes / kMiB);
}

hwdb::Error unsupported(std::string what) {
  return {"probe.gpu_unsupported", std::move(what), "Vulkan", ""};
}

hwdb::Result<double> seconds_of(engine::VulkanCompute* gpu, const Submission& submission) {
  const auto time = gpu->run(submission);
  if (!time) return time.error();
  return time->device_seconds;
}

}  // namespace

void GpuLoads::clear() {
  kernels_.clear();
  buffers_.clear();
}

hwdb::Result<VulkanBuffer*> GpuLoads::new_buffer(std::uint64_t bytes, BufferKind kind) {
  auto buffer = gpu_.make_buffer(bytes, kind);
  if (!buffer) return buffer.error();
  buffers_.push_back(std::make_unique<VulkanBuffer>(std::move(*buffer)));
  return buffers_.back().get();
}

hwdb::Result<VulkanKernel*> GpuLoads::new_kernel(const engine::KernelRequest& request) {
  auto kernel = gpu_.make_kernel(request);
  if (!kernel) return kernel.error();
  kernels_.push_back(std::make_unique<VulkanKernel>(std::move(*kernel)));
  return kernels_.back().get();
}

/// The largest power of two that keeps all buffers within the share of the memory.
hwdb::Result<std::uint64_t> GpuLoads::stream_bytes(std::uint32_t n_buffers) const {
  const engine::VulkanDevice& device = gpu_.device();
  const auto share =
      static_cast<double>(gpu_.features().budget_bytes) * options_.memory_share / n_buffers;
  std::uint64_t bytes = std::min(static_cast<std::uint64_t>(share), options_.max_buffer_bytes);
  bytes = std::min(bytes, device.max_buffer_bytes);
  if (device.max_allocation_bytes > 0) bytes = std::min(bytes, device.max_allocation_bytes);
  if (gpu_.is_software()) bytes = std::min(bytes, kSoftwareStream);
  bytes = std::bit_floor(bytes);
  if (bytes < kSmallestStream)
    return hwdb::Error{"probe.gpu_memory",
                       fmt::format("a share of {:.0f} % of its memory is less than {}",
                                   100 * options_.memory_share, size_text(kSmallestStream)),
                       "Vulkan", "close other programs that use the GPU"};
  return bytes;
}

hwdb::Status GpuLoads::fill(const VulkanBuffer& buffer, std::uint32_t seed) {
  const auto kernel = new_kernel(
      {.spirv = gpu_shaders::fill(), .n_buffers = 1, .push_words = 2, .specialization = {128}});
  if (!kernel) return kernel.error();
  Submission work;
  work.steps = {DispatchStep{
      *kernel, {&buffer}, 4096, {static_cast<std::uint32_t>(buffer.bytes() / 4), seed}}};
  const auto time = gpu_.run(work);
  if (!time) return time.error();
  return hwdb::Ok{};
}

hwdb::Result<GpuFigure> GpuLoads::stream(int kind) {
  // Half as much for reading and writing as would be allowed: the same size for all three.
  const auto bytes = stream_bytes(2);
  if (!bytes) return bytes.error();
  std::vector<const VulkanBuffer*> buffers;
  const auto data = new_buffer(*bytes, BufferKind::device);
  if (!data) return data.error();
  if (const auto status = fill(**data, 1); !status) return status.error();
  buffers.push_back(*data);
  if (kind != kWrite) {
    const auto other = new_buffer(kind == kCopy ? *bytes : 4 * kMiB, BufferKind::device);
    if (!other) return other.error();
    buffers.push_back(*other);
  }
  GpuFigure figure;
  figure.unit = "B/s";
  std::span<const std::uint32_t> code;
  switch (kind) {
    case kRead:
      figure.id = "gpu.read_bandwidth";
      figure.method = "sums a buffer of random words, bytes read";
      code = gpu_shaders::read();
      break;
    case kWrite:
      figure.id = "gpu.write_bandwidth";
      figure.method = "writes a buffer, bytes written";
      code = gpu_shaders::write();
      break;
    default:
      figure.id = "gpu.copy_bandwidth";
      figure.method = "copies a buffer, bytes read and written";
      code = gpu_shaders::copy();
      break;
  }
  struct Form {
    std::uint32_t width, steps;
  };
  const auto n = static_cast<std::uint32_t>(*bytes / 16);
  for (const Form form :
       {Form{256, 16}, Form{256, 32}, Form{512, 8}, Form{512, 16}, Form{1024, 8}}) {
    if (form.width > gpu_.features().max_workgroup_size) continue;
    const std::uint32_t chunk = form.width * form.steps;
    const std::uint32_t groups = (n + chunk - 1) / chunk;
    if (groups > gpu_.features().max_workgroups) continue;
    std::vector<std::uint32_t> push = {n};
    if (kind == kWrite) push.push_back(7);
    const auto kernel = new_kernel({.spirv = code,
                                    .n_buffers = static_cast<std::uint32_t>(buffers.size()),
                                    .push_words = static_cast<std::uint32_t>(push.size()),
                                    .specialization = {form.width, form.steps}});
    if (!kernel) return kernel.error();
    GpuTrial trial;
    trial.label = fmt::format("{}, {} x {} x 16 bytes a workgroup", size_text(*bytes), form.width,
                              form.steps);
    trial.work_per_pass = static_cast<double>(*bytes) * (kind == kCopy ? 2 : 1);
    const DispatchStep step{*kernel, buffers, groups, push};
    trial.run = [gpu = &gpu_, step](std::uint32_t passes) {
      // Every pass does the same, so that they may overlap: what counts is the flow, not its ends.
      return seconds_of(gpu, {.steps = {step}, .passes = passes, .ordered = false});
    };
    figure.trials.push_back(std::move(trial));
  }
  return figure;
}

hwdb::Result<GpuFigure> GpuLoads::read() {
  return stream(kRead);
}
hwdb::Result<GpuFigure> GpuLoads::write() {
  return stream(kWrite);
}
hwdb::Result<GpuFigure> GpuLoads::copy() {
  return stream(kCopy);
}

hwdb::Result<GpuFigure> GpuLoads::chains(int kind) {
  constexpr std::uint32_t kData = 4096, kOut = 1U << 20, kGroupsPerPass = 64;
  const engine::ComputeFeatures& f = gpu_.features();
  GpuFigure figure;
  engine::KernelRequest request;
  request.n_buffers = 2;
  request.push_words = 3;
  double operations = 0;  // of a thread in a turn
  switch (kind) {
    case kFp32:
      figure = {"gpu.fp32_rate", "FLOP/s", "16 chains of FMAs a thread, 2 operations each", {}};
      request.spirv = gpu_shaders::fma_fp32();
      operations = 2 * 128;
      break;
    case kFp16:
      figure = {
          "gpu.fp16_rate", "FLOP/s", "16 chains of FMAs on pairs a thread, 4 operations each", {}};
      request.spirv = gpu_shaders::fma_fp16();
      operations = 4 * 128;
      if (!f.float16) return unsupported("the device has no fp16 arithmetic");
      break;
    default:
      figure = {"gpu.int8_dot_rate",
                "OP/s",
                fmt::format("16 chains of 4 x int8 dot products a thread, 8 operations each{}",
                            f.int_dot_accelerated ? "" : ", which the driver does not accelerate"),
                {}};
      request.spirv = gpu_shaders::dot_int8();
      operations = 8 * 128;
      if (!f.int_dot) return unsupported("the driver has no integer dot products");
      break;
  }
  const auto data = new_buffer(kData * 16, BufferKind::device);
  const auto sums = new_buffer(std::uint64_t{kOut} * 4, BufferKind::device);
  if (!data) return data.error();
  if (!sums) return sums.error();
  if (kind == kInt8) {
    if (const auto status = fill(**data, 3); !status) return status.error();
  } else {
    // The top 24 bits of the hash, as on the host's side of the tests: every value in [0, 1).
    std::vector<float> values(kData * 4);
    std::uint32_t x = 12345;
    for (float& v : values) {
      x = x * 1664525U + 1013904223U;
      v = static_cast<float>(x >> 8) / static_cast<float>(1U << 24);
    }
    if (const auto status = gpu_.upload(**data, std::as_bytes(std::span(values))); !status)
      return status.error();
  }
  // A thread's turns: long against its start, short against a run, so that many waves fill the
  // device.
  const std::uint32_t turns = gpu_.is_software() ? 16 : 256;
  const std::uint32_t mask = kind == kInt8 ? 4 * kData - 1 : kData - 1;
  for (const std::uint32_t width : {256U, 128U, 512U}) {
    if (width > f.max_workgroup_size) continue;
    request.specialization = {width};
    const auto kernel = new_kernel(request);
    if (!kernel) return kernel.error();
    GpuTrial trial;
    trial.label = fmt::format("workgroups of {}", width);
    trial.work_per_pass = operations * turns * width * kGroupsPerPass;
    const DispatchStep step{*kernel, {*data, *sums}, kGroupsPerPass, {turns, mask, kOut - 1}};
    const std::uint32_t most = f.max_workgroups / kGroupsPerPass;
    trial.run = [gpu = &gpu_, step, most](std::uint32_t passes) {
      Submission work;
      work.ordered = false;
      while (passes > 0) {
        const std::uint32_t now = std::min(passes, most);
        DispatchStep part = step;
        part.workgroups *= now;
        work.steps.emplace_back(std::move(part));
        passes -= now;
      }
      return seconds_of(gpu, work);
    };
    figure.trials.push_back(std::move(trial));
  }
  return figure;
}

hwdb::Result<GpuFigure> GpuLoads::fp32() {
  return chains(kFp32);
}
hwdb::Result<GpuFigure> GpuLoads::fp16() {
  return chains(kFp16);
}
hwdb::Result<GpuFigure> GpuLoads::int8_dot() {
  return chains(kInt8);
}

hwdb::Result<GpuFigure> GpuLoads::host_copy(bool up) {
  auto bytes = stream_bytes(1);
  if (!bytes) return bytes.error();
  *bytes = std::min(*bytes, 256 * kMiB);
  const auto host = new_buffer(*bytes, up ? BufferKind::upload : BufferKind::readback);
  const auto device = new_buffer(*bytes, BufferKind::device);
  if (!host) return host.error();
  if (!device) return device.error();
  if (const auto status = fill(**device, 5); !status) return status.error();
  if (up) {
    // Written once, so that every page is there and none is zero.
    std::uint32_t x = 1;
    const auto mapped = (*host)->mapped();
    for (std::size_t i = 0; i + 4 <= mapped.size(); i += 4) {
      x = x * 1664525U + 1013904223U;
      std::memcpy(&mapped[i], &x, 4);
    }
  }
  GpuFigure figure;
  figure.id = up ? "gpu.upload_bandwidth" : "gpu.download_bandwidth";
  figure.unit = "B/s";
  figure.method =
      fmt::format("copies pinned memory {} the device on {}", up ? "to" : "from",
                  gpu_.features().transfer_queue ? "a queue for transfers" : "the compute queue");
  GpuTrial trial;
  trial.label = size_text(*bytes);
  trial.work_per_pass = static_cast<double>(*bytes);
  const engine::CopyStep step{up ? *host : *device, up ? *device : *host, *bytes};
  trial.run = [gpu = &gpu_, step](std::uint32_t passes) {
    return seconds_of(
        gpu, {.steps = {step}, .passes = passes, .ordered = false, .on_transfer_queue = true});
  };
  figure.trials.push_back(std::move(trial));
  return figure;
}

hwdb::Result<GpuFigure> GpuLoads::upload() {
  return host_copy(true);
}
hwdb::Result<GpuFigure> GpuLoads::download() {
  return host_copy(false);
}

}  // namespace probes
