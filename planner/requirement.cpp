// SPDX-License-Identifier: MIT
#include "planner/requirement.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/preset_costs.h"
#include "planner/rig.h"
#include "planner/rig_facts.h"

namespace planner {
namespace {

constexpr std::size_t kExamples = 3;
constexpr std::uint32_t kMostCards = 8;

bool on_gpu(Fits fits) {
  return fits == Fits::gpu || fits == Fits::gpu_tight;
}

/// The same plan on another set of GPUs.
hwdb::Result<Plan> plan_on(const PlanInputs& inputs, std::vector<hwdb::GpuInfo> gpus) {
  hwdb::Machine machine = *inputs.machine;
  machine.gpus = std::move(gpus);
  PlanInputs other = inputs;
  other.machine = &machine;
  other.settings.n_gpu_layers.reset();
  other.settings.n_cpu_moe.reset();
  other.settings.tensor_split.clear();
  other.settings.cpu_only = false;
  return make_plan(other);
}

/// The machine's first GPU, or a plain described one, with memory that never ends.
hwdb::GpuInfo endless_gpu(const hwdb::Machine& machine) {
  hwdb::GpuInfo gpu;
  if (!machine.gpus.empty()) gpu = machine.gpus.front();
  gpu.kind = hwdb::GpuInfo::Kind::discrete;
  gpu.memory.value = hwdb::Bytes(1ull << 50);
  gpu.available.reset();
  return gpu;
}

/// Cards that a person could name as an example: sold alone, of this decade, with figures that were
/// read somewhere.
bool is_example(const hwdb::GpuRow& row) {
  return row.form != "laptop" && row.origin.verified && row.release_year.value_or(0) >= 2020 &&
         row.devices_visible <= 1 && !row.memory_bytes.empty() && row.mem_bw_bytes_per_s;
}

}  // namespace

std::vector<std::string> presets_of_bits(const hwdb::Catalog& catalog, int bits) {
  std::vector<std::string> names;
  const std::string digit = std::to_string(bits);
  for (const hwdb::PresetRow& row : catalog.presets()) {
    const std::string_view id = row.id;
    const std::string_view tail = id.starts_with("IQ")  ? id.substr(2)
                                  : id.starts_with("Q") ? id.substr(1)
                                                        : "";
    if (tail.starts_with(digit + "_")) names.push_back(row.id);
  }
  return names;
}

hwdb::Result<Requirement> what_it_would_take(const hwdb::Catalog& catalog,
                                             const hwdb::ModelRow& model,
                                             const std::vector<std::string>& presets,
                                             const PlanInputs& inputs) {
  std::optional<hwdb::ModelCosts> smallest;
  PresetCosts costs_of(model.shape);
  for (const std::string& preset : presets) {
    auto costs = costs_of.find(preset);
    if (costs && (!smallest || costs->file_bytes < smallest->file_bytes))
      smallest = std::move(*costs);
  }
  if (!smallest)
    return hwdb::Error{"quant.unknown", "none of the presets applies to this model", model.id, ""};

  PlanInputs one = inputs;
  one.model = &*smallest;
  const auto alone = plan_on(one, {endless_gpu(*inputs.machine)});
  if (!alone) return alone.error();
  Requirement need;
  need.quant = smallest->quant;
  need.file_size = hwdb::Bytes(smallest->file_bytes);
  for (const DeviceMemory& device : alone->memory.devices)
    if (device.is_gpu) need.needed += device.total();
  need.needed += alone->memory.margin;
  for (const hwdb::GpuInfo& gpu : inputs.machine->gpus)
    need.available += gpu.available ? gpu.available->value : gpu.memory.value;
  if (need.needed > need.available) need.shortfall = need.needed - need.available;

  if (!inputs.machine->gpus.empty() &&
      inputs.machine->gpus.front().kind == hwdb::GpuInfo::Kind::discrete) {
    const hwdb::GpuInfo& own = inputs.machine->gpus.front();
    for (std::uint32_t count = 1; count <= kMostCards; ++count) {
      const auto plan = plan_on(one, std::vector<hwdb::GpuInfo>(count, own));
      if (!plan || !on_gpu(plan->memory.fits)) continue;
      need.holders.push_back({gpu_by_id(catalog, own.catalog_id), count, own.memory.value.value});
      break;
    }
  }
  std::vector<Holder> singles;
  for (const hwdb::GpuRow& row : catalog.gpus()) {
    if (!is_example(row)) continue;
    for (const std::uint64_t bytes : row.memory_bytes) {
      const hwdb::GpuInfo gpu = gpu_from_row(catalog, row, bytes);
      if (gpu.memory.value < need.needed) continue;
      singles.push_back({&row, 1, bytes});
      break;
    }
  }
  // The smallest memory first, then the cheapest, then the newest.
  std::sort(singles.begin(), singles.end(), [](const Holder& a, const Holder& b) {
    if (a.memory_bytes != b.memory_bytes) return a.memory_bytes < b.memory_bytes;
    const double pa = a.gpu->price_usd.value_or(1e9), pb = b.gpu->price_usd.value_or(1e9);
    if (pa != pb) return pa < pb;
    if (a.gpu->release_year != b.gpu->release_year)
      return a.gpu->release_year > b.gpu->release_year;
    return a.gpu->id < b.gpu->id;
  });
  // One example a kind of card, so that three sizes of one maker do not fill the list.
  std::vector<std::string_view> seen;
  for (const Holder& holder : singles) {
    if (seen.size() >= kExamples) break;
    const std::string_view kind = holder.gpu->vendor;
    if (std::find(seen.begin(), seen.end(), kind) != seen.end()) continue;
    seen.push_back(kind);
    need.holders.push_back(holder);
  }

  need.words = fmt::format("At {}, its smallest in this class, {} needs {} on the GPU", need.quant,
                           model.id, hwdb::format_bytes(need.needed));
  if (need.shortfall.value > 0)
    need.words += fmt::format(", {} more than the {} there is", hwdb::format_bytes(need.shortfall),
                              hwdb::format_bytes(need.available));
  need.words += ".";
  std::string examples;
  for (const Holder& holder : need.holders) {
    if (!holder.gpu) continue;
    if (!examples.empty()) examples += ", ";
    examples += holder.count > 1
                    ? fmt::format("{}x {}", holder.count, holder.gpu->name)
                    : fmt::format("{} {}", holder.gpu->name, label_of_memory(holder.memory_bytes));
  }
  if (!examples.empty()) need.words += fmt::format(" It would fit: {}.", examples);
  return need;
}

}  // namespace planner
