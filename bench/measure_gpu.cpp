// SPDX-License-Identifier: MIT
// measure_gpu [--json] [--seconds N] [--sustained N] [--only ID]... [--validate] [--pci ADDRESS]
// Measures one GPU in this process and prints the readings: for bench/ and for trying kernels.
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "probes/measure/gpu_measure.h"

int main(int argc, char** argv) {
  probes::GpuMeasureOptions options;
  bool json = false, list = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--json") {
      json = true;
    } else if (flag == "--validate") {
      options.device.validate = true;
    } else if (flag == "--features") {
      list = true;
    } else if (i + 1 == argc) {
      fmt::print(stderr, "measure_gpu: {} is no flag or has no value\n", flag);
      return 2;
    } else if (flag == "--seconds") {
      options.budget_seconds = std::atof(argv[++i]);
    } else if (flag == "--sustained") {
      options.sustained_seconds = std::atof(argv[++i]);
    } else if (flag == "--only") {
      options.only.emplace_back(argv[++i]);
    } else if (flag == "--pci") {
      options.device.pci_address = argv[++i];
    } else {
      fmt::print(stderr, "measure_gpu: {} is no flag\n", flag);
      return 2;
    }
  }
  if (list) {
    const auto gpu = engine::VulkanCompute::open(options.device);
    if (!gpu) {
      fmt::print(stderr, "{}: {}\n", gpu.error().code, gpu.error().what);
      return 1;
    }
    const auto& f = gpu->features();
    fmt::print("{} ({} {}), software {}\n", gpu->device().name, gpu->device().driver_name,
               gpu->device().driver_info, gpu->is_software());
    fmt::print("storage16 {} storage8 {} fp16 {} int8 {} dot {} (accelerated {}) bf16 matrix {}\n",
               f.storage_16bit, f.storage_8bit, f.float16, f.int8, f.int_dot, f.int_dot_accelerated,
               f.bfloat16_matrix);
    fmt::print("subgroup {} ({}-{}, fixed {}) workgroup {} shared {} workgroups {}\n",
               f.subgroup_size, f.min_subgroup_size, f.max_subgroup_size, f.fixed_subgroup_size,
               f.max_workgroup_size, f.shared_memory_bytes, f.max_workgroups);
    fmt::print("timestamp {} ns, transfer queue {}, memory {} budget {}\n", f.timestamp_ns,
               f.transfer_queue, f.memory_bytes, f.budget_bytes);
    for (const auto& s : f.matrix_shapes)
      fmt::print("matrix {}x{}x{} {} {} {} {}{}\n", s.m, s.n, s.k, engine::to_string(s.a),
                 engine::to_string(s.b), engine::to_string(s.c), engine::to_string(s.result),
                 s.saturating ? " saturating" : "");
    return 0;
  }
  probes::MeasureHooks hooks;
  hooks.finished = [&](const probes::Reading& r) {
    if (json) return;
    if (r.status == probes::ReadingStatus::ok)
      fmt::print("{:<32} {:>10.4g} {:<7} ±{:.2f} %  {}{}{}\n", r.id, r.value, r.unit,
                 100 * r.spread, r.method, r.reason.empty() ? "" : "; ", r.reason);
    else
      fmt::print("{:<32} {}: {}\n", r.id, hwdb::to_string(r.status), r.reason);
    std::fflush(stdout);
  };
  const auto measured = probes::measure_gpu_here(options, hooks);
  if (!measured) {
    fmt::print(stderr, "{}: {}\n", measured.error().code, measured.error().what);
    return 1;
  }
  if (json) {
    hwdb::Json::Array readings;
    for (const auto& r : measured->readings) readings.push_back(hwdb::reading_to_json(r));
    fmt::print("{}\n",
               hwdb::write_json(hwdb::Json(hwdb::Json::Object{
                                    {"device", hwdb::Json(measured->device.name)},
                                    {"driver", hwdb::Json(measured->device.driver_info)},
                                    {"software_renderer", hwdb::Json(measured->software_renderer)},
                                    {"readings", hwdb::Json(std::move(readings))}}),
                                2));
  } else {
    fmt::print("{} ({}){}\n", measured->device.name, measured->device.driver_info,
               measured->software_renderer ? ", a software renderer" : "");
  }
  for (const auto& message : measured->validation_messages) fmt::print(stderr, "{}\n", message);
  return 0;
}
