// SPDX-License-Identifier: MIT
#include "planner/cli/verify_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "planner/cli/speed_report.h"
#include "planner/cli/speed_sources.h"
#include "planner/cli/verify_lookup.h"
#include "planner/speed_compare.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;
using hwdb::SpeedReading;
using MachinePointer = std::shared_ptr<const hwdb::Machine>;
using ModelPointer = std::shared_ptr<const planner::ResolvedModel>;

// What a speed may differ by before a term is looked for: well above the noise of repeated runs.
constexpr double kUsualTolerance = 0.1;
constexpr int kInterrupted = 130;

/// What the user gives goes before what was told.
void forget_given(const Options& options, SpeedReading* reading) {
  for (const auto& [flag, value] : options.given) {
    if (flag == "--runtime") reading->runtime.clear();
    if (flag == "--backend") reading->backend.clear();
    if (flag == "--batch-size") reading->n_batch.reset();
    if (flag == "--ubatch-size") reading->n_ubatch.reset();
    if (flag == "--threads") reading->n_threads.reset();
    if (flag == "--n-gpu-layers") reading->n_gpu_layers.reset();
    if (flag == "--n-cpu-moe") reading->n_cpu_moe.reset();
    if (flag == "--flash-attn") reading->flash_attn.reset();
    if (flag == "--cache-type-k") reading->cache_type_k.clear();
    if (flag == "--cache-type-v") reading->cache_type_v.clear();
    if (flag == "--split-mode") reading->split_mode.clear();
    if (flag == "--tensor-split") reading->tensor_split.clear();
  }
}

/// Compares readings, each model and machine looked up once.
class Comparer {
 public:
  Comparer(Session& session, const std::string& source) : session_(session), source_(source) {}

  Result<planner::SpeedComparison> compare(const SpeedReading& told) {
    auto model = find_model(told);
    if (!model) return model.error();
    auto machine = find_machine(told);
    if (!machine) return machine.error();
    SpeedReading reading = told;
    forget_given(session_.options(), &reading);
    const planner::BatchSources sources = session_.sources();
    std::span<const planner::Calibration> calibrations;
    if (sources.calibrations) calibrations = sources.calibrations(**machine);
    auto compared = planner::compare_speed(reading, session_.scenario((*model)->name), **model,
                                           **machine, &session_.assumptions(), calibrations);
    if (compared) compared->reading = told;
    return compared;
  }

 private:
  const Result<ModelPointer>& find_model(const SpeedReading& reading) {
    const auto key = std::pair(reading.model, reading.quant);
    if (const auto it = models_.find(key); it != models_.end()) return it->second;
    hwdb::RuntimeLoad load;
    load.path = load.name = reading.model;
    if (reading.model.empty() && session_.options().model_filter.empty()) {
      return models_
          .emplace(key, Error{"name.unknown", "it does not say which model ran", source_,
                              "name it with --model"})
          .first->second;
    }
    return models_
        .emplace(key, find_runtime_model(session_, load, reading.quant, source_,
                                         reading.runtime == "ollama"))
        .first->second;
  }
  const Result<MachinePointer>& find_machine(const SpeedReading& reading) {
    const auto key = std::pair(reading.device, reading.backend);
    const auto it = machines_.find(key);
    if (it != machines_.end()) return it->second;
    return machines_.emplace(key, find_reading_machine(session_, reading)).first->second;
  }

  Session& session_;
  const std::string& source_;
  std::map<std::pair<std::string, std::string>, Result<ModelPointer>> models_;
  std::map<std::pair<std::string, std::string>, Result<MachinePointer>> machines_;
};

std::string run_sentence(const SpeedReading& reading, std::size_t n) {
  std::string text = reading.runtime.empty() ? "A runtime" : reading.runtime;
  if (!reading.build.empty()) text += " " + reading.build;
  const std::string model = reading.model.substr(reading.model.find_last_of("/\\") + 1);
  if (!model.empty()) text += " with " + model;
  if (!reading.device.empty()) text += " on " + reading.device;
  return fmt::format("{}: {} {}.", text, n, n == 1 ? "speed" : "speeds");
}

}  // namespace

Result<Outcome> verify_speed(Session& session) {
  const Options& options = session.options();
  const std::string& source = options.arguments.front();
  auto told = read_speed_source(session, source);
  if (!told) return told.error();
  if (told->readings.empty()) {
    return Error{"llama_bench.no_speed", "it tells no speed of a prompt or an answer alone", source,
                 "let llama-bench time them apart, with -p and -n"};
  }
  Comparer comparer(session, source);
  std::vector<planner::SpeedComparison> comparisons;
  for (const SpeedReading& reading : told->readings) {
    auto compared = comparer.compare(reading);
    if (!compared) return compared.error();
    comparisons.push_back(std::move(*compared));
  }
  const double tolerance = options.tolerance.value_or(kUsualTolerance);
  Outcome outcome;
  report::Report& report = outcome.report.emplace();
  report.command = "verify";
  report::Section head;
  head.sentences.emplace_back(run_sentence(told->readings.front(), told->readings.size()));
  head.lines.push_back({"source", "", report::Cell("", source)});
  head.lines.push_back({"worst_error", "", report::Cell("", worst_error(comparisons))});
  report.sections.push_back(std::move(head));
  report.sections.push_back(speed_section(comparisons, tolerance));
  if (!told->agreements.empty()) report.sections.push_back(clock_section(told->agreements));
  if (!told->notes.empty()) {
    report::Section notes;
    notes.title = "Notes";
    notes.notes = std::move(told->notes);
    report.sections.push_back(std::move(notes));
  }
  if (options.tolerance && worst_error(comparisons) > tolerance) {
    outcome.after = Error{"check.not_met",
                          fmt::format("a speed differs by {:.1f} %, more than {:.4g} %",
                                      worst_error(comparisons) * 100, tolerance * 100),
                          source,
                          {}};
    outcome.exit_status = hwdb::exit_status(outcome.after->code);
  }
  if (told->interrupted) outcome.exit_status = kInterrupted;
  return outcome;
}

}  // namespace cli
