// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/rig/rig.h"
#include "planner/rig/rig_facts.h"

namespace planner {
namespace {

using hwdb::Basis;
using hwdb::GpuInfo;
using hwdb::Sourced;

double memory_distance(const hwdb::GpuRow& row, double bytes) {
  double best = INFINITY;
  for (const std::uint64_t size : row.memory_bytes)
    best = std::min(best, std::abs(static_cast<double>(size) - bytes) / bytes);
  if (row.memory_bytes_reported)
    best =
        std::min(best, std::abs(static_cast<double>(*row.memory_bytes_reported) - bytes) / bytes);
  return best;
}

/// The row of a detected GPU: by PCI id, among several by memory size, then by name.
const hwdb::GpuRow* row_of(const hwdb::Catalog& catalog, const GpuInfo& gpu) {
  if (const hwdb::GpuRow* row = gpu_by_id(catalog, gpu.catalog_id)) return row;
  const auto by_name = catalog.find_gpu(gpu.name);
  std::vector<const hwdb::GpuRow*> rows = gpu.pci_id.empty()
                                              ? std::vector<const hwdb::GpuRow*>{}
                                              : catalog.find_gpus_by_pci_id(gpu.pci_id);
  if (rows.empty()) return by_name ? *by_name : nullptr;
  const double bytes = gpu.memory.value.as_double();
  if (rows.size() > 1 && bytes > 0) {
    // A driver shows up to a tenth less than the label.
    std::vector<const hwdb::GpuRow*> fitting;
    for (const hwdb::GpuRow* row : rows)
      if (memory_distance(*row, bytes) < 0.1) fitting.push_back(row);
    if (!fitting.empty()) rows = fitting;
  }
  if (rows.size() > 1 && by_name && std::find(rows.begin(), rows.end(), *by_name) != rows.end())
    return *by_name;
  return rows.front();
}

/// Copies what the row knows and detection does not; true when anything was taken.
bool complete_gpu(const hwdb::Catalog& catalog, const hwdb::GpuRow& row, GpuInfo* gpu) {
  const GpuInfo known = gpu_from_row(catalog, row, gpu->memory.value.value);
  bool taken = false;
  const auto fill = [&](auto* mine, const auto& theirs) {
    if (*mine || !theirs) return;
    *mine = theirs;
    taken = true;
  };
  if (gpu->catalog_id.empty()) gpu->catalog_id = row.id;
  if (gpu->vendor.empty()) gpu->vendor = row.vendor;
  if (gpu->arch.empty()) gpu->arch = row.arch;
  if (gpu->form.empty()) gpu->form = row.form;
  fill(&gpu->bandwidth, known.bandwidth);
  fill(&gpu->peak_fp16, known.peak_fp16);
  fill(&gpu->peak_fp32, known.peak_fp32);
  fill(&gpu->peak_int8, known.peak_int8);
  fill(&gpu->power_limit, known.power_limit);
  fill(&gpu->idle, known.idle);
  fill(&gpu->price_usd, known.price_usd);
  if (gpu->memory.value.value == 0) {
    gpu->memory = known.memory;
    taken = true;
  }
  if (gpu->host_link.value.value <= 0) {
    gpu->host_link = known.host_link;
    gpu->link_name = known.link_name;
    taken = true;
  }
  return taken;
}

}  // namespace

void complete_from_catalog(const hwdb::Catalog& catalog, hwdb::Machine* machine) {
  auto note = [&](std::string words) { machine->notes.push_back(std::move(words)); };

  const hwdb::CpuRow* cpu_row = cpu_by_id(catalog, machine->cpu.catalog_id);
  if (!cpu_row && !machine->cpu.name.empty())
    if (const auto found = catalog.find_cpu(machine->cpu.name)) cpu_row = *found;
  const std::uint32_t packages = std::max(1u, machine->cpu.packages);
  if (cpu_row) {
    const hwdb::CpuInfo known = cpu_from_row(*cpu_row, packages);
    machine->cpu.catalog_id = cpu_row->id;
    if (!machine->cpu.tdp) machine->cpu.tdp = known.tdp;
    if (machine->cpu.cores == 0) machine->cpu.cores = known.cores;
    if (machine->cpu.threads == 0) machine->cpu.threads = known.threads;
  }

  hwdb::MemoryInfo& memory = machine->memory;
  if (memory.bandwidth.value.value <= 0 && memory.rate_mt_per_s && memory.channels) {
    memory.bandwidth = {hwdb::BytesPerSecond(8e6 * *memory.rate_mt_per_s * *memory.channels),
                        Basis::detected,
                        fmt::format("{} MT/s in {} channels, by the firmware",
                                    *memory.rate_mt_per_s, *memory.channels),
                        ""};
  } else if (memory.bandwidth.value.value <= 0) {
    const MemoryWords words{std::nullopt, memory.type, memory.rate_mt_per_s, memory.channels};
    if (!cpu_row)
      note(
          fmt::format("\"{}\" is not in the catalogue: its memory is taken for a desktop's until "
                      "it is measured.",
                      machine->cpu.name));
    // Said here as detected, not as described.
    fill_memory_rate(cpu_row, packages, words, &memory, &machine->notes);
    if (memory.bandwidth.basis == Basis::spec) memory.bandwidth.basis = Basis::detected;
  }

  for (GpuInfo& gpu : machine->gpus) {
    if (gpu.link_name == "NVLink-C2C" && gpu.host_link.value.value <= 0) {
      for (const hwdb::LinkRow& link : catalog.links()) {
        if (link.id != "nvlink-c2c") continue;
        gpu.host_link = {hwdb::BytesPerSecond(link.one_way_bytes_per_s),
                         basis_of(link.origin, "one_way_bytes_per_s"), "catalogue: " + link.id,
                         link.origin.as_of};
      }
    }
    const hwdb::GpuRow* row = row_of(catalog, gpu);
    if (row && complete_gpu(catalog, *row, &gpu)) {
      note(fmt::format("{}: what could not be detected is taken from the catalogue ({}).", gpu.name,
                       row->name));
      if (!row->origin.verified)
        note(fmt::format("{}: its figures were not found in a source that could be checked.",
                         row->name));
    }
    if (gpu.kind != GpuInfo::Kind::discrete && !gpu.bandwidth && memory.bandwidth.value.value > 0) {
      gpu.bandwidth = memory.bandwidth;
      note(gpu.name + ": its bandwidth is taken to be the system memory's.");
    }
    if (gpu.host_link.value.value <= 0) {
      if (gpu.kind == GpuInfo::Kind::discrete) {
        const HostLink link = full_link(catalog, row ? *row : hwdb::GpuRow{});
        gpu.host_link = link.rate;
        gpu.link_name = link.name;
        note(fmt::format("{}: assumed on {}.", gpu.name, link.name));
      } else if (gpu.bandwidth) {
        gpu.host_link = *gpu.bandwidth;
        gpu.link_name = "shared memory";
      }
    }
    if (!row && !gpu.bandwidth)
      note(
          fmt::format("{} is not in the catalogue and its bandwidth is not known: no speed can be "
                      "said until it is measured.",
                      gpu.name));
  }

  if (machine->gpus.size() > 1 && !machine->gpu_link) {
    double slowest = machine->gpus.front().host_link.value.value;
    for (const GpuInfo& gpu : machine->gpus) slowest = std::min(slowest, gpu.host_link.value.value);
    machine->gpu_link = Sourced<hwdb::BytesPerSecond>{hwdb::BytesPerSecond(slowest), Basis::assumed,
                                                      "assumed: over PCIe through the host", ""};
    note("Between GPUs: assumed over PCIe through the host.");
  }

  if (machine->base_idle.value.value <= 0) {
    if (cpu_row && cpu_row->idle_system_watts) {
      machine->base_idle = {hwdb::Watts(*cpu_row->idle_system_watts),
                            basis_of(cpu_row->origin, "idle_system_watts"),
                            "catalogue: " + cpu_row->id, cpu_row->origin.as_of};
    } else {
      machine->base_idle = assumed_base_idle(catalog, machine->form, packages);
      note(fmt::format("Rest of the computer: assumed {:.0f} W at rest ({}).",
                       machine->base_idle.value.value, machine->form));
    }
  }
}

}  // namespace planner
