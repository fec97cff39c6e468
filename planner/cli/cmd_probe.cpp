// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "planner/cli/commands.h"
#include "planner/cli/output.h"
#include "planner/cli/probe_report.h"
#include "planner/cli/profile.h"
#include "planner/cli/progress.h"
#include "planner/cli/utc_time.h"
#include "planner/report/figures.h"
#include "probes/measure/measure_all.h"
#include "probes/measure/measure_machine.h"

namespace cli {
namespace {

constexpr int kInterrupted = 130;
constexpr double kBudget = 15, kFullBudget = 60, kHeld = 20, kLockSeconds = 30;

hwdb::Error usage(std::string what) {
  return {"usage.arguments", std::move(what) + " (see tokwatt probe --help)", {}, {}};
}

/// "20261120T105800Z": sorts by time, and a valid file name.
std::string time_name() {
  return utc_time("%Y%m%dT%H%M%SZ");
}

hwdb::Status write_file(const std::string& path, const std::string& text) {
  const auto failed = [&] { return hwdb::Error{"output.write", std::strerror(errno), path, ""}; };
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return failed();
  Sink sink(fd);
  sink.write(text);
  const bool closed = ::close(fd) == 0;
  if (sink.failure() != 0) errno = sink.failure();
  if (sink.failure() != 0 || !closed) return failed();
  return hwdb::Ok{};
}

hwdb::Status save_file(const std::string& path, hwdb::Machine machine) {
  // Elsewhere it is not "this machine".
  const std::size_t slash = path.rfind('/');
  machine.name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (machine.name.ends_with(".json")) machine.name.resize(machine.name.size() - 5);
  return write_file(path, hwdb::write_json(hwdb::machine_to_json(machine), 1) + "\n");
}

struct Measured {
  hwdb::Machine machine;
  bool interrupted = false;
};

/// Measures, and keeps what there is even when it is cut short.
hwdb::Result<Measured> measure(Session& session, const hwdb::Machine& detected, Outcome* outcome) {
  const Options& options = session.options();
  const Environment& environment = session.environment();
  const std::atomic<bool>* cancel =
      environment.catch_interrupt ? environment.catch_interrupt() : nullptr;
  const auto waiting = [&] {
    if (environment.message && !options.quiet)
      environment.message("another tokwatt is measuring; waiting for it\n");
  };
  const auto lock = probes::MeasureLock::take(kLockSeconds, waiting, cancel);
  if (!lock) return lock.error();

  auto completed = session.completed(detected);
  if (!completed) return completed.error();
  Measured out{*std::move(completed), false};
  probes::MeasureAllOptions how;
  how.budget_seconds = options.seconds.value_or(options.full ? kFullBudget : kBudget);
  how.sustained_seconds = options.full ? kHeld : 0;
  {
    ProgressLine progress(environment, options.quiet, "measuring");
    probes::measure_machine(
        &out.machine, how,
        [&](const probes::MeasureProgress& p) { progress.show(p.step, p.fraction, p.eta_seconds); },
        cancel);
  }
  const std::vector<hwdb::Reading> readings = std::move(out.machine.readings);
  out.machine = session.completed(detected, readings);
  out.interrupted = cancel != nullptr && cancel->load();
  hwdb::StateStore* store = session.store();
  if (store == nullptr) {
    outcome->warnings.push_back("what was measured is shown, but not kept: no state folder");
    return out;
  }
  // What detection says is the identity; the values that were measured do not change it.
  hwdb::Machine kept = detected;
  probes::apply_readings(readings, &kept);
  if (auto status = save_profile(store, kept, time_name()); !status)
    outcome->warnings.push_back(fmt::format("what was measured is not kept: {}: {}",
                                            status.error().where, status.error().what));
  return out;
}

/// What was measured before, shown also when it does not hold any more.
hwdb::Result<hwdb::Machine> stored_machine(Session& session, const hwdb::Machine& detected,
                                           Outcome* outcome) {
  auto profile = load_profile(session.store(), detected);
  if (!profile) return profile.error();
  if (!profile->has_value())
    return hwdb::Error{"probe.not_measured", "nothing was measured on this machine yet", "",
                       "tokwatt probe --measure"};
  for (const std::string& difference : (*profile)->differences)
    outcome->warnings.push_back("measured on another machine, driver or setting: " + difference);
  if ((*profile)->differences.empty()) return session.completed(detected);
  return std::move((*profile)->machine);
}

}  // namespace

hwdb::Result<Outcome> cmd_probe(Session& session) {
  const Options& options = session.options();
  const bool here = options.on == "this";
  if ((options.measure || options.show) && (!here || !options.sysroot.empty()))
    return usage("only this machine can be measured");
  if (options.measure && options.show) return usage("--measure shows what it measured by itself");
  if ((options.full || options.seconds) && !options.measure)
    return usage("--full and --seconds belong to --measure");

  Outcome outcome;
  outcome.report.emplace();
  outcome.report->command = "probe";
  hwdb::Machine machine;
  std::vector<probes::DetectStep> steps;
  if (here) {
    // As plans detect it, or the profile would not be theirs; complete for what is shown.
    auto detected = session.detect(!options.measure && !options.show);
    if (!detected) return detected.error();
    steps = std::move(detected->steps);
    if (options.measure) {
      auto measured = measure(session, detected->machine, &outcome);
      if (!measured) return measured.error();
      machine = std::move(measured->machine);
      if (measured->interrupted) outcome.exit_status = kInterrupted;
    } else {
      auto found = options.show ? stored_machine(session, detected->machine, &outcome)
                                : session.completed(detected->machine);
      if (!found) return found.error();
      machine = *std::move(found);
    }
  } else {
    auto found = session.machine(options.on);
    if (!found) return found.error();
    machine = **found;
  }

  auto& sections = outcome.report->sections;
  sections = machine_sections(machine);
  if (!machine.readings.empty()) sections.push_back(readings_section(machine));
  if (options.show) {
    auto history = load_history(session.store(), machine);
    if (history.size() > 1) sections.push_back(history_section(history));
  }
  if (here && !options.show) sections.push_back(steps_section(steps));
  if (!options.save_file.empty()) {
    if (auto status = save_file(options.save_file, machine); !status) return status.error();
  }
  return outcome;
}

}  // namespace cli
