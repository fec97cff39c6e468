// SPDX-License-Identifier: MIT
// measure_cpu [--json] [--seconds N] [--sustained N] [--only memory|peaks|disk|power] [--file F]
// Measures processor, memory, disk and watts of this machine and prints the readings.
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "probes/detect_machine.h"
#include "probes/measure/measure_cpu.h"
#include "probes/measure/measure_machine.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--probe-child")
    return probes::run_probe_child(argv[2]);
  probes::CpuMeasureOptions options;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--json") {
      json = true;
    } else if (i + 1 == argc) {
      fmt::print(stderr, "measure_cpu: {} is no flag or has no value\n", flag);
      return 2;
    } else if (flag == "--seconds") {
      options.budget_seconds = std::atof(argv[++i]);
    } else if (flag == "--sustained") {
      options.sustained_seconds = std::atof(argv[++i]);
    } else if (flag == "--file") {
      options.disk_file = argv[++i];
    } else if (flag == "--only") {
      const std::string_view what = argv[++i];
      options.memory = what == "memory";
      options.peaks = what == "peaks";
      options.disk = what == "disk";
      options.power = what == "power";
    } else {
      fmt::print(stderr, "measure_cpu: {} is no flag\n", flag);
      return 2;
    }
  }
  probes::DetectOptions detect;
  detect.ask_vulkan = false;
  hwdb::Machine machine = probes::detect_machine(detect).machine;
  const auto progress = [](const probes::MeasureProgress& p) {
    fmt::print(stderr, "{:<36} {:3.0f} %, {:.0f} s left\n", p.step, 100 * p.fraction,
               p.eta_seconds);
  };
  const auto readings = probes::measure_cpu(machine, options, progress, nullptr);
  for (const probes::Reading& r : readings) {
    if (json) break;
    const std::string name = r.device.empty() ? r.id : r.id + " " + r.device;
    if (r.status == probes::ReadingStatus::ok)
      fmt::print("{:<32} {:>10.4g} {:<7} ±{:.2f} %  {}{}{}\n", name, r.value, r.unit,
                 100 * r.spread, r.method, r.reason.empty() ? "" : "; ", r.reason);
    else
      fmt::print("{:<32} {}: {}\n", name, hwdb::to_string(r.status), r.reason);
  }
  probes::apply_readings(readings, &machine);
  if (json) fmt::print("{}\n", hwdb::write_json(hwdb::machine_to_json(machine), 2));
  return 0;
}
