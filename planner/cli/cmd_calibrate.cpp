// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <iterator>

#include "planner/cli/calibrate_report.h"
#include "planner/cli/calibrate_steps.h"
#include "planner/cli/calibration_store.h"
#include "planner/cli/commands.h"
#include "planner/cli/engine_session.h"
#include "planner/cli/load_watch.h"
#include "planner/cli/profile.h"
#include "planner/cli/progress.h"
#include "planner/cli/speed_sources.h"
#include "planner/cli/utc_time.h"
#include "planner/fitting/calibration_fit.h"
#include "planner/reading_history.h"
#include "probes/measure/measure_all.h"
#include "probes/measure/measure_cpu.h"
#include "probes/measure/measure_machine.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Result;

constexpr int kInterrupted = 130;
constexpr double kLockSeconds = 30, kQuickCeilings = 8, kFullCeilings = 20;

/// Bandwidth and arithmetic of the processor, which shares are of: from `probe --measure` where
/// that was done here, else measured now and kept as its profile.
Result<hwdb::Machine> with_ceilings(Session& session, const hwdb::Machine& detected,
                                    const std::atomic<bool>* cancel, Outcome* outcome) {
  auto machine = session.completed(detected);
  if (!machine) return machine.error();
  if (machine->memory.bandwidth.basis == hwdb::Basis::measured) return machine;
  const Options& options = session.options();
  probes::CpuMeasureOptions how;
  how.budget_seconds = options.full ? kFullCeilings : kQuickCeilings;
  how.disk = how.power = false;
  std::vector<hwdb::Reading> readings;
  {
    ProgressLine progress(session.environment(), options.quiet, "measuring");
    readings = probes::measure_cpu(
        *machine, how,
        [&](const probes::MeasureProgress& p) { progress.show(p.step, p.fraction, p.eta_seconds); },
        cancel);
  }
  if (cancel != nullptr && cancel->load()) return machine;
  if (hwdb::StateStore* store = session.store()) {
    hwdb::Machine kept = detected;
    probes::apply_readings(readings, &kept);
    if (auto status = save_profile(store, kept, utc_time("%Y%m%dT%H%M%SZ")); !status)
      outcome->warnings.push_back(
          fmt::format("the ceilings are not kept: {}", status.error().what));
  }
  return session.completed(detected, readings);
}

/// What was measured before and still holds; an empty record otherwise, with a warning where it is
/// of another machine.
Result<planner::CalibrationRecord> earlier_record(Session& session, const hwdb::Machine& detected,
                                                  Outcome* outcome) {
  auto stored = load_calibration(session.store(), detected);
  if (!stored) return stored.error();
  if (!stored->has_value()) return planner::CalibrationRecord();
  if ((*stored)->differences.empty()) return std::move((*stored)->record);
  for (const std::string& difference : (*stored)->differences)
    outcome->warnings.push_back("earlier readings are not used, the machine has changed: " +
                                difference);
  return planner::CalibrationRecord();
}

/// The engine's products and slices, with warnings about what disturbed them.
Result<CalibrationMeasured> measure_engine(Session& session, EngineSession& engine,
                                           const hwdb::Machine& machine, Outcome* outcome) {
  const Options& options = session.options();
  const auto plan =
      calibration_plan(session, machine, options.arguments.empty() ? "" : options.arguments.front(),
                       options.quant.value_or(""), options.full);
  if (!plan) return plan.error();
  CalibrationMeasured measured;
  const LoadWatch watch;
  {
    ProgressLine progress(session.environment(), options.quiet, "measuring");
    measured = measure_calibration(
        session, engine, machine, *plan,
        [&](const std::string& step, double share) { progress.show(step, share); });
  }
  for (std::string& text : disturbance_warnings(watch.look()))
    outcome->warnings.push_back(std::move(text));
  std::ranges::move(measured.warnings, std::back_inserter(outcome->warnings));
  return measured;
}

