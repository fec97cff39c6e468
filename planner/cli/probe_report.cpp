// SPDX-License-Identifier: MIT
#include "planner/cli/probe_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/cli/describe.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using report::Align;
using report::Cell;
using report::Section;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

template <class T>
std::string basis_words(const hwdb::Sourced<T>& figure) {
  const std::string date = figure.as_of.empty() ? "" : " " + figure.as_of;
  return fmt::format(" ({}{})", hwdb::to_string(figure.basis),
                     figure.basis == hwdb::Basis::measured ? date : "");
}

std::string or_unknown(std::string text) {
  return text.empty() ? "unknown" : std::move(text);
}

std::string cores_text(const hwdb::CpuInfo& cpu) {
  std::string text = fmt::format("{} packages, {} cores, {} threads, {} usable here", cpu.packages,
                                 cpu.cores, cpu.threads, cpu.usable_threads);
  if (cpu.performance_cores > 0) text += fmt::format("; {} fast cores", cpu.performance_cores);
  return text;
}

std::string caches_text(const hwdb::CpuInfo& cpu) {
  std::string text;
  for (std::size_t i = 0; i < cpu.cache_bytes.size(); ++i)
    text += fmt::format("{}L{} {}", i == 0 ? "" : ", ", i + 1,
                        hwdb::format_bytes(hwdb::Bytes(cpu.cache_bytes[i])));
  if (cpu.last_level_cache_total_bytes > 0)
    text += fmt::format("; {} of the last level in all",
                        hwdb::format_bytes(hwdb::Bytes(cpu.last_level_cache_total_bytes)));
  return text;
}

std::string modules_text(const hwdb::MemoryInfo& memory) {
  std::string text = memory.type;
  if (memory.rate_mt_per_s)
    text += fmt::format("{}{} MT/s", text.empty() ? "" : " at ", *memory.rate_mt_per_s);
  if (memory.channels) text += fmt::format(", {} channels", *memory.channels);
  if (memory.modules)
    text += fmt::format(", {} of {} places filled", *memory.modules, memory.slots.value_or(0));
  return text.starts_with(", ") ? text.substr(2) : text;
}

std::string rates_text(const auto& device) {
  std::string text;
  const auto add = [&](std::string_view name, const auto& rate) {
    if (rate)
      text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", name,
                          hwdb::format_flops_rate(rate->value), basis_words(*rate));
  };
  if constexpr (requires { device.peak_fp16; }) add("fp16", device.peak_fp16);
  add("fp32", device.peak_fp32);
  add("int8", device.peak_int8);
  return text;
}

void add_line(Section* section, std::string label, std::string text) {
  if (!text.empty()) section->lines.push_back({"", std::move(label), std::move(text)});
}

Section host_section(const hwdb::Machine& m) {
  Section s;
  s.title = "Processor and memory";
  add_line(&s, "CPU", or_unknown(m.cpu.name));
  add_line(&s, "catalogue", m.cpu.catalog_id.empty() ? "no row" : m.cpu.catalog_id);
  add_line(&s, "cores", cores_text(m.cpu));
  add_line(&s, "instructions", or_unknown(joined(m.cpu.isa)));
  add_line(&s, "caches", caches_text(m.cpu));
  add_line(&s, "memory nodes", fmt::format("{}", m.cpu.numa_nodes));
  add_line(&s, "governor", m.cpu.governor);
  add_line(&s, "rates", rates_text(m.cpu));
  add_line(&s, "memory", hwdb::format_bytes(m.memory.total.value));
  if (m.memory.available) add_line(&s, "free now", hwdb::format_bytes(m.memory.available->value));
  if (m.memory.limit)
    add_line(
        &s, "limit",
        fmt::format("{} ({})", hwdb::format_bytes(m.memory.limit->value), m.memory.limit->source));
  // Without modules it is what the catalogue assumes of the processor.
  const std::string modules = modules_text(m.memory);
  add_line(&s, "modules",
           modules.empty()    ? "unknown"
           : m.memory.modules ? modules
           : m.described      ? modules
                              : "not readable; assumed " + modules);
  if (m.memory.bandwidth.value.value > 0)
    add_line(&s, "bandwidth",
             hwdb::format_bandwidth(m.memory.bandwidth.value) + basis_words(m.memory.bandwidth));
  add_line(&s, "system", m.os);
  add_line(&s, "inside", m.environment.empty() ? "no container, no VM" : m.environment);
  add_line(&s, "form", m.form);
  return s;
}

std::string_view kind_text(hwdb::GpuInfo::Kind kind) {
  switch (kind) {
    case hwdb::GpuInfo::Kind::discrete:
      return "a card of its own";
    case hwdb::GpuInfo::Kind::integrated:
      return "part of the processor, shares its memory";
    case hwdb::GpuInfo::Kind::unified:
      return "one memory with the processor";
  }
  return "";
}

