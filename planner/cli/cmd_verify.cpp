// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "hwdb/model_stores.h"
#include "hwdb/quant_name.h"
#include "planner/batch.h"
#include "planner/cli/commands.h"
#include "planner/cli/flag_table.h"
#include "planner/cli/verify_report.h"
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

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_url(const std::string& text) {
  return text.find("://") != std::string::npos;
}

bool is_given(const Options& options, std::string_view flag) {
  return std::ranges::any_of(options.given, [&](const auto& given) { return given.first == flag; });
}

Result<RuntimeReport> read_report(const std::string& source) {
  if (is_url(source)) return probes::read_live_runtime(source);
  if (source == "-") return probes::read_log_stream(STDIN_FILENO, "standard input");
  return probes::read_log_file(source);
}

/// The file that the report names, as it is found from here or from the log's folder; "" when it
/// is not here.
std::string file_of(const RuntimeLoad& load, const std::string& source) {
  if (load.path.empty()) return {};
  const auto as_path = [](const std::string& path) {
    return path.find('/') == std::string::npos ? "./" + path : path;
  };
  if (is_file(load.path)) return as_path(load.path);
  const std::size_t slash = source.find_last_of('/');
  if (load.path.starts_with('/') || is_url(source) || slash == std::string::npos) return {};
  const std::string beside = source.substr(0, slash + 1) + load.path;
  return is_file(beside) ? as_path(beside) : std::string();
}

/// A catalogue name in what the report calls the model: "Meta Llama 3.1 8B Instruct", or the file's
/// name without its preset and shard.
Result<ModelPointer> catalogue_model(Session& session, const RuntimeLoad& load) {
  std::string quant = hwdb::preset_of_file_type(load.file_type);
  if (quant.empty()) quant = hwdb::preset_in_file_name(load.path);
  if (session.options().quant) quant = *session.options().quant;
  std::string file = load.path.substr(load.path.find_last_of("/\\") + 1);
  const std::string preset = hwdb::preset_in_file_name(file);
  file = file.substr(0, file.rfind("-00001-of-"));
  if (file.ends_with(".gguf")) file.resize(file.size() - 5);
  if (!preset.empty() && file.size() > preset.size()) file.resize(file.size() - preset.size() - 1);
  for (const std::string& name : {file, load.name}) {
    if (name.empty()) continue;
    const auto row = session.catalog().find_model(name);
    if (!row) continue;
    const std::string& architecture = (*row)->shape.architecture;
    if (!load.architecture.empty() && architecture != load.architecture) continue;
    return session.model((*row)->id, quant);
  }
  return Error{"name.unknown",
               fmt::format("its model{} is neither a file here nor in the catalogue",
                           load.name.empty() ? "" : fmt::format(" (\"{}\")", load.name)),
               session.options().arguments.front(), "name it with --model"};
}

Result<ModelPointer> find_model(Session& session, const RuntimeReport& report) {
  const Options& options = session.options();
  const RuntimeLoad* load = report.main_load();
  if (!options.model_filter.empty()) {
    std::string quant = options.quant.value_or("");
    if (quant.empty() && load != nullptr) quant = hwdb::preset_of_file_type(load->file_type);
    return session.model(options.model_filter, quant);
  }
  if (load == nullptr) {
    return Error{"name.unknown", "it does not say which model ran", options.arguments.front(),
                 "name it with --model"};
  }
  if (const std::string file = file_of(*load, options.arguments.front()); !file.empty()) {
    return session.model(file, "");
  }
  if (report.source == RuntimeReport::Source::ollama) {
    if (auto stored = session.model("ollama:" + load->name, "")) return stored;
  }
  return catalogue_model(session, *load);
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
