// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <regex>

#include "planner/cli/commands.h"
#include "planner/cli/describe.h"
#include "planner/cli/version.h"
#include "planner/report/figures.h"
#include "planner/rig/rig.h"
#include "probes/detect_machine.h"

namespace cli {
namespace {

using report::Align;
using report::Cell;
using report::Section;

/// Hides what names a person or one machine: user, host, home folder, UUIDs, serials and hardware
/// addresses.
class Mask {
 public:
  explicit Mask(const Environment& environment) {
    add(environment.home, "~");
    add(environment.host, "<host>");
    add(environment.user, "<user>");
  }
  std::string operator()(std::string text) const {
    for (const auto& [from, to] : words_) {
      for (std::size_t at = text.find(from); at != std::string::npos;
           at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
      }
    }
    static const std::regex kUuid(
        "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"
        "[0-9a-fA-F]{12}");
    static const std::regex kMac("\\b([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\\b");
    static const std::regex kSerial("((?:[Ss]erial|[Ss]/[Nn])[^:=]*[:=] *)[^ ,;]+");
    text = std::regex_replace(text, kUuid, "<uuid>");
    text = std::regex_replace(text, kMac, "<mac>");
    return std::regex_replace(text, kSerial, "$1<serial>");
  }

 private:
  void add(const std::string& from, std::string to) {
    // Short names ("a", "me") would hit half of all words.
    if (from.size() >= 3 && from != "root") words_.emplace_back(from, std::move(to));
  }
  std::vector<std::pair<std::string, std::string>> words_;
};

report::Tone tone_of(const std::string& status) {
  return status == "ok"      ? report::Tone::good
         : status == "error" ? report::Tone::bad
                             : report::Tone::dim;
}

}  // namespace

hwdb::Result<Outcome> cmd_doctor(Session& session) {
  const Mask mask(session.environment());
  probes::DetectOptions how;
  how.force_vulkan = true;
  probes::Detected detected = probes::detect_machine(how);
  planner::complete_from_catalog(session.catalog(), &detected.machine);
  const hwdb::Machine& machine = detected.machine;

  Outcome outcome;
  outcome.report.emplace();
  report::Report& report = *outcome.report;
  report.command = "doctor";
  Section head;
  head.lines = {{"version", "tokwatt", Cell(kVersion)},
                {"compiler", "built with", Cell(kCompiler)},
                {"os", "system", mask(machine.os)},
                {"environment", "inside",
                 machine.environment.empty() ? Cell("no container, no VM")
                                             : Cell(mask(machine.environment))}};
  report.sections.push_back(std::move(head));

  Section steps;
  steps.key = "detection";
  steps.title = "Detection";
  report::Table table;
  table.key = "steps";
  table.columns = {{.key = "step", .title = "step", .align = Align::left},
                   {.key = "status", .title = "status", .align = Align::left},
                   {.key = "seconds", .title = "took"},
                   {.key = "reason", .title = "what it says", .align = Align::left, .priority = 1}};
  for (const probes::DetectStep& step : detected.steps) {
    table.rows.push_back({step.name, Cell(step.status, step.status, tone_of(step.status)),
                          Cell(report::seconds_text(step.seconds), step.seconds),
                          mask(step.reason)});
  }
  steps.tables.push_back(std::move(table));
  report.sections.push_back(std::move(steps));

  Section found = machine_section(machine);
  found.title = "Machine";
  const hwdb::CpuInfo& cpu = machine.cpu;
  found.lines.push_back({"", "processors",
                         fmt::format("{} packages, {} cores, {} threads, {} usable here",
                                     cpu.packages, cpu.cores, cpu.threads, cpu.usable_threads)});
  std::string isa;
  for (const std::string& name : cpu.isa) isa += (isa.empty() ? "" : " ") + name;
  found.lines.push_back({"isa", "instructions", isa.empty() ? "unknown" : isa});
  if (machine.memory.limit) {
    found.lines.push_back(
        {"memory_limit_bytes", "memory limit", report::bytes_cell(machine.memory.limit->value)});
  }
  if (machine.memory.available) {
    found.lines.push_back({"memory_available_bytes", "free now",
                           report::bytes_cell(machine.memory.available->value)});
  }
  for (const hwdb::GpuInfo& gpu : machine.gpus) {
    found.lines.push_back(
        {"", "driver", mask(fmt::format("{}: {} {}", gpu.name, gpu.driver, gpu.pci_address))});
  }
  for (const hwdb::Renderer& renderer : machine.software_renderers) {
    found.lines.push_back(
        {"", "no GPU",
         mask(fmt::format("{} ({}), a software renderer", renderer.name, renderer.driver))});
  }
  for (const std::string& note : unique_notes(machine.notes)) found.notes.push_back(mask(note));
  for (report::Line& line : found.lines) {
    line.cell.text = mask(line.cell.text);
    if (const std::string* text = line.cell.value.as_string()) line.cell.value = mask(*text);
  }
  report.sections.push_back(std::move(found));

  Section state;
  state.key = "state";
  state.title = "State";
  hwdb::StateStore* store = session.store();
  std::string folder = session.options().state_dir;
  if (folder.empty()) {
    folder = hwdb::state_folders(session.environment().lookup, session.environment().home).state;
  }
  state.lines.push_back({"folder", "folder", store != nullptr ? mask(folder) : "none is used"});
  if (store != nullptr) {
    auto machines = store->list_machines();
    state.lines.push_back(
        {"machines", "saved machines",
         machines ? report::count_cell(machines->size()) : Cell(mask(machines.error().what))});
  }
  report.sections.push_back(std::move(state));
  return outcome;
}

}  // namespace cli