Section gpu_section(const hwdb::Machine& m, std::size_t index) {
  const hwdb::GpuInfo& gpu = m.gpus[index];
  Section s;
  s.title = m.gpus.size() > 1 ? fmt::format("GPU {}: {}", index + 1, gpu.name) : "GPU: " + gpu.name;
  add_line(&s, "catalogue", gpu.catalog_id.empty() ? "no row: measure it" : gpu.catalog_id);
  add_line(&s, "kind", std::string(kind_text(gpu.kind)));
  add_line(&s, "memory",
           gpu.memory.value.value > 0
               ? fmt::format("{} ({})", hwdb::format_bytes(gpu.memory.value), gpu.memory.source)
               : gpu.memory.source);
  if (gpu.available) add_line(&s, "free now", hwdb::format_bytes(gpu.available->value));
  const auto pool = [&](const char* label, const auto& bytes) {
    if (bytes)
      add_line(&s, label, fmt::format("{} ({})", hwdb::format_bytes(bytes->value), bytes->source));
  };
  pool("carve-out", gpu.carve_out);
  pool("GTT limit", gpu.shared_limit);
  pool("heap budget", gpu.heap_budget);
  pool("reclaimable", gpu.reclaimable);
  if (gpu.bandwidth)
    add_line(&s, "bandwidth",
             hwdb::format_bandwidth(gpu.bandwidth->value) + basis_words(*gpu.bandwidth));
  add_line(&s, "rates", rates_text(gpu));
  if (gpu.kind == hwdb::GpuInfo::Kind::discrete && gpu.host_link.value.value > 0)
    add_line(&s, "link",
             fmt::format("{}{}{}{}", gpu.link_name, gpu.link_name.empty() ? "" : ", ",
                         hwdb::format_bandwidth(gpu.host_link.value), basis_words(gpu.host_link)));
  if (gpu.power_limit)
    add_line(
        &s, "power limit",
        fmt::format("{:.0f} W{}", gpu.power_limit->value.value, basis_words(*gpu.power_limit)));
  std::string clocks;
  if (gpu.core_clock) clocks = fmt::format("{:.0f} MHz", gpu.core_clock->value.value / 1e6);
  if (gpu.memory_clock)
    clocks += fmt::format("{}memory {:.0f} MHz", clocks.empty() ? "" : ", ",
                          gpu.memory_clock->value.value / 1e6);
  add_line(&s, "clocks", clocks.empty() ? "" : "up to " + clocks);
  add_line(&s, "driver", gpu.driver);
  std::string address = gpu.pci_address;
  if (!gpu.pci_id.empty())
    address += fmt::format("{}{}", address.empty() ? "" : ", id ", gpu.pci_id);
  add_line(&s, "PCI", address);
  add_line(&s, "UUID", gpu.uuid);
  if (gpu.max_subgroup > 0)
    add_line(&s, "subgroups",
             gpu.min_subgroup == gpu.max_subgroup
                 ? fmt::format("{}", gpu.max_subgroup)
                 : fmt::format("{} to {}", gpu.min_subgroup, gpu.max_subgroup));
  add_line(&s, "shaders", joined(gpu.features));
  return s;
}

Section disk_section(const hwdb::Machine& m) {
  Section s;
  s.title = "Disks";
  report::Table table;
  table.key = "";
  table.columns = {{.key = "", .title = "disk", .align = Align::left},
                   {.key = "", .title = "kind", .align = Align::left},
                   {.key = "", .title = "size"},
                   {.key = "", .title = "link", .align = Align::left},
                   {.key = "", .title = "model", .align = Align::left, .priority = 1}};
  for (const hwdb::DiskInfo& disk : m.disks)
    table.rows.push_back({disk.name, or_unknown(disk.kind), hwdb::format_bytes(disk.size),
                          disk.link_name, disk.model});
  s.tables.push_back(std::move(table));
  return s;
}

report::Tone tone_of(std::string_view status) {
  return status == "ok"      ? report::Tone::good
         : status == "error" ? report::Tone::bad
                             : report::Tone::dim;
}

/// A reading's device in a few letters: the GPU's place in the list.
std::string device_text(const hwdb::Machine& m, const std::string& device) {
  if (device.empty()) return "host";
  for (std::size_t i = 0; i < m.gpus.size(); ++i) {
    const hwdb::GpuInfo& gpu = m.gpus[i];
    if (device == gpu.pci_address || device == gpu.uuid || device == gpu.name)
      return fmt::format("GPU {}", i + 1);
  }
  return device;
}

}  // namespace

