// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/runtime/nvml_loader.h"
#include "probes/measure/reading.h"
#include "probes/sys_root.h"

namespace probes {

/// Watts of all that tells: RAPL (processor packages, their memory), amdgpu, i915 and xe (hwmon),
/// the battery while it discharges (the whole machine), NVIDIA's cards through what a child says.
/// Knows the sensors of one machine, running or recorded. Safe to use from several threads.
class PowerMeter {
 public:
  explicit PowerMeter(const SysRoot& sys);

  /// Reads every sensor; `at` is measure_clock().
  void sample(double at);
  /// What NVML said then.
  void add_nvml(double at, const std::vector<engine::NvmlDevice>& devices);
  /// Why NVML says nothing.
  void fail_nvml(ReadingStatus status, std::string reason);

  /// Whether anything can be measured.
  bool any() const;
  /// A reading "power.SENSOR.LOAD" (watts) for each sensor that told something between the two
  /// times, which should lie at least half a second apart. Energy counters are read at both ends;
  /// others are averaged.
  std::vector<Reading> readings(std::string_view load, double from, double to) const;
  /// Readings of status unsupported or not_permitted for what is missing, of the same ids.
  std::vector<Reading> missing(std::string_view load) const;

 private:
  enum class Kind { energy, power };
  struct Sample {
    double at = 0, value = 0;  // joules since the first sample, or watts
  };
  struct Sensor {
    std::string name, device, method;
    Kind kind = Kind::power;
    std::function<std::optional<double>()> read;  // microjoules or microwatts; empty: NVML's
    double range = 0;                             // an energy counter begins again there; 0: never
    double last = -1;                             // its last value
    double wrapped = 0;                           // what it counted before that, in its unit
    std::vector<Sample> samples;
  };
  struct Missing {
    std::string name, device;
    ReadingStatus status = ReadingStatus::unsupported;
    std::string reason;
  };

  void find_rapl();
  void find_hwmon();
  void find_battery();
  void add(Sensor* sensor, double at, double micro);
  std::optional<Reading> reading(const Sensor& sensor, std::string_view load, double from,
                                 double to) const;

  const SysRoot& sys_;
  mutable std::mutex mutex_;
  std::vector<Sensor> sensors_;
  std::vector<Missing> missing_;
};

/// Samples a meter ten times a second in the background, and asks NVML in a child process when
/// there is an NVIDIA GPU; ends both when it goes.
class PowerSampler {
 public:
  /// `child_program` as in DetectOptions.
  PowerSampler(PowerMeter* meter, bool ask_nvml, const std::string& child_program);
  PowerSampler(const PowerSampler&) = delete;
  PowerSampler& operator=(const PowerSampler&) = delete;
  ~PowerSampler();

 private:
  std::atomic<bool> stop_{false};
  std::thread files_, nvml_;
};

}  // namespace probes
