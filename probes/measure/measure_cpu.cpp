// SPDX-License-Identifier: MIT
#include "probes/measure/measure_cpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "probes/detect/cpu_places.h"
#include "probes/measure/cpu_bandwidth.h"
#include "probes/measure/cpu_peak.h"
#include "probes/measure/disk_read.h"
#include "probes/measure/measure_machine.h"
#include "probes/measure/power.h"
#include "probes/measure/processor_time.h"
#include "probes/sys_root.h"

namespace probes {
namespace {

constexpr std::string_view kIdle = "power.idle", kDisk = "disk.read_bandwidth";
// Of the budget; the steps of memory and peaks have weights of about 1 each.
constexpr double kIdleWeight = 2, kDiskWeight = 3;

class CpuMeasurement {
 public:
  CpuMeasurement(const hwdb::Machine& machine, const CpuMeasureOptions& options,
                 const std::function<void(const MeasureProgress&)>& progress,
                 const std::atomic<bool>* cancel)
      : options_(options),
        steps_(options.budget_seconds, progress, cancel),
        sys_(options.sysroot),
        session_{
            machine, places_of(machine), options.sustained_seconds, options.memory_share, steps_,
            {}} {}

  std::vector<Reading> run() {
    std::optional<PowerMeter> meter;
    std::optional<PowerSampler> sampler;
    std::vector<Reading> loads;
    if (options_.power) {
      meter.emplace(sys_);
      sampler.emplace(&*meter, sys_.is_live() && has_nvidia(), options_.child_program);
      session_.loaded = [&](std::string_view load, double from, double to) {
        if (load.empty()) return;
        meter->sample(measure_clock());
        append(&loads, meter->readings(load, from, to));
      };
    }
    const bool places = !session_.places.empty();
    if (options_.disk) steps_.plan(std::string(kDisk), kDiskWeight);
    if (options_.power) steps_.plan(std::string(kIdle), kIdleWeight);
    if (options_.memory && places) plan_cpu_bandwidth(&session_);
    if (options_.peaks && places) plan_cpu_peak(&session_);

    if (options_.disk) {
      const double seconds = steps_.begin(kDisk);
      readings_.push_back(
          measure_disk_read({options_.disk_file, options_.disk_folder}, seconds, &steps_));
    }
    if (meter) rest(&*meter);
    if (!places) {
      readings_.push_back(failed_reading("cpu.read_bandwidth", "B/s", ReadingStatus::unsupported,
                                         "the system does not say which processors may be used"));
    } else {
      if (options_.memory) append(&readings_, measure_cpu_bandwidth(&session_));
      if (options_.peaks)
        append(&readings_, measure_cpu_peak(&session_, read_cpu_identity(SysRoot())));
    }
    sampler.reset();
    append(&readings_, std::move(loads));
    for (Reading& r : readings_) r.as_of = options_.as_of.empty() ? today() : options_.as_of;
    steps_.finish();
    return std::move(readings_);
  }

 private:
  static void append(std::vector<Reading>* to, std::vector<Reading> from) {
    std::ranges::move(from, std::back_inserter(*to));
  }

  /// As many places as may be used at once: a quota allows fewer than there are.
  static std::vector<CpuPlace> places_of(const hwdb::Machine& machine) {
    std::vector<CpuPlace> places = read_cpu_places();
    const std::uint32_t most = machine.cpu.usable_threads;
    if (most > 0 && places.size() > most) places.resize(most);
    return places;
  }

  bool has_nvidia() const {
    return sys_.exists("/dev/nvidiactl") || sys_.exists("/dev/dxg") ||
           sys_.exists("/proc/driver/nvidia/version");
  }

  void rest(PowerMeter* meter) {
    const double seconds = steps_.begin(kIdle);
    const bool nvml = sys_.is_live() && has_nvidia();
    const ProcessorTime before = read_processor_time(sys_);
    const double from = measure_clock();
    while ((meter->any() || nvml) && measure_clock() < from + seconds && !steps_.cancelled()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      steps_.tick();
    }
    std::vector<Reading> idle = meter->readings("idle", from, measure_clock());
    const double share = busy_share(before, read_processor_time(sys_));
    for (Reading& r : idle) {
      if (share > 0.1 && r.status == ReadingStatus::ok)
        r.reason =
            fmt::format("other programs used {:.0f} % of the processors meanwhile", 100 * share);
    }
    append(&readings_, std::move(idle));
    append(&readings_, meter->missing("idle"));
  }

  const CpuMeasureOptions& options_;
  MeasureSteps steps_;
  SysRoot sys_;
  CpuSession session_;
  std::vector<Reading> readings_;
};

}  // namespace

std::vector<Reading> measure_cpu(const hwdb::Machine& machine, const CpuMeasureOptions& options,
                                 const std::function<void(const MeasureProgress&)>& progress,
                                 const std::atomic<bool>* cancel) {
  return CpuMeasurement(machine, options, progress, cancel).run();
}

}  // namespace probes
