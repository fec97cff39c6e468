// SPDX-License-Identifier: MIT
#include "planner/cli/plan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "planner/cli/describe.h"
#include "planner/cli/speed_sections.h"
#include "planner/launch.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using planner::Fits;
using report::Align;
using report::Cell;
using report::Section;
using report::Table;

/// What is loaded beside the model, a line each: it is part of the devices' figures.
void add_attached(const planner::Plan& plan, Section* section) {
  for (const planner::AttachedMemory& part : plan.memory.attached) {
    std::string text =
        fmt::format("{}{}", report::bytes_cell(part.weights).text,
                    part.weights_estimated ? " of weights (estimated)" : " of weights");
    if (part.cache.value > 0)
      text += fmt::format(", {} of cache", report::bytes_cell(part.cache).text);
    if (part.compute.value > 0) {
      text += fmt::format(", {}{} of scratch", part.compute_bound ? "at most " : "",
                          report::bytes_cell(part.compute).text);
    }
    text += fmt::format(" on {}, counted there", part.gpu >= 0 ? "the GPU" : "the CPU");
    section->lines.push_back({"", fmt::format("{} {}", to_string(part.kind), part.name), text});
  }
}

/// Host memory by what the system may do with it. Not part of the verdict, so only what a server
/// would really add is named.
void add_host_lines(const planner::Plan& plan, Section* section) {
  const planner::HostMemory& host = plan.memory.host;
  const auto size = [](hwdb::Bytes bytes) { return report::bytes_cell(bytes).text; };
  const planner::RunSettings& settings = plan.scenario.settings;
  const bool works = plan.memory.fits == Fits::offload || plan.memory.fits == Fits::cpu;
  if (works || settings.load_mode != planner::LoadMode::automatic) {
    section->lines.push_back(
        {"", "weights in RAM",
         fmt::format("{} from the file's pages{}, {} of the program's own",
                     host.mapped.value > 0 ? size(host.mapped) : "none",
                     host.mapped.value == 0 ? ""
                     : host.locked          ? " (locked)"
                                            : " (reclaimable)",
                     host.anonymous.value > 0 ? size(host.anonymous) : "none")});
  }
  if (settings.runtime != hwdb::Runtime::llama_cpp) return;
  std::string text = host.prompt_cache ? fmt::format("up to {} of RAM for earlier prompts",
                                                     size(*host.prompt_cache))
                                       : std::string("RAM without limit for earlier prompts");
  if (host.prompt_cache && host.prompt_cache->value == 0) text = "nothing for earlier prompts";
  if (host.checkpoints.value > 0) {
    text += fmt::format(", up to {} for checkpoints of {}", size(host.checkpoints),
                        size(host.checkpoint));
  }
  section->lines.push_back({"", "server besides", text + " (not in the verdict)"});
}

Section memory_section(const planner::Plan& plan) {
  Section section;
  section.key = "memory";
  section.title = "Memory";
  Table table;
  table.key = "devices";
  table.columns = {
      {.key = "device", .title = "device", .align = Align::left},
      {.key = "weights_bytes", .title = "weights"},
      {.key = "kv_cache_bytes", .title = "KV cache"},
      {.key = "state_bytes", .title = "state", .priority = 2},
      {.key = "compute_bytes", .title = "compute", .priority = 1},
      {.key = "output_bytes", .title = "output", .priority = 3},
      {.key = "overhead_bytes", .title = "overhead", .priority = 1},
      {.key = "total_bytes", .title = "total"},
      {.key = "budget_bytes", .title = "of"},
  };
  bool has_state = false;
  for (const planner::DeviceMemory& d : plan.memory.devices) has_state |= d.state.value > 0;
  if (!has_state) table.columns[3].title.clear();
  const std::vector<std::string> names = plan_device_names(plan);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const planner::DeviceMemory& d = plan.memory.devices[i];
    const auto unless_unknown = [&](const hwdb::Bytes& bytes) {
      return plan.sizes_only ? Cell("?", hwdb::Json()) : report::bytes_cell(bytes);
    };
    Cell total = report::bytes_cell(d.total());
    total.tone = d.total() > d.budget ? report::Tone::bad : report::Tone::strong;
    table.rows.push_back({Cell(names[i], d.device), report::bytes_cell(d.weights),
                          unless_unknown(d.kv_cache), unless_unknown(d.state),
                          unless_unknown(d.compute), report::bytes_cell(d.output),
                          report::bytes_cell(d.overhead), total, report::bytes_cell(d.budget)});
  }
  section.tables.push_back(std::move(table));
  const planner::Placement& placement = plan.placement;
  std::string where = fmt::format("-ngl {}", placement.n_gpu_layers);
  if (placement.n_cpu_moe > 0) where += fmt::format(", --n-cpu-moe {}", placement.n_cpu_moe);
  where += placement.chosen ? " (chosen for speed)" : " (as asked)";
  if (plan.memory.fits != Fits::no && plan.memory.fits != Fits::cpu) {
    section.lines.push_back({"", "placement", where});
  }
  add_attached(plan, &section);
  add_host_lines(plan, &section);
  if (plan.bounds) {
    const planner::MemoryBounds& bounds = *plan.bounds;
    const auto range = [](const hwdb::Bytes& low, const hwdb::Bytes& high) {
      return fmt::format("{} to {}", hwdb::format_bytes(low), hwdb::format_bytes(high));
    };
    section.lines.push_back({"", "cache", range(bounds.cache_low, bounds.cache_high)});
    section.lines.push_back({"", "compute", range(bounds.compute_low, bounds.compute_high)});
    std::string missing;
    for (const std::string& term : bounds.missing) missing += (missing.empty() ? "" : ", ") + term;
    section.lines.push_back({"", "not known", missing});
  }
  section.lines.push_back({"file_size_bytes", "file", report::bytes_cell(plan.file_size)});
  if (plan.max_ctx > 0) {
    section.lines.push_back({"max_n_ctx", "", Cell("", plan.max_ctx)});
  }
  return section;
}

