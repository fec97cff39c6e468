// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "planner/batch.h"
#include "planner/cli/commands.h"
#include "planner/cli/flag_table.h"
#include "planner/cli/verify_lookup.h"
#include "planner/cli/verify_report.h"
#include "planner/cli/verify_speed.h"
#include "planner/rig/rig.h"
#include "planner/verify.h"
#include "probes/runtime/live_runtime.h"
#include "probes/runtime/log_reader.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;
using hwdb::RuntimeLoad;
using hwdb::RuntimeReport;
using MachinePointer = std::shared_ptr<const hwdb::Machine>;
using ModelPointer = std::shared_ptr<const planner::ResolvedModel>;

constexpr double kUsualTolerance = 0.03;

bool is_url(const std::string& text) {
  return text.find("://") != std::string::npos;
}

Result<RuntimeReport> read_report(const std::string& source) {
  if (is_url(source)) return probes::read_live_runtime(source);
  if (source == "-") return probes::read_log_stream(STDIN_FILENO, "standard input");
  return probes::read_log_file(source);
}

Result<ModelPointer> find_model(Session& session, const RuntimeReport& report) {
  const std::string& source = session.options().arguments.front();
  const RuntimeLoad* load = report.main_load();
  if (load == nullptr && session.options().model_filter.empty()) {
    return Error{"name.unknown", "it does not say which model ran", source, "name it with --model"};
  }
  return find_runtime_model(session, load != nullptr ? *load : RuntimeLoad{}, "", source,
                            report.source == RuntimeReport::Source::ollama);
}

/// The runtime's names of the GPUs that hold something, and what it says they are.
std::vector<hwdb::RuntimeDevice> used_gpus(const RuntimeReport& report) {
  std::set<std::pair<std::string, std::uint32_t>> used;
  for (const RuntimeLoad& load : report.loads) {
    for (const hwdb::RuntimeBuffer& buffer : load.buffers) {
      const planner::BufferPlace place = planner::place_of_label(buffer.device);
      if (!place.is_host) used.emplace(place.backend, place.index);
    }
  }
  for (const hwdb::RuntimeTableRow& row : report.table) {
    const planner::BufferPlace place = planner::place_of_label(row.name);
    if (!row.is_host && !place.is_host && report.loads.empty()) {
      used.emplace(place.backend, place.index);
    }
  }
  std::vector<hwdb::RuntimeDevice> gpus;
  for (const auto& key : used) {
    const std::string& backend = key.first;
    const std::uint32_t index = key.second;
    hwdb::RuntimeDevice gpu;
    gpu.name = fmt::format("{}{}", backend, index);
    const auto same = [&](const auto& other) {
      const planner::BufferPlace place = planner::place_of_label(other.name);
      return !place.is_host && place.backend == backend && place.index == index;
    };
    const auto device = std::ranges::find_if(report.devices, same);
    const auto row = std::ranges::find_if(report.table, same);
    if (row != report.table.end()) {
      gpu.description = row->description;
      gpu.total = row->total;
    }
    if (device != report.devices.end()) {
      if (!device->description.empty()) gpu.description = device->description;
      if (device->total) gpu.total = device->total;
      gpu.free = device->free;
    }
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

/// The machine that --on names; else the one that the report describes: this one where nothing is
/// on a GPU, or the cards it lists.
Result<MachinePointer> find_machine(Session& session, const RuntimeReport& report) {
  const Options& options = session.options();
  const std::vector<hwdb::RuntimeDevice> gpus = used_gpus(report);
  if (is_given(options, "--on") || gpus.empty()) return session.machine(options.on);
  std::shared_ptr<hwdb::Machine> machine;
  for (const hwdb::RuntimeDevice& gpu : gpus) {
    const auto row = session.catalog().find_gpu(gpu.description);
    const auto& memory = gpu.total ? gpu.total : gpu.free;
    const std::uint64_t bytes = memory ? static_cast<std::uint64_t>(memory->bytes) : 0;
    std::string words = row ? (*row)->id : "";
    if (words.empty() && bytes > 0) {
      words = fmt::format("gpu:vram={}GiB", std::max<std::uint64_t>(1, bytes / hwdb::kGiB));
    }
    if (words.empty()) {
      return Error{
          "usage.arguments",
          fmt::format("{} holds part of the model, and no line says what card that is", gpu.name),
          options.arguments.front(), "name the machine with --on RIG"};
    }
    auto made = planner::machine_from_words(session.catalog(), words);
    if (!made) return made.error();
    if (!machine) {
      machine = std::make_shared<hwdb::Machine>(std::move(*made));
    } else {
      machine->gpus.insert(machine->gpus.end(), made->gpus.begin(), made->gpus.end());
    }
  }
  return MachinePointer(std::move(machine));
}

}  // namespace

Result<Outcome> cmd_verify(Session& session) {
  const Options& options = session.options();
  if (options.speed) return verify_speed(session);
  const std::string& source = options.arguments.front();
  auto report = read_report(source);
  if (!report) return report.error();
  auto model = find_model(session, *report);
  if (!model) return model.error();
  auto machine = find_machine(session, *report);
  if (!machine) return machine.error();

  // What ran, and over it what the user gave.
  Options wanted = options;
  wanted.settings = planner::settings_of_report(*report, planner::RunSettings{});
  for (const auto& [name, value] : options.given) {
    const Flag* flag = find_flag(name);
    if (flag == nullptr) continue;
    if (auto status = flag->set(value, &wanted); !status) return status.error();
  }
  if (report->source == RuntimeReport::Source::ollama && !is_given(options, "--runtime")) {
    wanted.settings.runtime = hwdb::Runtime::ollama;
  }
  planner::Scenario scenario;
  scenario.model = (*model)->name;
  scenario.quant = (*model)->costs.quant;
  scenario.on = wanted.on;
  scenario.settings = wanted.settings;
  if (wanted.n_ctx) scenario.settings.n_ctx = *wanted.n_ctx;
  auto plan = planner::plan_scenario(scenario, **model, **machine, nullptr, &session.assumptions());
  if (!plan) return plan.error();

  const double tolerance = options.tolerance.value_or(kUsualTolerance);
  const planner::Verification verification =
      planner::verify_plan(*plan, (*model)->costs, *report, tolerance);
  Outcome outcome;
  outcome.report = verify_report(*plan, *report, verification);
  if (options.tolerance && !verification.within(tolerance)) {
    outcome.after = Error{"check.not_met",
                          verification.worst_total
                              ? fmt::format("a total differs by {:.2f} %, more than {:.4g} %",
                                            *verification.worst_total * 100, tolerance * 100)
                              : std::string("no total could be compared"),
                          source,
                          {}};
    outcome.exit_status = hwdb::exit_status(outcome.after->code);
  }
  return outcome;
}

}  // namespace cli
