// SPDX-License-Identifier: MIT
#include "probes/measure/gpu_measure.h"

#include <algorithm>
#include <chrono>

#include "probes/measure/gpu_bench.h"

namespace probes {
namespace {

using Clock = std::chrono::steady_clock;

struct Item {
  std::string id, unit;
  hwdb::Result<GpuFigure> (*load)(GpuLoads*);
  bool sustained = false;
};

const std::vector<Item>& items() {
  using engine::NumberType;
  static const std::vector<Item> kItems = {
      {"gpu.read_bandwidth", "B/s", [](GpuLoads* l) { return l->read(); }},
      {"gpu.write_bandwidth", "B/s", [](GpuLoads* l) { return l->write(); }},
      {"gpu.copy_bandwidth", "B/s", [](GpuLoads* l) { return l->copy(); }},
      {"gpu.cached_read_bandwidth", "B/s", [](GpuLoads* l) { return l->cached_read(); }},
      {"gpu.fp32_rate", "FLOP/s", [](GpuLoads* l) { return l->fp32(); }},
      {"gpu.fp16_rate", "FLOP/s", [](GpuLoads* l) { return l->fp16(); }},
      {"gpu.int8_dot_rate", "OP/s", [](GpuLoads* l) { return l->int8_dot(); }},
      {"gpu.matrix_fp16_rate", "FLOP/s",
       [](GpuLoads* l) { return l->matrix(NumberType::float16); }},
      {"gpu.matrix_bf16_rate", "FLOP/s",
       [](GpuLoads* l) { return l->matrix(NumberType::bfloat16); }},
      {"gpu.matrix_int8_rate", "OP/s", [](GpuLoads* l) { return l->matrix(NumberType::sint8); }},
      {"gpu.upload_bandwidth", "B/s", [](GpuLoads* l) { return l->upload(); }},
      {"gpu.download_bandwidth", "B/s", [](GpuLoads* l) { return l->download(); }},
      // Memory first, then the hottest arithmetic there is.
      {"gpu.sustained_read_bandwidth", "B/s", [](GpuLoads* l) { return l->read(); }, true},
      {"gpu.sustained_compute_rate", "FLOP/s",
       [](GpuLoads* l) {
         auto matrix = l->matrix(NumberType::float16);
         return matrix ? std::move(matrix) : l->fp32();
       },
       true},
  };
  return kItems;
}

std::vector<const Item*> wanted_items(const GpuMeasureOptions& options) {
  std::vector<const Item*> wanted;
  for (const Item& item : items()) {
    if (item.sustained && options.sustained_seconds <= 0) continue;
    if (options.only.empty() || std::ranges::find(options.only, item.id) != options.only.end())
      wanted.push_back(&item);
  }
  return wanted;
}

class Measuring {
 public:
  Measuring(engine::VulkanCompute* gpu, const GpuMeasureOptions& options, const MeasureHooks& hooks)
      : options_(options), hooks_(hooks), loads_(gpu, options) {}

  std::vector<Reading> run() {
    const auto wanted = wanted_items(options_);
    const auto n_sustained = std::ranges::count_if(wanted, &Item::sustained);
    std::size_t n_left = wanted.size() - static_cast<std::size_t>(n_sustained);
    planned_seconds_ =
        options_.budget_seconds + static_cast<double>(n_sustained) * options_.sustained_seconds;
    std::vector<Reading> readings;
    for (const Item* item : wanted) {
      report(item->id, true);
      const double left = options_.budget_seconds - elapsed();
      // Whatever went fast leaves more to those behind it; a slow one leaves each at least a
      // little.
      const double share = item->sustained ? options_.sustained_seconds
                                           : std::max(0.05, left / static_cast<double>(n_left--));
      readings.push_back(take(*item, share));
      if (hooks_.finished) hooks_.finished(readings.back());
      if (ends_the_device(readings.back())) break;
    }
    return readings;
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  bool stopped() const {
    return hooks_.cancel != nullptr && hooks_.cancel->load(std::memory_order_relaxed);
  }
  /// At the start of a step and a few times a second.
  void report(const std::string& step, bool now) {
    const double done = elapsed();
    if (!hooks_.progress || (!now && done < reported_ + 0.25)) return;
    reported_ = done;
    const double whole = std::max(planned_seconds_, done);
    hooks_.progress({step, whole > 0 ? done / whole : 1, std::max(0.0, planned_seconds_ - done)});
  }

  Reading take(const Item& item, double seconds) {
    if (stopped()) return failed_reading(item.id, item.unit, ReadingStatus::skipped, "cancelled");
    const auto figure = item.load(&loads_);
    const GpuPlan plan{seconds, options_.run_seconds, hooks_, [&] { report(item.id, false); }};
    Reading reading = !figure          ? failed_figure(item.id, item.unit, figure.error())
                      : item.sustained ? measure_sustained(*figure, item.id, plan)
                                       : measure_figure(*figure, plan);
    loads_.clear();
    return reading;
  }

  const GpuMeasureOptions& options_;
  const MeasureHooks& hooks_;
  GpuLoads loads_;
  Clock::time_point start_ = Clock::now();
  double planned_seconds_ = 0, reported_ = 0;
};

}  // namespace

hwdb::Result<GpuMeasured> measure_gpu_here(const GpuMeasureOptions& options,
                                           const MeasureHooks& hooks) {
  auto gpu = engine::VulkanCompute::open(options.device);
  if (!gpu) return gpu.error();
  GpuMeasured measured;
  measured.device = gpu->device();
  measured.software_renderer = gpu->is_software();
  measured.readings = Measuring(&*gpu, options, hooks).run();
  measured.validation_messages = gpu->messages();
  return measured;
}

std::vector<GpuReadingId> gpu_reading_ids(const GpuMeasureOptions& options) {
  std::vector<GpuReadingId> ids;
  for (const Item* item : wanted_items(options)) ids.push_back({item->id, item->unit});
  return ids;
}

bool ends_the_device(const Reading& reading) {
  return reading.status == ReadingStatus::error &&
         (reading.reason.starts_with("probe.gpu_lost") ||
          reading.reason.starts_with("probe.gpu_timeout"));
}

}  // namespace probes