std::string_view grade_title(Fits fits) {
  switch (fits) {
    case Fits::gpu:
      return "on the GPU";
    case Fits::gpu_tight:
      return "without margin";
    case Fits::offload:
      return "with RAM";
    default:
      return "in RAM";
  }
}

/// Each setting alone, taken as far as it goes.
Section headroom_section(const planner::Plan& plan) {
  Section section;
  section.key = "headroom";
  section.title = "How far each setting goes, the others as they are";
  Table table;
  table.key = "limits";
  table.columns = {{.key = "setting", .title = "", .align = Align::left},
                   {.title = "setting", .align = Align::left}};
  for (const planner::Headroom& room : plan.headroom)
    table.columns.push_back(
        {.key = std::string(to_string(room.fits)), .title = std::string(grade_title(room.fits))});
  const auto row = [&](std::string key, std::string name, const auto& cell) {
    std::vector<Cell> cells = {Cell(std::move(key)), Cell(std::move(name))};
    for (const planner::Headroom& room : plan.headroom) cells.push_back(cell(room));
    table.rows.push_back(std::move(cells));
  };
  const auto count = [](std::uint64_t n) {
    return n > 0 ? Cell(fmt::format("{}", n), n) : Cell("-", std::uint64_t{0});
  };
  const auto number = [](const std::optional<std::uint32_t>& n) {
    return n ? Cell(fmt::format("{}", *n), std::uint64_t{*n}) : Cell("-", hwdb::Json());
  };
  row("max_n_ctx", "longest context",
      [&](const planner::Headroom& room) { return count(room.max_ctx); });
  const planner::RunSettings& settings = plan.scenario.settings;
  row("max_n_seq",
      fmt::format("sequences of {} tokens",
                  report::context_text(settings.n_ctx / std::max(1u, settings.n_seq))),
      [&](const planner::Headroom& room) { return count(room.max_n_seq); });
  row("largest_quant", "largest quantization", [](const planner::Headroom& room) {
    return Cell(room.largest_quant.empty() ? "-" : room.largest_quant);
  });
  const auto any = [&](auto member) {
    return std::ranges::any_of(plan.headroom,
                               [&](const auto& room) { return (room.*member).has_value(); });
  };
  if (any(&planner::Headroom::fewest_cpu_layers))
    row("fewest_cpu_layers", "fewest layers in RAM",
        [&](const auto& room) { return number(room.fewest_cpu_layers); });
  if (any(&planner::Headroom::fewest_cpu_expert_layers))
    row("fewest_cpu_expert_layers", "or of their experts alone",
        [&](const auto& room) { return number(room.fewest_cpu_expert_layers); });
  section.tables.push_back(std::move(table));
  return section;
}

Section money_section(const planner::Plan& plan) {
  const planner::EnergyEstimate& energy = plan.energy;
  Section section;
  section.key = "power";
  section.title = "Power at the wall";
  Table table;
  table.key = "states";
  table.columns = {
      {.key = "state", .title = "the whole machine", .align = Align::left},
      {.key = "power_w", .title = "likely", .unit = "W", .estimate = true},
      {.title = "90 % band", .unit = "W"},
      {.key = "energy_wh_per_mtok", .title = "per million tokens", .unit = "kWh", .estimate = true},
  };
  const auto row = [&](const char* state, const planner::Estimate& e,
                       const planner::Estimate* per_mtok) {
    Cell energy_cell;
    if (per_mtok != nullptr && per_mtok->likely > 0) {
      energy_cell = Cell(fmt::format("{} {}", report::short_number(per_mtok->likely / 1000),
                                     report::basis_letter(per_mtok->basis)),
                         report::estimate_json(*per_mtok));
    }
    table.rows.push_back({state, report::lettered_cell(e), report::band_text(e), energy_cell});
  };
  row("idle", energy.idle_w, nullptr);
  row("model loaded, waiting", energy.loaded_idle_w, nullptr);
  row("prefill", energy.prefill_w, &energy.prefill_wh_per_mtok);
  row("decode", energy.decode_w, &energy.decode_wh_per_mtok);
  section.tables.push_back(std::move(table));
  const planner::CostEstimate& cost = plan.cost;
  if (!cost.tariff_id.empty()) {
    const planner::Workload& w = plan.scenario.workload;
    section.lines.push_back(
        {"cost_per_month", "a month",
         Cell(fmt::format("{} {} for {} kWh at {:.4g} {}/kWh ({})",
                          report::money_text(cost.cost_per_month.likely), cost.currency,
                          report::short_number(cost.kwh_per_month.likely), cost.price_per_kwh,
                          cost.currency, cost.tariff_id),
              report::estimate_json(cost.cost_per_month), report::Tone::strong)});
    section.lines.push_back(
        {"", "that is",
         fmt::format("{:.3g} h a day switched on, {:.6g} requests a day of {:.6g} + {:.6g} tokens",
                     w.hours_per_day, w.requests_per_day, w.n_prompt, w.n_gen)});
    section.lines.push_back(
        {"kwh_per_month", "", Cell("", report::estimate_json(cost.kwh_per_month))});
    section.lines.push_back({"tariff", "", Cell("", cost.tariff_id)});
  }
  return section;
}

