// SPDX-License-Identifier: MIT
// measure_gpu [--json] [--seconds N] [--sustained N] [--only ID]... [--validate] [--pci ADDRESS]
//             [--child | --features | --trials]
// Measures one GPU, in this process or in a child as the program does, and prints the readings: for
// trying kernels and machines.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "probes/detect_machine.h"
#include "probes/measure/gpu_bench.h"
#include "probes/measure/measure_machine.h"

namespace {

void print(const probes::Reading& r) {
  if (r.status == probes::ReadingStatus::ok)
    fmt::print("{:<32} {:>10.4g} {:<7} ±{:.2f} %  {}{}{}\n", r.id, r.value, r.unit, 100 * r.spread,
               r.method, r.reason.empty() ? "" : "; ", r.reason);
  else
    fmt::print("{:<32} {}: {}\n", r.id, hwdb::to_string(r.status), r.reason);
  std::fflush(stdout);
}

/// Every way to run each load, not only the fastest: the best of five short runs.
int list_trials(const probes::GpuMeasureOptions& options) {
  using engine::NumberType;
  auto gpu = engine::VulkanCompute::open(options.device);
  if (!gpu) {
    fmt::print(stderr, "{}: {}\n", gpu.error().code, gpu.error().what);
    return 1;
  }
  probes::GpuLoads loads(&*gpu, options);
  const auto show = [&](const hwdb::Result<probes::GpuFigure>& figure) {
    if (!figure) return fmt::print("{}\n", figure.error().what);
    for (const probes::GpuTrial& trial : figure->trials) {
      double best = 0;
      for (int i = 0; i < 5; ++i) {
        if (const auto pace = probes::find_pace(trial, options.run_seconds))
          best = std::max(best, pace->rate);
      }
      const auto status = trial.check ? trial.check() : hwdb::Ok{};
      fmt::print("{:<28} {:>10.4g} {:<7} {}{}\n", figure->id, best, figure->unit, trial.label,
                 status ? "" : ": " + status.error().what);
    }
    loads.clear();
  };
  show(loads.read());
  show(loads.cached_read());
  show(loads.write());
  show(loads.copy());
  show(loads.fp32());
  show(loads.fp16());
  show(loads.int8_dot());
  for (const auto type : {NumberType::float16, NumberType::bfloat16, NumberType::sint8})
    show(loads.matrix(type));
  return 0;
}

int measure_in_child(const probes::GpuMeasureOptions& options, bool json) {
  hwdb::Machine machine;
  hwdb::GpuInfo& gpu = machine.gpus.emplace_back();
  gpu.name = "GPU";
  gpu.pci_address = options.device.pci_address;
  probes::MeasureOptions measure;
  measure.budget_seconds = options.budget_seconds;
  measure.sustained_seconds = options.sustained_seconds;
  measure.only = options.only;
  measure.validate = options.device.validate;
  const auto progress = [](const probes::MeasureProgress& p) {
    fmt::print(stderr, "{:<32} {:3.0f} %, {:.0f} s left\n", p.step, 100 * p.fraction,
               p.eta_seconds);
  };
  const auto readings = probes::measure_gpu(gpu, measure, progress, nullptr);
  for (const auto& r : readings) {
    if (!json) print(r);
  }
  probes::apply_readings(readings, &machine);
  if (json) fmt::print("{}\n", hwdb::write_json(hwdb::machine_to_json(machine), 2));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--probe-child")
    return probes::run_probe_child(argv[2]);
  probes::GpuMeasureOptions options;
  bool json = false, list = false, child = false, trials = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--json") {
      json = true;
    } else if (flag == "--validate") {
      options.device.validate = true;
    } else if (flag == "--child") {
      child = true;
    } else if (flag == "--trials") {
      trials = true;
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
  if (trials) return list_trials(options);
  if (child) return measure_in_child(options, json);
  probes::MeasureHooks hooks;
  hooks.finished = [&](const probes::Reading& r) {
    if (!json) print(r);
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