std::string reading_text(double value, const std::string& unit) {
  if (unit == "B/s") return hwdb::format_bandwidth(hwdb::BytesPerSecond(value));
  if (unit == "FLOP/s" || unit == "OP/s") {
    std::string text = hwdb::format_flops_rate(hwdb::FlopsPerSecond(value));
    const std::size_t at = text.find("FLOP");
    if (unit == "OP/s" && at != std::string::npos) text.erase(at, 2);
    return text;
  }
  if (unit == "W") return fmt::format("{:.1f} W", value);
  if (unit == "Hz") return fmt::format("{:.2f} GHz", value / 1e9);
  if (unit == "1") return fmt::format("{:.1f} %", 100 * value);
  return fmt::format("{:.4g} {}", value, unit);
}

std::vector<Section> machine_sections(const hwdb::Machine& machine) {
  std::vector<Section> sections;
  Section head;
  head.sentences.push_back(Cell(machine_sentence(machine) + "."));
  head.lines.push_back({"machine", "", Cell("", hwdb::machine_to_json(machine))});
  sections.push_back(std::move(head));
  sections.push_back(host_section(machine));
  for (std::size_t i = 0; i < machine.gpus.size(); ++i) sections.push_back(gpu_section(machine, i));
  if (!machine.software_renderers.empty()) {
    Section s;
    s.title = "Software renderers";
    for (const hwdb::Renderer& renderer : machine.software_renderers)
      add_line(&s, "no GPU", fmt::format("{} ({})", renderer.name, renderer.driver));
    sections.push_back(std::move(s));
  }
  if (!machine.disks.empty()) sections.push_back(disk_section(machine));
  if (!machine.notes.empty()) {
    Section s;
    s.title = "Notes";
    s.notes = unique_notes(machine.notes);
    sections.push_back(std::move(s));
  }
  return sections;
}

Section steps_section(const std::vector<probes::DetectStep>& steps) {
  Section section;
  section.key = "detection";
  section.title = "Detection";
  report::Table table;
  table.key = "steps";
  table.columns = {{.key = "step", .title = "step", .align = Align::left},
                   {.key = "status", .title = "status", .align = Align::left},
                   {.key = "reason", .title = "what it says", .align = Align::left}};
  for (const probes::DetectStep& step : steps)
    table.rows.push_back(
        {step.name, Cell(step.status, step.status, tone_of(step.status)), step.reason});
  section.tables.push_back(std::move(table));
  return section;
}

Section readings_section(const hwdb::Machine& machine) {
  Section section;
  section.key = "readings";
  section.title = "Measured";
  report::Table table;
  table.key = "readings";
  table.columns = {
      {.key = "id", .title = "what", .align = Align::left},
      {.key = "device", .title = "where", .align = Align::left},
      {.key = "value", .title = "value"},
      {.key = "unit", .title = ""},
      {.key = "spread", .title = "spread"},
      {.key = "status", .title = "status", .align = Align::left},
      {.key = "as_of", .title = "day", .align = Align::left, .priority = 1},
      {.key = "method", .title = "method or reason", .align = Align::left, .priority = 2}};
  for (const hwdb::Reading& r : machine.readings) {
    const bool ok = r.status == hwdb::ReadingStatus::ok;
    const std::string status(hwdb::to_string(r.status));
    std::string words = ok ? r.method : r.reason;
    if (ok && !r.reason.empty()) words += "; " + r.reason;
    table.rows.push_back(
        {r.id, Cell(device_text(machine, r.device), hwdb::Json(r.device)),
         ok ? Cell(reading_text(r.value, r.unit), r.value) : Cell("-", hwdb::Json()), r.unit,
         ok ? Cell(fmt::format("{:.1f} %", 100 * r.spread), r.spread) : Cell("", hwdb::Json()),
         Cell(status, status, tone_of(status)), r.as_of, words});
  }
  section.tables.push_back(std::move(table));
  return section;
}

Section history_section(const std::vector<PastProfile>& history) {
  Section section;
  section.key = "history";
  section.title = "Earlier";
  report::Table table;
  table.key = "measured";
  table.columns = {{.key = "saved_at", .title = "when", .align = Align::left},
                   {.key = "mem_bw_bytes_per_s", .title = "memory"},
                   {.key = "gpu_bw_bytes_per_s", .title = "GPU"},
                   {.key = "readings", .title = "readings"}};
  for (const PastProfile& past : history) {
    const auto figure = [&](std::string_view id) {
      const auto it = std::ranges::find_if(past.machine.readings, [&](const hwdb::Reading& r) {
        return r.id == id && r.status == hwdb::ReadingStatus::ok;
      });
      return it != past.machine.readings.end() ? Cell(reading_text(it->value, it->unit), it->value)
                                               : Cell("-", hwdb::Json());
    };
    table.rows.push_back({past.saved_at, figure("cpu.read_bandwidth"), figure("gpu.read_bandwidth"),
                          report::count_cell(past.machine.readings.size())});
  }
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace cli
