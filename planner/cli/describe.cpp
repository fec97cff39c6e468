// SPDX-License-Identifier: MIT
#include "planner/cli/describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/report/figures.h"

namespace cli {
namespace {

using planner::Fits;

/// "2x RTX 3090" for equal neighbours, in the machine's order.
std::vector<std::pair<std::size_t, const hwdb::GpuInfo*>> gpu_groups(const hwdb::Machine& machine) {
  std::vector<std::pair<std::size_t, const hwdb::GpuInfo*>> groups;
  for (const hwdb::GpuInfo& gpu : machine.gpus) {
    const bool same = !groups.empty() && groups.back().second->name == gpu.name &&
                      groups.back().second->memory.value == gpu.memory.value;
    if (same) {
      ++groups.back().first;
    } else {
      groups.emplace_back(1, &gpu);
    }
  }
  return groups;
}

std::string times(std::size_t n, const std::string& name) {
  return n == 1 ? name : fmt::format("{}x {}", n, name);
}

std::string gpu_figures(const hwdb::GpuInfo& gpu) {
  const bool shared = gpu.kind != hwdb::GpuInfo::Kind::discrete;
  return fmt::format("{}{}{}", hwdb::format_bytes(gpu.memory.value), shared ? " of the RAM" : "",
                     gpu.bandwidth ? " at " + hwdb::format_bandwidth(gpu.bandwidth->value)
                                   : std::string(", bandwidth unknown"));
}

std::string memory_figures(const hwdb::MemoryInfo& memory) {
  std::string kind = memory.type;
  if (!kind.empty() && memory.rate_mt_per_s) kind += fmt::format("-{}", *memory.rate_mt_per_s);
  std::string text = hwdb::format_bytes(memory.total.value);
  if (!kind.empty()) text += fmt::format(" {}", kind);
  if (memory.bandwidth.value.value > 0) {
    text += fmt::format(" at {}", hwdb::format_bandwidth(memory.bandwidth.value));
  }
  return text;
}

template <class T>
std::string mark(const hwdb::Sourced<T>& figure) {
  return figure.basis == hwdb::Basis::assumed || figure.basis == hwdb::Basis::unverified
             ? fmt::format(" ({})", hwdb::to_string(figure.basis))
             : std::string();
}

std::string gpu_list(const hwdb::Machine& machine) {
  std::string text;
  for (const auto& [n, gpu] : gpu_groups(machine)) {
    text += fmt::format("{}{}", text.empty() ? "" : " + ", times(n, short_name(gpu->name)));
  }
  return text;
}

std::string_view bound_words(planner::Bound bound) {
  switch (bound) {
    case planner::Bound::memory:
      return "limited by memory bandwidth";
    case planner::Bound::compute:
      return "limited by arithmetic";
    case planner::Bound::link:
      return "limited by the link between devices";
    case planner::Bound::overhead:
      return "limited by the overhead of each step";
  }
  return "";
}

}  // namespace

std::string machine_sentence(const hwdb::Machine& machine) {
  std::string text;
  for (const auto& [n, gpu] : gpu_groups(machine)) {
    text += fmt::format("{} with {}{}; ", times(n, short_name(gpu->name)), n > 1 ? "each " : "",
                        gpu_figures(*gpu));
  }
  if (!machine.cpu.name.empty()) {
    text += short_name(machine.cpu.name);
    if (machine.cpu.cores > 0) text += fmt::format(" ({} cores)", machine.cpu.cores);
    text += ", ";
  }
  text += fmt::format("{} RAM", hwdb::format_bytes(machine.memory.total.value));
  if (machine.memory.bandwidth.value.value > 0) {
    text += fmt::format(" at {}{}", hwdb::format_bandwidth(machine.memory.bandwidth.value),
                        mark(machine.memory.bandwidth));
  }
  return text;
}

report::Section machine_section(const hwdb::Machine& machine) {
  report::Section section;
  section.key = "machine";
  section.lines.push_back({"name", "machine", machine.name});
  bool first = true;
  for (const auto& [n, gpu] : gpu_groups(machine)) {
    section.lines.push_back(
        {"", first ? "GPU" : "",
         fmt::format("{}, {}{}", times(n, short_name(gpu->name)), gpu_figures(*gpu),
                     gpu->bandwidth ? mark(*gpu->bandwidth) : "")});
    first = false;
  }
  std::string cpu = machine.cpu.name.empty() ? "unknown" : short_name(machine.cpu.name);
  if (machine.cpu.cores > 0) cpu += fmt::format(", {} cores", machine.cpu.cores);
  section.lines.push_back({"cpu", "CPU", cpu});
  section.lines.push_back(
      {"", "RAM", memory_figures(machine.memory) + mark(machine.memory.bandwidth)});

  // For programs: the figures one by one.
  report::Table gpus;
  gpus.key = "gpus";
  gpus.columns = {{.key = "name"}, {.key = "memory_bytes"}, {.key = "mem_bw_bytes_per_s"}};
  for (const hwdb::GpuInfo& gpu : machine.gpus) {
    gpus.rows.push_back(
        {gpu.name,
         {"", gpu.memory.value.value},
         {"", gpu.bandwidth ? hwdb::Json(gpu.bandwidth->value.value) : hwdb::Json()}});
  }
  section.lines.push_back({"memory_bytes", "", {"", machine.memory.total.value.value}});
  section.lines.push_back({"mem_bw_bytes_per_s", "", {"", machine.memory.bandwidth.value.value}});
  section.tables.push_back(std::move(gpus));
  return section;
}

std::string short_name(const std::string& device) {
  std::string_view name = device;
  for (const std::string_view prefix :
       {"NVIDIA GeForce ", "NVIDIA ", "AMD Radeon ", "AMD ", "Intel "}) {
    if (name.starts_with(prefix)) return std::string(name.substr(prefix.size()));
  }
  return device;
}

std::string device_name(const hwdb::Machine& machine, std::int32_t gpu) {
  if (gpu < 0 || static_cast<std::size_t>(gpu) >= machine.gpus.size()) return "CPU";
  const std::string& name = machine.gpus[static_cast<std::size_t>(gpu)].name;
  const std::string shown = short_name(name);
  const auto same = [&](const hwdb::GpuInfo& other) { return other.name == name; };
  if (std::ranges::count_if(machine.gpus, same) == 1) return shown;
  const auto end = machine.gpus.begin() + gpu;
  return fmt::format("{} #{}", shown, std::count_if(machine.gpus.begin(), end, same) + 1);
}

std::string verdict_sentence(const planner::Plan& plan, const hwdb::Machine& machine) {
  const std::string what = fmt::format("{} {}", plan.model_name, plan.quant);
  const std::string where = machine.gpus.empty() ? "" : gpu_list(machine);
  std::uint64_t spare = UINT64_MAX;
  for (const planner::DeviceMemory& device : plan.memory.devices) {
    if (!device.is_gpu || device.total().value == 0) continue;
    spare = std::min(spare,
                     device.budget > device.total() ? (device.budget - device.total()).value : 0);
  }
  if (spare == UINT64_MAX) spare = 0;
  const std::string room = hwdb::format_bytes(hwdb::Bytes(spare));
  const std::string context =
      report::context_text(plan.scenario.settings.n_ctx) + " tokens of context";
  if (plan.sizes_only) {
    return fmt::format(
        "{}: sizes only. Its weights {}; what its cache and buffers take is not known for this "
        "architecture.",
        what,
        plan.memory.fits == Fits::no ? "alone do not fit"
                                     : fmt::format("fit ({})", to_string(plan.memory.fits)));
  }
  switch (plan.memory.fits) {
    case Fits::gpu:
      return fmt::format("{} fits on {} with {}, {} to spare.", what, where, context, room);
    case Fits::gpu_tight:
      return fmt::format("{} fits without margin on {} with {}: {} to spare, {} should stay free.",
                         what, where, context, room, hwdb::format_bytes(plan.memory.margin));
    case Fits::offload:
      if (plan.scenario.settings.kv_on_host) {
        return fmt::format("{} runs on {} with {}: its cache stays in RAM, as asked.", what, where,
                           context);
      }
      if (!plan.scenario.settings.override_tensor.empty()) {
        return fmt::format("{} runs on {} with {}: some of its tensors stay in RAM, as asked.",
                           what, where, context);
      }
      if (plan.placement.n_cpu_moe > 0) {
        return fmt::format("{} does not fit on {} alone: the experts of {} layers go to RAM.", what,
                           where, plan.placement.n_cpu_moe);
      }
      return fmt::format("{} does not fit on {} alone: {} layers on the GPU, the rest in RAM.",
                         what, where, plan.placement.n_gpu_layers);
    case Fits::cpu:
      return fmt::format("{} runs on the CPU from RAM with {}.", what, context);
    case Fits::no:
      break;
  }
  return fmt::format("{} does not fit: {} are missing with {}.", what,
                     hwdb::format_bytes(plan.memory.shortfall), context);
}

std::string speed_sentence(const planner::Plan& plan) {
  if (!plan.speed_known || plan.memory.fits == Fits::no) return {};
  return fmt::format(
      "It writes {} tok/s, {}, and starts to answer a prompt of {:.0f} tokens after "
      "{}.",
      report::with_band(plan.speed.decode_tok_per_s), bound_words(plan.speed.decode_bound),
      plan.scenario.workload.n_prompt, report::seconds_text(plan.speed.ttft_s.likely));
}

std::vector<std::string> plan_device_names(const planner::Plan& plan) {
  std::vector<std::string> names;
  for (const planner::DeviceMemory& device : plan.memory.devices) {
    const auto same = [&](const planner::DeviceMemory& other) {
      return other.device == device.device;
    };
    std::string name = short_name(device.device);
    if (std::ranges::count_if(plan.memory.devices, same) > 1) {
      const std::string numbered = name + " #";
      const auto before = std::ranges::count_if(
          names, [&](const std::string& other) { return other.starts_with(numbered); });
      name = fmt::format("{}{}", numbered, before + 1);
    }
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> unique_notes(const std::vector<std::string>& notes) {
  std::vector<std::string> out;
  for (const std::string& note : notes) {
    if (std::ranges::find(out, note) == out.end()) out.push_back(note);
  }
  return out;
}

}  // namespace cli
