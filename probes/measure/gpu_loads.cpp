// SPDX-License-Identifier: MIT
// Memory and link loads; gpu_chains.cpp has those of the arithmetic, gpu_matrix.cpp of the matrix
// units.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "probes/measure/gpu_bench.h"
#include "probes/measure/gpu_reference.h"
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

// Below it the last-level caches of some cards hold a part.
constexpr std::uint64_t kUncachedStream = 1024 * kMiB;
constexpr std::uint32_t kDataSeed = 1, kWriteSeed = 7;

enum StreamKind { kRead, kCachedRead, kWrite, kCopy };

/// One way to walk through a buffer.
struct StreamForm {
  std::uint64_t bytes;
  std::uint32_t width, steps;
};

std::string size_text(std::uint64_t bytes) {
  if (bytes >= 1024 * kMiB)
    return fmt::format("{:g} GiB", static_cast<double>(bytes) / (1024 * kMiB));
  return fmt::format("{} MiB", bytes / kMiB);
}

hwdb::Error wrong(std::string_view what) {
  return {"probe.gpu_wrong", fmt::format("{} differ from the processor's", what), "Vulkan", ""};
}

std::vector<std::uint32_t> as_words(std::span<const std::byte> bytes) {
  std::vector<std::uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), 4 * words.size());
  return words;
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
  const auto largest = stream_bytes(2);
  if (!largest) return largest.error();
  std::vector<const VulkanBuffer*> buffers;
  const auto data = new_buffer(*largest, BufferKind::device);
  if (!data) return data.error();
  if (const auto status = fill(**data, kDataSeed); !status) return status.error();
  buffers.push_back(*data);
  if (kind != kWrite) {
    const auto other = new_buffer(kind == kCopy ? *largest : 4 * kMiB, BufferKind::device);
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
    case kCachedRead:
      figure.id = "gpu.cached_read_bandwidth";
      figure.method = "sums a buffer that fits in caches again and again, bytes read";
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
  std::vector<StreamForm> forms;
  if (kind == kCachedRead) {
    for (const std::uint64_t mib : {2U, 4U, 8U, 16U, 32U}) forms.push_back({mib * kMiB, 256, 8});
  } else {
    forms = {{*largest, 256, 16},
             {*largest, 256, 32},
             {*largest, 512, 8},
             {*largest, 512, 16},
             {*largest, 1024, 8}};
    if (*largest / 2 >= kUncachedStream) {
      forms.push_back({*largest / 2, 512, 8});
      forms.push_back({*largest / 2, 1024, 8});
    }
  }
  for (const StreamForm& form : forms) {
    if (form.width > gpu_.features().max_workgroup_size || form.bytes > *largest) continue;
    const auto n = static_cast<std::uint32_t>(form.bytes / 16);
    const std::uint32_t chunk = form.width * form.steps;
    const std::uint32_t chunks = (n + chunk - 1) / chunk;
    // What fits in a cache takes less time than a dispatch: many rounds in one.
    const std::uint32_t rounds = kind == kCachedRead && !gpu_.is_software() ? 32 : 1;
    if (chunks > gpu_.features().max_workgroups / rounds) continue;
    std::vector<std::uint32_t> push = {n};
    if (kind == kWrite) push.push_back(kWriteSeed);
    if (kind == kRead || kind == kCachedRead) push.push_back(chunks);
    const auto kernel = new_kernel({.spirv = code,
                                    .n_buffers = static_cast<std::uint32_t>(buffers.size()),
                                    .push_words = static_cast<std::uint32_t>(push.size()),
                                    .specialization = {form.width, form.steps}});
    if (!kernel) return kernel.error();
    GpuTrial trial;
    trial.label = fmt::format("{}, {} x {} x 16 bytes a workgroup", size_text(form.bytes),
                              form.width, form.steps);
    trial.work_per_pass = static_cast<double>(form.bytes) * rounds * (kind == kCopy ? 2 : 1);
    const DispatchStep step{*kernel, buffers, chunks * rounds, push};
    trial.run = [gpu = &gpu_, step](std::uint32_t passes) {
      // Every pass does the same, so that they may overlap: what counts is the flow, not its ends.
      return seconds_of(gpu, {.steps = {step}, .passes = passes, .ordered = false});
    };
    trial.check = [gpu = &gpu_, buffers, chunks, words = 4 * chunk, kind]() -> hwdb::Status {
      const bool sums = kind == kRead || kind == kCachedRead;
      const auto bytes = gpu->download(*buffers.back(), sums ? 4 * chunks : 4 * words);
      if (!bytes) return bytes.error();
      const auto got = as_words(*bytes);
      if (sums) {
        for (const std::uint32_t c : {0U, chunks / 2, chunks - 1}) {
          if (got[c] != gpu_reference::sum_of_words(c * words, words, kDataSeed))
            return wrong("the sums of what was read");
        }
        return hwdb::Ok{};
      }
      for (std::uint32_t i = 0; i < words; ++i) {
        const std::uint32_t expected =
            kind == kCopy ? gpu_reference::hash(i + kDataSeed) : i + kWriteSeed;
        if (got[i] != expected) return wrong(kind == kCopy ? "copied words" : "written words");
      }
      return hwdb::Ok{};
    };
    figure.trials.push_back(std::move(trial));
  }
  return figure;
}

hwdb::Result<GpuFigure> GpuLoads::read() {
  return stream(kRead);
}
hwdb::Result<GpuFigure> GpuLoads::cached_read() {
  return stream(kCachedRead);
}
hwdb::Result<GpuFigure> GpuLoads::write() {
  return stream(kWrite);
}
hwdb::Result<GpuFigure> GpuLoads::copy() {
  return stream(kCopy);
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
