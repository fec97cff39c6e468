// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "planner/fitting/measured_names.h"
#include "planner/fitting/measured_notes.h"
#include "planner/rig/rig.h"

namespace fitting {
namespace {

using hwdb::Error;
using hwdb::GpuInfo;
using hwdb::Result;

Error left_out(std::string_view rule, std::string words) {
  return {std::string(rule), std::move(words), "", ""};
}

/// How far a card's memory may be from what the source says of it: drivers keep some back.
constexpr double kMemoryShare = 0.25;

/// The device's words without a host in parentheses.
std::string device_words(const std::string& device) {
  const std::size_t open = device.find("(host ");
  if (open == std::string::npos) return device;
  std::string words = device.substr(0, open);
  while (!words.empty() && words.back() == ' ') words.pop_back();
  return words;
}

bool runs_on(std::string_view backend, const GpuInfo& gpu) {
  if (backend == "cuda") return gpu.vendor == "NVIDIA";
  if (backend == "rocm") return gpu.vendor == "AMD";
  if (backend == "metal") return gpu.vendor == "Apple";
  if (backend == "sycl") return gpu.vendor == "Intel";
  return backend == "vulkan" && gpu.vendor != "Apple";
}

/// The machine's one shared GPU made into the variant that the words name: "M1 (7-core GPU)".
void choose_variant(const hwdb::Catalog& catalog, const std::string& words,
                    hwdb::Machine* machine) {
  if (machine->gpus.size() != 1 || machine->gpus[0].kind != GpuInfo::Kind::unified ||
      !says(words, "-core gpu"))
    return;
  const auto row = catalog.find_gpu(words);
  if (!row || (*row)->id == machine->gpus[0].catalog_id) return;
  const hwdb::Sourced<hwdb::Bytes> memory = machine->gpus[0].memory;
  GpuInfo gpu = planner::gpu_from_row(catalog, **row, 0);
  gpu.memory = memory;
  gpu.host_link = machine->gpus[0].host_link;
  gpu.link_name = machine->gpus[0].link_name;
  machine->gpus[0] = std::move(gpu);
}

bool memory_agrees(const hwdb::Machine& machine, const MeasuredRow& row) {
  if (row.vram_gb <= 0 || machine.gpus[0].kind != GpuInfo::Kind::discrete) return true;
  const double told = row.vram_gb / row.reading.devices * static_cast<double>(hwdb::kGiB);
  return std::abs(machine.gpus[0].memory.value.as_double() / told - 1) <= kMemoryShare;
}

}  // namespace

Result<MeasuredNames::Device> MeasuredNames::find_device(const MeasuredRow& row,
                                                         bool with_host) const {
  const bool cpu = row.reading.backend == "cpu";
  std::string words = device_words(row.device);
  if (row.reading.devices > 1) words = fmt::format("{}x {}", row.reading.devices, words);
  std::string extra;
  if (with_host && !row.host.empty()) extra += ", " + row.host;
  if ((with_host || cpu) && !row.memory.empty()) extra += ", " + row.memory;
  auto machine = planner::machine_from_words(catalog_, words + extra);
  if (!machine && cpu && !extra.empty()) machine = planner::machine_from_words(catalog_, words);
  if (!machine) return left_out("device", machine.error().what);
  Device device;
  if (cpu) {
    device.key = machine->cpu.catalog_id;
    const auto named = catalog_.find_cpu(row.device);
    const auto whole = catalog_.find_system(row.device);
    if (device.key.empty() || (!named && !whole))
      return left_out("device", fmt::format("\"{}\" is no processor of the catalogue", row.device));
  } else {
    choose_variant(catalog_, words, &*machine);
    if (machine->gpus.size() != row.reading.devices)
      return left_out("device", fmt::format("\"{}\" is {} devices, the row says {}", row.device,
                                            machine->gpus.size(), row.reading.devices));
    if (!memory_agrees(*machine, row)) {
      const auto gib = std::lround(row.vram_gb / row.reading.devices);
      auto sized =
          planner::machine_from_words(catalog_, fmt::format("{} {}GB{}", words, gib, extra));
      if (!sized || sized->gpus.size() != row.reading.devices || !memory_agrees(*sized, row))
        return left_out("device", fmt::format("\"{}\" does not have {:g} GB", row.device,
                                              row.vram_gb / row.reading.devices));
      machine = std::move(sized);
    }
    const GpuInfo& gpu = machine->gpus[0];
    device.key = gpu.catalog_id;
    if (!runs_on(row.reading.backend, gpu))
      return left_out("backend", fmt::format("{} does not run \"{}\"", gpu.name, row.backend));
    if (!gpu.bandwidth || device.key.empty())
      return left_out("device", fmt::format("the bandwidth of {} is not known", gpu.name));
  }
  device.machine = std::make_shared<const hwdb::Machine>(std::move(*machine));
  return device;
}

Result<MeasuredNames::Device> MeasuredNames::device(const MeasuredRow& row, bool with_host) {
  const bool cpu = row.reading.backend == "cpu";
  const std::string key =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", row.device, row.reading.devices, row.reading.backend,
                  row.vram_gb, with_host ? row.host : "", with_host || cpu ? row.memory : "");
  const auto known = devices_.find(key);
  if (known != devices_.end()) return known->second;
  return devices_.emplace(key, find_device(row, with_host)).first->second;
}

}  // namespace fitting
