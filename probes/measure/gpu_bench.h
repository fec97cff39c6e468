// SPDX-License-Identifier: MIT
// Inside probes/measure: how one figure is taken, whatever the kernel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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
  /// Whether the last run, which must have been this trial's, computed what it should, by a few
  /// results computed again on the processor; error probe.gpu_wrong. May be empty.
  std::function<hwdb::Status()> check;
};

/// A trial's run that dispatches `step` again for each pass, `most_at_once` of them in one
/// dispatch.
std::function<hwdb::Result<double>(std::uint32_t passes)> repeat_dispatch(
    engine::VulkanCompute* gpu, engine::DispatchStep step, std::uint32_t most_at_once);

/// A figure to be taken: the fastest of the trials, measured again at length.
struct GpuFigure {
  std::string id, unit;
  std::string method;  // what the kernel does and what is counted
  std::vector<GpuTrial> trials;
};

/// How long to run and who listens.
struct GpuPlan {
  double seconds = 1;         // for the whole figure
  double run_seconds = 0.02;  // for one submission
  const MeasureHooks& hooks;
  std::function<void()> tick;  // between two submissions
};

/// A run of that many passes takes about `run_seconds`, or as long as one pass takes.
struct GpuPace {
  std::uint32_t passes = 1;
  double rate = 0;  // work per second
};
hwdb::Result<GpuPace> find_pace(const GpuTrial& trial, double run_seconds);

/// Tries, checks the best, warms up until the rate stands still, then repeats for the rest of the
/// time: at least five times.
Reading measure_figure(const GpuFigure& figure, const GpuPlan& plan);

/// One run of a load that is being held.
struct HeldRate {
  double at = 0;  // seconds since the start, when the run ended
  double rate = 0;
};
/// Burst against the end. It throttled when the last window is slower than the burst by more than
/// the larger spread of the two, and by at least 5 %.
struct SustainedVerdict {
  double burst = 0;      // median of the best half second of the first two
  double sustained = 0;  // median of the last window: 5 s, or a quarter of the time if that is less
  bool throttled = false;
  double after_seconds = 0;  // when it first fell below what counts as throttled and stayed there
  std::vector<double> last;  // the last window's rates
};
/// In order of time; empty: all zero.
SustainedVerdict judge_sustained(const std::vector<HeldRate>& rates);

/// Holds the load. The value is the sustained rate; `reason` says what the burst was and whether
/// and when it throttled.
Reading measure_sustained(const GpuFigure& figure, const std::string& id, const GpuPlan& plan);

/// A reading of status error or unsupported, by the error's code.
Reading failed_figure(const std::string& id, const std::string& unit, const hwdb::Error& error);

/// The loads. Each answers with a figure without trials and `method` the reason when the device
/// cannot run it.
class GpuLoads {
 public:
  /// Data and results live as long as this.
  GpuLoads(engine::VulkanCompute* gpu, const GpuMeasureOptions& options)
      : gpu_(*gpu), options_(options) {}

  hwdb::Result<GpuFigure> read(), cached_read(), write(), copy();
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
  hwdb::Result<GpuFigure> chains(engine::NumberType type);
  hwdb::Result<GpuFigure> host_copy(bool up);

  engine::VulkanCompute& gpu_;
  const GpuMeasureOptions& options_;
  std::vector<std::unique_ptr<engine::VulkanBuffer>> buffers_;
  std::vector<std::unique_ptr<engine::VulkanKernel>> kernels_;
};

}  // namespace probes