Result<Outcome> show_stored(Session& session, const hwdb::Machine& detected) {
  auto stored = load_calibration(session.store(), detected);
  if (!stored) return stored.error();
  if (!stored->has_value())
    return Error{"calibration.none", "nothing was calibrated on this machine yet", "",
                 "tokwatt calibrate"};
  Outcome outcome;
  for (const std::string& difference : (*stored)->differences)
    outcome.warnings.push_back("not used, measured on another machine, driver or setting: " +
                               difference);
  outcome.report.emplace();
  outcome.report->command = "calibrate";
  for (const planner::Calibration& calibration : (*stored)->record.calibrations)
    outcome.report->sections.push_back(stored_section(calibration));
  outcome.report->sections.push_back(history_section((*stored)->record));
  return outcome;
}

}  // namespace

Result<Outcome> cmd_calibrate(Session& session) {
  const Options& options = session.options();
  if (options.full && options.quick)
    return Error{"usage.arguments", "--quick or --full (see tokwatt calibrate --help)", {}, {}};
  auto detected = session.detect(false);
  if (!detected) return detected.error();
  const hwdb::Machine& here = detected->machine;
  if (options.show) return show_stored(session, here);

  Outcome outcome;
  EngineSession engine(session);
  const auto waiting = [&] {
    if (session.environment().message && !options.quiet)
      session.environment().message("another tokwatt is measuring; waiting for it\n");
  };
  const auto lock = probes::MeasureLock::take(kLockSeconds, waiting, engine.cancel());
  if (!lock) return lock.error();
  auto record = earlier_record(session, here, &outcome);
  if (!record) return record.error();
  auto machine = with_ceilings(session, here, engine.cancel(), &outcome);
  if (!machine) return machine.error();
  // What other programs told is theirs alone: the engine is measured when nothing else is named.
  const bool told =
      !options.from_files.empty() || !options.endpoint.empty() || !options.from_log.empty();
  CalibrationMeasured measured;
  if (told) {
    auto readings =
        read_speed_sources(session, options.from_files, options.endpoint, options.from_log);
    if (!readings) return readings.error();
    measured.readings = *std::move(readings);
  } else if (auto done = measure_engine(session, engine, *machine, &outcome); done) {
    measured = *std::move(done);
  } else {
    return done.error();
  }
  for (std::string& text :
       planner::add_to_record(std::move(measured.readings), std::move(measured.kernels), &*record))
    outcome.warnings.push_back(std::move(text));

  fitting::CalibrationFitInputs inputs;
  inputs.machine = &*machine;
  inputs.assumptions = &session.assumptions();
  inputs.made_at = utc_now();
  inputs.model = [&](const hwdb::SpeedReading& reading) {
    return model_of_reading(session, reading);
  };
  const fitting::CalibrationFit fit = fitting::fit_calibrations(*record, inputs);
  record->calibrations.clear();
  for (const fitting::FittedDevice& device : fit.devices)
    record->calibrations.push_back(device.calibration);
  if (engine.interrupted()) outcome.exit_status = kInterrupted;
  if (record->readings.empty() && record->kernels.empty())
    return Error{"run.interrupted", "interrupted before the first measurement was done", "", ""};
  if (hwdb::StateStore* store = session.store()) {
    if (auto status = save_calibration(store, here, *record); !status)
      outcome.warnings.push_back(fmt::format("what was measured is not kept: {}: {}",
                                             status.error().where, status.error().what));
  } else {
    outcome.warnings.emplace_back("what was measured is shown, but not kept: no state folder");
  }

  outcome.report.emplace();
  outcome.report->command = "calibrate";
  auto& sections = outcome.report->sections;
  for (const fitting::FittedDevice& device : fit.devices) {
    sections.push_back(fitted_section(device));
    sections.push_back(residuals_section(device, *record));
  }
  if (sections.empty()) sections.emplace_back();
  for (const std::string& note : fit.notes) sections.back().notes.push_back(note);
  for (std::string& text : next_steps(fit.devices, options.full))
    sections.back().notes.push_back(std::move(text));
  return outcome;
}

}  // namespace cli