Section launch_section(const planner::Plan& plan) {
  Section section;
  section.key = "launch";
  section.title = "To run it";
  section.commands.push_back({"llama.cpp", "", planner::llama_server_line(plan)});
  const std::string serve = planner::ollama_serve_line(plan);
  if (!serve.empty()) section.commands.push_back({"ollama_serve", "", serve});
  const std::string ollama = planner::ollama_line(plan);
  if (!ollama.empty()) section.commands.push_back({"ollama", "", ollama});
  return section;
}

/// What reading every weight once costs each memory, whether it holds them or not: the bound that
/// no software beats.
Section reading_section(const planner::Plan& plan, const hwdb::Machine& machine) {
  Section section;
  section.title = "Why: reading all weights once at the rated bandwidth";
  const double bytes = plan.file_size.as_double();
  const auto line = [&](const std::string& name, double rate, hwdb::Bytes capacity) {
    if (rate <= 0) return;
    section.lines.push_back(
        {"", name,
         fmt::format("{} / {} = {}{}", report::decimal_bytes(bytes),
                     hwdb::format_bandwidth(hwdb::BytesPerSecond(rate)),
                     report::seconds_text(bytes / rate),
                     capacity.as_double() < bytes
                         ? fmt::format(", if its {} could hold them", hwdb::format_bytes(capacity))
                         : "")});
  };
  for (std::size_t i = 0; i < machine.gpus.size(); ++i) {
    const hwdb::GpuInfo& gpu = machine.gpus[i];
    if (gpu.bandwidth) {
      line(device_name(machine, static_cast<std::int32_t>(i)), gpu.bandwidth->value.value,
           gpu.memory.value);
    }
  }
  line("RAM", machine.memory.bandwidth.value.value, machine.memory.total.value);
  return section;
}

void add_why(const planner::Plan& plan, const hwdb::Machine& machine, report::Report* report) {
  report->sections.push_back(reading_section(plan, machine));
  if (!plan.speed_known || plan.memory.fits == Fits::no) return;
  for (Section& section : speed_why_sections(plan, machine))
    report->sections.push_back(std::move(section));
}

}  // namespace

report::Report plan_report(const planner::Plan& plan, const hwdb::Machine& machine, bool why) {
  report::Report report;
  report.command = "plan";
  const bool fits = plan.memory.fits != Fits::no;
  Section verdict;
  const report::Tone tone = plan.memory.fits == Fits::gpu ? report::Tone::good
                            : fits                        ? report::Tone::warn
                                                          : report::Tone::bad;
  verdict.sentences.push_back({verdict_sentence(plan, machine), hwdb::Json(), tone});
  const std::string speed = speed_sentence(plan);
  if (!speed.empty()) verdict.sentences.emplace_back(speed);
  verdict.lines = {
      {"model", "", Cell("", plan.model_name)},
      {"quant", "", Cell("", plan.quant)},
      {"on", "", Cell("", plan.machine_name)},
      {"fits", "", Cell("", hwdb::Json(to_string(plan.memory.fits)))},
  };
  report.sections.push_back(std::move(verdict));
  report.sections.push_back(memory_section(plan));
  if (!plan.headroom.empty()) report.sections.push_back(headroom_section(plan));
  if (fits && plan.speed_known) {
    report.sections.push_back(speed_section(plan));
    if (!plan.speed_by_depth.empty()) report.sections.push_back(depth_section(plan));
    if (!plan.speed_by_batch.empty()) report.sections.push_back(batch_section(plan));
    report.sections.push_back(money_section(plan));
  }
  if (why) add_why(plan, machine, &report);
  if (fits) report.sections.push_back(launch_section(plan));
  const std::vector<std::string> notes = unique_notes(plan.notes);
  if (!notes.empty()) {
    Section section;
    section.title = "Notes";
    section.notes = notes;
    report.sections.push_back(std::move(section));
  }
  return report;
}

}  // namespace cli
