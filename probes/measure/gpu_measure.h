// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/runtime/vulkan_compute.h"
#include "hwdb/result.h"
#include "probes/measure/reading.h"

namespace probes {

struct GpuMeasureOptions {
  engine::ComputeOptions device;
  double budget_seconds = 15;    // all readings together; a slow device may take a little longer
  double run_seconds = 0.02;     // one submission; shorter where a driver's watchdog barks
  double sustained_seconds = 0;  // also hold the load this long, at least 20; 0: do not
  double memory_share = 0.25;    // of the device's budget, at most
  std::uint64_t max_buffer_bytes = std::uint64_t{2} << 30;
  std::vector<std::string> only;  // ids; empty: all
};

struct MeasureProgress {
  std::string step;     // the id of what is being measured
  double fraction = 0;  // of the whole
  double eta_seconds = 0;
};

struct MeasureHooks {
  std::function<void(const MeasureProgress&)> progress;
  std::function<void(const Reading&)> finished;  // each reading as soon as it is there
  const std::atomic<bool>* cancel = nullptr;     // set: what is left is skipped
};

struct GpuMeasured {
  engine::VulkanDevice device;
  bool software_renderer = false;  // then no figure is a GPU's
  std::vector<Reading> readings;
  std::vector<std::string> validation_messages;
};

/// Measures one device through Vulkan in this process: only a child process may call it. Readings,
/// in this order: gpu.read_bandwidth, gpu.write_bandwidth, gpu.copy_bandwidth (B/s, read and
/// written bytes counted), gpu.cached_read_bandwidth (of a buffer that caches hold), gpu.fp32_rate,
/// gpu.fp16_rate, gpu.int8_dot_rate, gpu.matrix_fp16_rate (sums in fp32), gpu.matrix_bf16_rate,
/// gpu.matrix_int8_rate (FLOP/s or OP/s), gpu.upload_bandwidth, gpu.download_bandwidth (pinned host
/// memory, B/s), and with `sustained_seconds` gpu.sustained_read_bandwidth and
/// gpu.sustained_compute_rate (fp16 matrices, else fp32). A device that is lost or hangs ends it
/// with that reading: the rest is missing. Errors: the device cannot be opened.
hwdb::Result<GpuMeasured> measure_gpu_here(const GpuMeasureOptions& options,
                                           const MeasureHooks& hooks);

/// An id that measure_gpu_here answers for, and its unit.
struct GpuReadingId {
  std::string id, unit;
};
/// Those that the options ask for, in order.
std::vector<GpuReadingId> gpu_reading_ids(const GpuMeasureOptions& options);
/// Whether a failed reading leaves the device unusable for this process.
bool ends_the_device(const Reading& reading);

}  // namespace probes
