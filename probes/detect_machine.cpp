// SPDX-License-Identifier: MIT
#include "probes/detect_machine.h"

#include <array>
#include <chrono>
#include <utility>

#include "probes/detect/scene.h"

namespace probes {
namespace {

// In phases: each may use what those before it found.
constexpr std::array kDetectors = {
    Detector{"board", detect_board},
    Detector{"cpu", detect_cpu},
    Detector{"topology", detect_topology},
    Detector{"memory", detect_memory},
    Detector{"memory modules", detect_memory_modules},
    Detector{"limits", detect_limits},
    Detector{"environment", detect_environment},
    Detector{"form", detect_form},
    Detector{"pci", detect_pci},
    Detector{"gpu files", detect_gpu_sysfs},
    Detector{"nvml", detect_gpu_nvml},
    Detector{"vulkan", detect_gpu_vulkan},
    Detector{"gpus", join_gpus},
    Detector{"disks", detect_disks},
};

SysRoot root_of(const DetectOptions& options) {
  if (options.recorder != nullptr) return SysRoot(options.recorder);
  return options.tree != nullptr ? SysRoot(*options.tree) : SysRoot(options.sysroot);
}

}  // namespace

std::string_view to_string(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::unsupported:
      return "unsupported";
    case Status::not_permitted:
      return "not_permitted";
    case Status::skipped:
      return "skipped";
    case Status::error:
      return "error";
  }
  return "error";
}

hwdb::Status check_sysroot(const std::string& root) {
  return SysRoot::check(root);
}

Detected detect_machine(const DetectOptions& options) {
  using Clock = std::chrono::steady_clock;
  const SysRoot sys = root_of(options);
  Scene scene{sys, options, {}, {}, {}, {}, {}, {}};
  scene.machine.name = sys.is_live() ? "this machine" : "recorded machine";
  Detected out;
  for (const Detector& detector : kDetectors) {
    const Clock::time_point start = Clock::now();
    Outcome outcome = detector.run(&scene);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    out.steps.push_back({detector.name, std::string(to_string(outcome.status)),
                         std::move(outcome.reason), seconds});
    for (DetectStep& step : scene.extra_steps) out.steps.push_back(std::move(step));
    scene.extra_steps.clear();
  }
  out.machine = std::move(scene.machine);
  return out;
}

}  // namespace probes
