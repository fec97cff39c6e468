// SPDX-License-Identifier: MIT
#include "planner/class_factors.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace planner {
namespace {

bool is_small(const hwdb::Machine& machine) {
  return machine.form == "board" || machine.form == "phone";
}

bool agrees(const std::string& row, std::string_view asked) {
  return row.empty() || row == asked;
}

std::string_view form_of(const hwdb::GpuInfo& gpu) {
  if (!gpu.form.empty()) return gpu.form;
  switch (gpu.kind) {
    case hwdb::GpuInfo::Kind::discrete:
      return "discrete";
    case hwdb::GpuInfo::Kind::integrated:
      return "integrated";
    case hwdb::GpuInfo::Kind::unified:
      return "unified";
  }
  return "";
}

// The widest first: the first that a processor has is its architecture.
constexpr std::string_view kVectorUnits[] = {"amx",          "avx512_vnni", "avx512", "avx_vnni",
                                             "avx2",         "avx",         "sve",    "neon_i8mm",
                                             "neon_dotprod", "neon",        "asimd",  "rvv"};

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

DeviceClass class_of(std::string_view runtime, const hwdb::GpuInfo& gpu,
                     hwdb::GpuInfo::Backend backend) {
  return {runtime, to_string(backend), gpu.vendor, gpu.arch, form_of(gpu), gpu.catalog_id};
}

DeviceClass cpu_class_of(std::string_view runtime, const hwdb::Machine& machine) {
  const std::string_view name = machine.cpu.name;
  DeviceClass device{runtime,
                     "cpu",
                     name.substr(0, name.find_first_of(" (")),
                     "",
                     is_small(machine) ? "board" : "cpu",
                     machine.cpu.catalog_id};
  for (const std::string_view unit : kVectorUnits) {
    for (const std::string& isa : machine.cpu.isa) {
      if (isa.starts_with(unit)) device.arch = unit;
    }
    if (!device.arch.empty()) break;
  }
  return device;
}

bool matches(const hwdb::SpeedFactorRow& row, const DeviceClass& device) {
  return agrees(row.runtime, device.runtime) && agrees(row.backend, device.backend) &&
         agrees(row.vendor, device.vendor) && agrees(row.arch, device.arch) &&
         agrees(row.form, device.form) && agrees(row.device, device.device);
}

DeviceFactors factors_of(const std::vector<hwdb::SpeedFactorRow>& rows, const DeviceClass& device) {
  DeviceFactors product;
  // The first figure of a kind is the absolute one; special ones stand behind it.
  std::array<bool, kFactorFields.size()> seen{};
  for (const hwdb::SpeedFactorRow& row : rows) {
    if (!matches(row, device)) continue;
    if (!row.device.empty()) product.of_device = true;
    if (!row.arch.empty()) product.generation_devices = row.devices;
    if (row.tensor_type.empty()) {
      const std::optional<double> figures[] = {
          row.read,          row.vector,        row.cache_read,         row.matmul,
          row.attention,     row.score_flops,   row.activation,         row.expert_read,
          row.expert_matmul, row.half_tokens,   row.expert_half_tokens, row.product_s,
          row.pass_s,        row.power_exponent};
      static_assert(std::size(figures) == kFactorFields.size());
      for (std::size_t i = 0; i < kFactorFields.size(); ++i) {
        if (!figures[i]) continue;
        double& value = product.*kFactorFields[i].member;
        value = seen[i] ? value * *figures[i] : *figures[i];
        seen[i] = true;
      }
      continue;
    }
    const hwdb::TensorFormat* format = hwdb::find_tensor_format(row.tensor_type);
    if (format == nullptr) continue;
    auto at =
        std::ranges::lower_bound(product.types, format->type, {}, &DeviceFactors::OfType::type);
    if (at == product.types.end() || at->type != format->type)
      at = product.types.insert(at, DeviceFactors::OfType{format->type});
    at->read *= row.read.value_or(1);
    at->vector *= row.vector.value_or(1);
    at->matmul *= row.matmul.value_or(1);
    at->cache_read *= row.cache_read.value_or(1);
    at->attention *= row.attention.value_or(1);
  }
  return product;
}

struct ClassFactors::Known {
  std::string runtime, backend, vendor, arch, form, device;
  DeviceFactors factors;
};

ClassFactors::ClassFactors(const std::vector<hwdb::SpeedFactorRow>* rows) : rows_(rows) {}
ClassFactors::~ClassFactors() = default;

const DeviceFactors& ClassFactors::of(const DeviceClass& device) const {
  const std::lock_guard lock(mutex_);
  for (const auto& known : known_) {
    if (known->arch == device.arch && known->backend == device.backend &&
        known->form == device.form && known->vendor == device.vendor &&
        known->runtime == device.runtime && known->device == device.device) {
      return known->factors;
    }
  }
  known_.push_back(std::make_unique<const Known>(
      Known{std::string(device.runtime), std::string(device.backend), std::string(device.vendor),
            std::string(device.arch), std::string(device.form), std::string(device.device),
            factors_of(*rows_, device)}));
  return known_.back()->factors;
}

hwdb::FlopsPerSecond gpu_peak(const hwdb::GpuInfo& gpu) {
  const double half = gpu.peak_fp16 ? gpu.peak_fp16->value.value : 0;
  const double single = gpu.peak_fp32 ? gpu.peak_fp32->value.value : 0;
  return hwdb::FlopsPerSecond(std::max(half, single));
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
