// SPDX-License-Identifier: MIT
#include "planner/speed_factor.h"

#include <algorithm>

namespace planner {
namespace {

bool is_small(const hwdb::Machine& machine) {
  return machine.form == "board" || machine.form == "phone";
}

// -1: the row is against it; else how many of its members speak for it.
int match(const std::string& row, std::string_view asked) {
  if (row.empty()) return 0;
  return row == asked ? 1 : -1;
}

}  // namespace

std::string_view to_string(hwdb::GpuInfo::Backend backend) {
  switch (backend) {
    case hwdb::GpuInfo::Backend::cuda:
      return "cuda";
    case hwdb::GpuInfo::Backend::rocm:
      return "rocm";
    case hwdb::GpuInfo::Backend::vulkan:
      return "vulkan";
    case hwdb::GpuInfo::Backend::metal:
      return "metal";
    case hwdb::GpuInfo::Backend::sycl:
      return "sycl";
  }
  return "vulkan";
}

const hwdb::SpeedFactorRow& find_factor(const Assumptions& assumptions, std::string_view backend,
                                        std::string_view vendor, std::string_view arch,
                                        std::string_view form) {
  const hwdb::SpeedFactorRow* best = nullptr;
  int best_score = -1;
  if (assumptions.speed_factors) {
    for (const hwdb::SpeedFactorRow& row : *assumptions.speed_factors) {
      const int by_backend = match(row.backend, backend), by_form = match(row.form, form);
      if (by_backend < 0 || by_form < 0) continue;
      const int by_arch = match(row.arch, arch), by_vendor = match(row.vendor, vendor);
      if (by_arch < 0 || by_vendor < 0) continue;
      // The architecture says more than the form, the form more than the vendor.
      const int score = 8 * by_backend + 4 * by_arch + 2 * by_form + by_vendor;
      if (score > best_score) best = &row, best_score = score;
    }
  }
  return best ? *best : fallback_factor();
}

const hwdb::SpeedFactorRow& factor_of(const Assumptions& assumptions, const hwdb::GpuInfo& gpu,
                                      hwdb::GpuInfo::Backend backend) {
  std::string_view form = gpu.form;
  if (form.empty()) {
    form = gpu.kind == hwdb::GpuInfo::Kind::discrete     ? "discrete"
           : gpu.kind == hwdb::GpuInfo::Kind::integrated ? "integrated"
                                                         : "unified";
  }
  return find_factor(assumptions, to_string(backend), gpu.vendor, gpu.arch, form);
}

const hwdb::SpeedFactorRow& cpu_factor(const Assumptions& assumptions,
                                       const hwdb::Machine& machine) {
  const std::string_view name = machine.cpu.name;
  const std::string_view vendor = name.substr(0, name.find(' '));
  return find_factor(assumptions, "cpu", vendor, "", is_small(machine) ? "board" : "cpu");
}

hwdb::FlopsPerSecond gpu_peak(const hwdb::GpuInfo& gpu) {
  if (gpu.peak_fp16 && gpu.peak_fp16->value.value > 0) return gpu.peak_fp16->value;
  if (gpu.peak_fp32) return gpu.peak_fp32->value;
  return hwdb::FlopsPerSecond(0);
}

hwdb::FlopsPerSecond cpu_peak(const hwdb::Machine& machine, bool* assumed) {
  const hwdb::CpuInfo& cpu = machine.cpu;
  *assumed = !cpu.peak_fp32.has_value();
  if (cpu.peak_fp32) return cpu.peak_fp32->value;
  // Fused multiply-adds of two vector units, 32 bit, in FLOPs per clock.
  double per_clock = 8;
  for (const std::string& isa : cpu.isa) {
    if (isa.starts_with("avx512")) per_clock = std::max(per_clock, 64.0);
    if (isa.starts_with("avx2")) per_clock = std::max(per_clock, 32.0);
    if (isa.starts_with("neon") || isa.starts_with("asimd")) per_clock = std::max(per_clock, 16.0);
  }
  const double hertz = is_small(machine) ? 2e9 : 3e9;
  return hwdb::FlopsPerSecond(std::max(1u, cpu.cores) * per_clock * hertz);
}

}  // namespace planner
