// SPDX-License-Identifier: MIT
// Inside probes/measure: how one figure is taken, whatever the kernel.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/runtime/vulkan_compute.h"
#include "probes/measure/gpu_measure.h"

namespace probes {

/// One way to run a load: `passes` times its work, answered with the seconds it took.
struct GpuTrial {
  std::string label;         // "1 GiB, workgroups of 256"
  double work_per_pass = 0;  // bytes or operations
  std::function<hwdb::Result<double>(std::uint32_t passes)> run;
};

/// A figure to be taken: the fastest of the trials, measured again at length.
struct GpuFigure {
  std::string id, unit;
  std::string method;  // what the kernel does and what is counted
  std::vector<GpuTrial> trials;
};

/// A run of that many passes takes about 20 ms, or as long as one pass takes.
struct GpuPace {
  std::uint32_t passes = 1;
  double rate = 0;  // work per second
};
hwdb::Result<GpuPace> find_pace(const GpuTrial& trial);

/// Tries, warms up until the rate stands still, then repeats for the rest of `seconds`: at least
/// five times.
Reading measure_figure(const GpuFigure& figure, double seconds, const MeasureHooks& hooks);

/// Holds the load and compares its first second with its last five. Two readings' worth: the value
/// is the sustained rate, `reason` says what the burst was and whether and when it throttled.
Reading measure_sustained(const GpuFigure& figure, std::string id, double seconds,
                          const MeasureHooks& hooks, const std::function<void(double)>& elapsed);

/// A reading of status error or unsupported, by the error's code.
Reading failed_figure(const std::string& id, const std::string& unit, const hwdb::Error& error);

/// The loads. Each answers with a figure without trials and `method` the reason when the device
/// cannot run it.
class GpuLoads {
 public:
  /// Data and results live as long as this.
  GpuLoads(engine::VulkanCompute* gpu, const GpuMeasureOptions& options)
      : gpu_(*gpu), options_(options) {}

  hwdb::Result<GpuFigure> read(), write(), copy();
  hwdb::Result<GpuFigure> fp32(), fp16(), int8_dot();
  hwdb::Result<GpuFigure> matrix(engine::NumberType factors);
  hwdb::Result<GpuFigure> upload(), download();
  /// Frees what the loads so far have allocated; their figures must not be run any more.
  void clear();

 private:
  hwdb::Result<std::uint64_t> stream_bytes(std::uint32_t n_buffers) const;
  hwdb::Result<engine::VulkanBuffer*> new_buffer(std::uint64_t bytes, engine::BufferKind kind);
  hwdb::Result<engine::VulkanKernel*> new_kernel(const engine::KernelRequest& request);
  hwdb::Status fill(const engine::VulkanBuffer& buffer, std::uint32_t seed);
  hwdb::Result<GpuFigure> stream(int kind);
  hwdb::Result<GpuFigure> chains(int kind);
  hwdb::Result<GpuFigure> host_copy(bool up);

  engine::VulkanCompute& gpu_;
  const GpuMeasureOptions& options_;
  std::vector<std::unique_ptr<engine::VulkanBuffer>> buffers_;
  std::vector<std::unique_ptr<engine::VulkanKernel>> kernels_;
};

}  // namespace probes
