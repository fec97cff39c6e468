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
};

const std::vector<Item>& items() {
  using engine::NumberType;
  static const std::vector<Item> kItems = {
      {"gpu.read_bandwidth", "B/s", [](GpuLoads* l) { return l->read(); }},
      {"gpu.write_bandwidth", "B/s", [](GpuLoads* l) { return l->write(); }},
      {"gpu.copy_bandwidth", "B/s", [](GpuLoads* l) { return l->copy(); }},
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
  };
  return kItems;
}

class Measuring {
 public:
  Measuring(engine::VulkanCompute* gpu, const GpuMeasureOptions& options, const MeasureHooks& hooks)
      : options_(options), hooks_(hooks), loads_(gpu, options) {}

  std::vector<Reading> run() {
    std::vector<const Item*> wanted;
    for (const Item& item : items()) {
      if (options_.only.empty() || std::ranges::find(options_.only, item.id) != options_.only.end())
        wanted.push_back(&item);
    }
    planned_seconds_ = options_.budget_seconds + 2 * options_.sustained_seconds;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const double left = options_.budget_seconds - elapsed();
      // Whatever went fast leaves more to those behind it; a slow one leaves each at least a
      // little.
      const double share = std::max(0.05, left / static_cast<double>(wanted.size() - i));
      report(wanted[i]->id);
      finish(take(*wanted[i], share));
    }
    if (options_.sustained_seconds > 0) hold();
    return std::move(readings_);
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  bool stopped() const {
    return hooks_.cancel != nullptr && hooks_.cancel->load(std::memory_order_relaxed);
  }
  void report(const std::string& step) {
    if (!hooks_.progress) return;
    const double done = elapsed(), left = std::max(0.0, planned_seconds_ - done);
    hooks_.progress({step, std::min(1.0, done / std::max(planned_seconds_, done)), left});
  }
  void finish(Reading reading) {
    if (hooks_.finished) hooks_.finished(reading);
    readings_.push_back(std::move(reading));
  }

  Reading take(const Item& item, double seconds) {
    if (stopped()) return failed_reading(item.id, item.unit, ReadingStatus::skipped, "cancelled");
    const auto figure = item.load(&loads_);
    Reading reading = figure ? measure_figure(*figure, seconds, hooks_)
                             : failed_figure(item.id, item.unit, figure.error());
    loads_.clear();
    return reading;
  }

  /// Memory first, then the hottest arithmetic there is.
  void hold() {
    const auto sustain = [&](const std::string& id, hwdb::Result<GpuFigure> figure) {
      const auto tick = [&](double) { report(id); };
      finish(figure ? measure_sustained(*figure, id, options_.sustained_seconds, hooks_, tick)
                    : failed_figure(id, "", figure.error()));
      loads_.clear();
    };
    sustain("gpu.sustained_read_bandwidth", loads_.read());
    if (auto matrix = loads_.matrix(engine::NumberType::float16))
      sustain("gpu.sustained_matrix_fp16_rate", std::move(matrix));
    else
      sustain("gpu.sustained_fp32_rate", loads_.fp32());
  }

  const GpuMeasureOptions& options_;
  const MeasureHooks& hooks_;
  GpuLoads loads_;
  std::vector<Reading> readings_;
  Clock::time_point start_ = Clock::now();
  double planned_seconds_ = 0;
};

}  // namespace

hwdb::Result<GpuMeasured> measure_gpu(const GpuMeasureOptions& options, const MeasureHooks& hooks) {
  auto gpu = engine::VulkanCompute::open(options.device);
  if (!gpu) return gpu.error();
  GpuMeasured measured;
  measured.device = gpu->device();
  measured.software_renderer = gpu->is_software();
  measured.readings = Measuring(&*gpu, options, hooks).run();
  measured.validation_messages = gpu->messages();
  return measured;
}

const std::vector<std::string>& gpu_reading_ids() {
  static const std::vector<std::string> kIds = [] {
    std::vector<std::string> ids;
    for (const Item& item : items()) ids.push_back(item.id);
    return ids;
  }();
  return kIds;
}

}  // namespace probes
