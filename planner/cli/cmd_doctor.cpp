// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "hwdb/file_reader.h"
#include "planner/cli/commands.h"
#include "planner/cli/describe.h"
#include "planner/cli/mask.h"
#include "planner/cli/output.h"
#include "planner/cli/version.h"
#include "planner/report/figures.h"
#include "planner/rig/rig.h"
#include "probes/detect_machine.h"
#include "probes/sys_recorder.h"
#include "probes/sys_tree.h"

namespace cli {
namespace {

using report::Align;
using report::Cell;
using report::Section;

/// What this machine's files say, in the form of tests/fixtures/machines, and the Machine that
/// detection makes of it.
struct Recording {
  std::string tree;
  hwdb::Json machine;
};

hwdb::Result<Recording> recording_of(const std::string& text, std::string_view where) {
  const auto tree = probes::SysTree::parse(text, where);
  if (!tree) return tree.error();
  probes::DetectOptions how;
  how.tree = &*tree;
  return Recording{text, hwdb::machine_to_json(probes::detect_machine(how).machine)};
}

hwdb::Result<Recording> record_here(const Mask& mask) {
  probes::SysRecorder recorder;
  probes::DetectOptions how;
  how.recorder = &recorder;
  const hwdb::Machine machine = probes::detect_machine(how).machine;
  const std::string head =
      fmt::format("# Recorded: {}, {}. Say here what is special.\n", machine.cpu.name, machine.os);
  return recording_of(mask.recording(head + recorder.tree().write()), "this machine");
}

/// The recording inside a report that `doctor --json` wrote.
hwdb::Result<Recording> recording_in_report(const std::string& path) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  const auto text = file->read_text(std::uint64_t{32} << 20);
  if (!text) return text.error();
  const auto json = hwdb::parse_json(*text, path, std::size_t{32} << 20);
  if (!json) return json.error();
  const hwdb::Json* section = json->find("recording");
  const hwdb::Json* tree = section != nullptr ? section->find("tree") : nullptr;
  const std::string* lines = tree != nullptr ? tree->as_string() : nullptr;
  if (lines == nullptr)
    return hwdb::Error{"row.type", "no recording in it, expected a report of doctor --json", path,
                       "make one with tokwatt doctor --json -o report.json"};
  return recording_of(*lines, path);
}

hwdb::Status write_new(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return hwdb::Error{"output.write", std::strerror(errno), path, ""};
  Sink sink(fd);
  sink.write(text);
  if (::close(fd) != 0) sink.fail(errno);
  if (sink.failure() != 0)
    return hwdb::Error{"output.write", std::strerror(sink.failure()), path, ""};
  return hwdb::Ok{};
}

/// A fixture: tree.txt and machine.json in a folder that is made. Files that are there stay.
hwdb::Status write_fixture(const std::string& folder, const Recording& recording) {
  if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
    return hwdb::Error{"output.write", std::strerror(errno), folder, ""};
  if (auto status = write_new(folder + "/tree.txt", recording.tree); !status) return status;
  return write_new(folder + "/machine.json", hwdb::write_json(recording.machine, 1) + "\n");
}

report::Tone tone_of(const std::string& status) {
  return status == "ok"      ? report::Tone::good
         : status == "error" ? report::Tone::bad
                             : report::Tone::dim;
}

}  // namespace

hwdb::Result<Outcome> cmd_doctor(Session& session) {
  const Options& options = session.options();
  const Mask mask(session.environment());
  if (!options.arguments.empty() && options.record_dir.empty())
    return hwdb::Error{
        "usage.arguments", "a report needs --record DIR (see tokwatt doctor --help)", {}, {}};
  std::optional<Recording> recording;
  if (!options.record_dir.empty() || options.format == Format::json) {
    auto made = options.arguments.empty() ? record_here(mask)
                                          : recording_in_report(options.arguments.front());
    if (!made) return made.error();
    recording = *std::move(made);
  }
  if (!options.record_dir.empty()) {
    if (auto status = write_fixture(options.record_dir, *recording); !status) return status.error();
  }
  if (!options.sysroot.empty()) {
    if (auto status = probes::check_sysroot(options.sysroot); !status) return status.error();
  }
  probes::DetectOptions how;
  how.sysroot = options.sysroot;
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

  Section fixture;
  fixture.key = "recording";
  if (!options.record_dir.empty()) {
    fixture.title = "Recording";
    fixture.lines.push_back({"folder", "written to", options.record_dir});
  }
  if (recording) {
    fixture.lines.push_back({"tree", "", Cell("", hwdb::Json(recording->tree))});
    fixture.lines.push_back({"machine", "", Cell("", recording->machine)});
    report.sections.push_back(std::move(fixture));
  }
  return outcome;
}

}  // namespace cli
