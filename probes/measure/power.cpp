// SPDX-License-Identifier: MIT
#include "probes/measure/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/runtime/child_process.h"
#include "probes/child_message.h"
#include "probes/measure/measure_steps.h"

namespace probes {
namespace {

constexpr std::string_view kPowercap = "/sys/class/powercap", kHwmon = "/sys/class/hwmon",
                           kSupplies = "/sys/class/power_supply";
constexpr double kLeastSeconds = 0.5;
constexpr double kMostWatts = 1e5;  // beyond any machine: a counter's nonsense
constexpr auto kPeriod = std::chrono::milliseconds(100);

/// "package-0" → "cpu_package_0", "dram" of package 0 → "cpu_dram_0".
std::string rapl_name(std::string zone, std::string_view parent_zone) {
  std::ranges::replace(zone, '-', '_');
  const std::size_t at = parent_zone.rfind('-');
  if (at != std::string_view::npos) zone += fmt::format("_{}", parent_zone.substr(at + 1));
  return "cpu_" + zone;
}

}  // namespace

PowerMeter::PowerMeter(const SysRoot& sys) : sys_(sys) {
  find_rapl();
  find_hwmon();
  find_battery();
}

void PowerMeter::find_rapl() {
  std::size_t zones = 0;
  for (const std::string& entry : sys_.list(kPowercap)) {
    // "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it; AMD's are named the same. The
    // same counters appear again below intel-rapl-mmio.
    if (!entry.starts_with("intel-rapl:")) continue;
    const std::string folder = fmt::format("{}/{}", kPowercap, entry);
    const auto zone = sys_.read_text(folder + "/name", 64);
    if (!zone) continue;
    const bool part = std::ranges::count(entry, ':') == 2;
    // Cores and graphics are parts of the package that nobody asks for one by one.
    if (part && *zone != "dram") continue;
    const auto parent =
        part ? sys_.read_text(
                   fmt::format("{}/{}/name", kPowercap, entry.substr(0, entry.rfind(':'))), 64)
             : std::nullopt;
    ++zones;
    const std::string name = rapl_name(*zone, parent.value_or("")), file = folder + "/energy_uj";
    if (!sys_.read_number(file)) {
      const bool denied = sys_.denied(file);
      missing_.push_back({name, "",
                          denied ? ReadingStatus::not_permitted : ReadingStatus::unsupported,
                          denied ? fmt::format("{} may be read by root only", file)
                                 : fmt::format("{} cannot be read", file)});
      continue;
    }
    Sensor sensor;
    sensor.name = name;
    sensor.kind = Kind::energy;
    sensor.method = fmt::format("energy counter of RAPL ({})", *zone);
    sensor.range =
        static_cast<double>(sys_.read_number(folder + "/max_energy_range_uj").value_or(0));
    sensor.read = [this, file]() -> std::optional<double> {
      const auto micro = sys_.read_number(file);
      return micro ? std::optional(static_cast<double>(*micro)) : std::nullopt;
    };
    sensors_.push_back(std::move(sensor));
  }
  if (zones == 0)
    missing_.push_back({"cpu_package", "", ReadingStatus::unsupported,
                        fmt::format("no energy counters of the processor in {} (virtual machines "
                                    "have none)",
                                    kPowercap)});
}

void PowerMeter::find_hwmon() {
  for (const std::string& entry : sys_.list(kHwmon)) {
    const std::string folder = fmt::format("{}/{}", kHwmon, entry);
    const std::string driver = sys_.read_text(folder + "/name", 64).value_or("");
    if (driver != "amdgpu" && driver != "i915" && driver != "xe") continue;
    const std::string device = sys_.link_name(folder + "/device");
    Sensor sensor;
    sensor.name = "gpu";
    sensor.device = device;
    std::string denied;
    for (const auto& [file, kind] :
         {std::pair("energy1_input", Kind::energy), std::pair("power1_average", Kind::power),
          std::pair("power1_input", Kind::power)}) {
      const std::string path = fmt::format("{}/{}", folder, file);
      if (sys_.denied(path)) denied = path;
      if (sensor.read || !sys_.read_number(path)) continue;
      sensor.kind = kind;
      sensor.method = fmt::format("{} of {}", file, driver);
      sensor.read = [this, path]() -> std::optional<double> {
        const auto micro = sys_.read_number(path);
        return micro ? std::optional(static_cast<double>(*micro)) : std::nullopt;
      };
    }
    if (sensor.read) {
      sensors_.push_back(std::move(sensor));
    } else {
      missing_.push_back(
          {"gpu", device,
           denied.empty() ? ReadingStatus::unsupported : ReadingStatus::not_permitted,
           denied.empty() ? fmt::format("{} has no power sensor here", driver)
                          : denied + " may not be read"});
    }
  }
}

void PowerMeter::find_battery() {
  for (const std::string& entry : sys_.list(kSupplies)) {
    const std::string folder = fmt::format("{}/{}", kSupplies, entry);
    if (sys_.read_text(folder + "/type", 64) != "Battery") continue;
    // Batteries of mice and phones.
    if (sys_.read_text(folder + "/scope", 64) == "Device") continue;
    const std::string status = sys_.read_text(folder + "/status", 64).value_or("unknown");
    if (status != "Discharging") {
      missing_.push_back({"battery", "", ReadingStatus::unsupported,
                          fmt::format("the battery says \"{}\"; its draw is the machine's only "
                                      "while it discharges",
                                      status)});
      continue;
    }
    Sensor sensor;
    sensor.name = "battery";
    sensor.method = "draw of the battery, the whole machine";
    sensor.read = [this, folder]() -> std::optional<double> {
      if (sys_.read_text(folder + "/status", 64) != "Discharging") return std::nullopt;
      if (const auto power = sys_.read_number(folder + "/power_now"))
        return static_cast<double>(*power);
      const auto current = sys_.read_number(folder + "/current_now");
      const auto voltage = sys_.read_number(folder + "/voltage_now");
      if (!current || !voltage) return std::nullopt;
      return static_cast<double>(*current) * static_cast<double>(*voltage) / 1e6;
    };
    if (sensor.read()) {
      sensors_.push_back(std::move(sensor));
    } else {
      missing_.push_back(
          {"battery", "", ReadingStatus::unsupported, "the battery does not say its draw"});
    }
  }
}

void PowerMeter::add(Sensor* sensor, double at, double micro) {
  if (sensor->kind == Kind::power) {
    sensor->samples.push_back({at, micro / 1e6});
    return;
  }
  if (sensor->last >= 0 && micro < sensor->last) {
    // It began again: at its range if it has one, else the driver was reset and what was counted
    // since the last look is lost.
    sensor->wrapped += sensor->range > sensor->last ? sensor->range : sensor->last - micro;
  }
  sensor->last = micro;
  sensor->samples.push_back({at, (sensor->wrapped + micro) / 1e6});
}

void PowerMeter::sample(double at) {
  const std::lock_guard lock(mutex_);
  for (Sensor& sensor : sensors_) {
    const auto micro = sensor.read ? sensor.read() : std::nullopt;
    if (micro) add(&sensor, at, *micro);
  }
}

void PowerMeter::add_nvml(double at, const std::vector<engine::NvmlDevice>& devices) {
  const std::lock_guard lock(mutex_);
  for (const engine::NvmlDevice& device : devices) {
    const auto micro = device.energy_joules ? device.energy_joules : device.power_watts;
    if (!micro) continue;
    const std::string& key = device.pci_address.empty() ? device.uuid : device.pci_address;
    auto it = std::ranges::find_if(
        sensors_, [&](const Sensor& s) { return s.name == "gpu" && s.device == key; });
    if (it == sensors_.end()) {
      Sensor sensor;
      sensor.name = "gpu";
      sensor.device = key;
      sensor.kind = device.energy_joules ? Kind::energy : Kind::power;
      sensor.method = device.energy_joules ? "energy counter of NVML" : "power reading of NVML";
      sensors_.push_back(std::move(sensor));
      it = std::prev(sensors_.end());
    }
    if (!it->read) add(&*it, at, *micro * 1e6);
  }
}

void PowerMeter::fail_nvml(ReadingStatus status, std::string reason) {
  const std::lock_guard lock(mutex_);
  missing_.push_back({"gpu", "", status, std::move(reason)});
}

bool PowerMeter::any() const {
  const std::lock_guard lock(mutex_);
  return !sensors_.empty();
}

std::optional<Reading> PowerMeter::reading(const Sensor& sensor, std::string_view load, double from,
                                           double to) const {
  std::vector<Sample> inside;
  for (const Sample& s : sensor.samples) {
    if (s.at >= from && s.at <= to) inside.push_back(s);
  }
  std::vector<double> watts;
  double mean = 0;
  if (sensor.kind == Kind::power) {
    for (const Sample& s : inside) watts.push_back(s.value);
    for (const double w : watts) mean += w / static_cast<double>(watts.size());
  } else {
    for (std::size_t i = 1; i < inside.size(); ++i) {
      const double seconds = inside[i].at - inside[i - 1].at;
      if (seconds > 0) watts.push_back((inside[i].value - inside[i - 1].value) / seconds);
    }
    if (!watts.empty())
      mean = (inside.back().value - inside.front().value) / (inside.back().at - inside.front().at);
  }
  if (inside.empty()) return std::nullopt;
  const std::string id = fmt::format("power.{}.{}", sensor.name, load);
  const double covered = inside.back().at - inside.front().at;
  Reading r;
  if (watts.empty() || covered < kLeastSeconds) {
    r = failed_reading(id, "W", ReadingStatus::skipped, "the load was too short for this sensor");
  } else if (!std::isfinite(mean) || mean < 0 || mean > kMostWatts) {
    r = failed_reading(id, "W", ReadingStatus::error,
                       fmt::format("the sensor says {:.3g} W, which no machine draws", mean));
  } else {
    r = reading_of(id, "W", fmt::format("{}, mean of {:.1f} s", sensor.method, covered),
                   std::move(watts));
    r.value = mean;
  }
  r.device = sensor.device;
  return r;
}

std::vector<Reading> PowerMeter::readings(std::string_view load, double from, double to) const {
  const std::lock_guard lock(mutex_);
  std::vector<Reading> out;
  for (const Sensor& sensor : sensors_) {
    if (auto r = reading(sensor, load, from, to)) out.push_back(*std::move(r));
  }
  return out;
}

std::vector<Reading> PowerMeter::missing(std::string_view load) const {
  const std::lock_guard lock(mutex_);
  std::vector<Reading> out;
  for (const Missing& m : missing_) {
    out.push_back(
        failed_reading(fmt::format("power.{}.{}", m.name, load), "W", m.status, m.reason));
    out.back().device = m.device;
  }
  return out;
}

PowerSampler::PowerSampler(PowerMeter* meter, bool ask_nvml, const std::string& child_program) {
  files_ = std::thread([this, meter] {
    while (!stop_) {
      meter->sample(measure_clock());
      std::this_thread::sleep_for(kPeriod);
    }
  });
  if (!ask_nvml) return;
  nvml_ = std::thread([this, meter, child_program] {
    engine::ChildRequest request;
    request.program = child_program.empty() ? engine::own_program() : child_program;
    request.arguments = {"--probe-child", "nvml-power"};
    request.deadline_seconds = 3600;
    request.silence_seconds = 15;
    request.max_message_bytes = std::size_t{64} << 20;
    request.cancel = &stop_;
    std::string fault;
    ReadingStatus status = ReadingStatus::error;
    request.on_line = [&](std::string_view line) {
      const NvmlResult answer = read_nvml_message(line);
      if (answer) {
        meter->add_nvml(measure_clock(), answer->devices);
        return true;
      }
      fault = answer.error().what;
      if (answer.error().code == "probe.nvml_missing") status = ReadingStatus::unsupported;
      return false;
    };
    const engine::ChildOutcome child = engine::run_child(request);
    if (stop_) return;
    meter->fail_nvml(status, fault.empty() ? "its process " + child.describe() : fault);
  });
}

PowerSampler::~PowerSampler() {
  stop_ = true;
  files_.join();
  if (nvml_.joinable()) nvml_.join();
}

}  // namespace probes
