// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/machine.h"
#include "hwdb/result.h"
#include "hwdb/state_store.h"
#include "planner/assumptions.h"
#include "planner/batch.h"
#include "planner/cli/options.h"
#include "planner/report/report.h"
#include "probes/detect_machine.h"

namespace cli {

/// What a program learns from its surroundings; main fills it, nothing else asks.
struct Environment {
  std::size_t width = 100;
  bool color = false;
  hwdb::EnvironmentLookup lookup;  // variables by name
  std::string home;                // of the account, "" unknown
  std::string user, host;          // doctor masks them
  bool messages_on_terminal = false;
  std::function<void(std::string_view)> message;  // to stderr, at once and as it is
  /// From now on the first Ctrl-C sets what this answers with, and only the second ends the
  /// program.
  std::function<const std::atomic<bool>*()> catch_interrupt;
};

/// What a command hands to main to print.
struct Outcome {
  std::optional<report::Report> report;  // rendered in the format that was asked for
  std::string document;                  // already JSON, instead of a report
  std::vector<std::string> warnings;     // for stderr
  int exit_status = 0;                   // with an answer: 0, 1 (batch), 7 (--check) or 130
  std::optional<hwdb::Error> after;      // printed after the answer: a check that was not met
};

/// One run: the options and everything that commands look names up in. Lives as long as main.
class Session {
 public:
  Session(const Options& options, const Environment& environment,
          std::function<bool(std::string_view)> write);
  ~Session();

  const Options& options() const { return options_; }
  const Environment& environment() const { return environment_; }
  /// Opens the catalogue, with --hwdb laid over it. To be called before catalog().
  hwdb::Status open_catalog();
  const hwdb::Catalog& catalog() const { return *catalog_; }
  const planner::Assumptions& assumptions();
  /// Answer text of commands that stream; false when nobody reads any more.
  bool write(std::string_view text) const { return write_(text); }

  /// The machine of --on, or of any other text in its grammar. Errors as machine_from_words,
  /// file.*, machine.*, state.*.
  hwdb::Result<std::shared_ptr<const hwdb::Machine>> machine(const std::string& rig);
  /// The machine as it is detected, without what was measured; asks every driver when `complete`.
  /// Of --sysroot, when there is one. Errors: file.*, row.syntax.
  hwdb::Result<probes::Detected> detect(bool complete);
  /// Completes a detected machine from its profile, if it still holds, and the catalogue.
  hwdb::Result<hwdb::Machine> completed(const hwdb::Machine& detected);
  /// The same with given readings, which must be of this machine.
  hwdb::Machine completed(const hwdb::Machine& detected,
                          const std::vector<hwdb::Reading>& readings) const;
  /// A catalogue model at a preset ("" : its own or Q4_K_M), a file, folder or store entry.
  hwdb::Result<std::shared_ptr<const planner::ResolvedModel>> model(const std::string& name,
                                                                    const std::string& quant);
  /// The files behind a path or a store entry, without their weights.
  hwdb::Result<hwdb::ModelFile> model_file(const std::string& name);
  /// Saved machines and profiles; null with --no-state or without a usable folder.
  hwdb::StateStore* store();
  /// What the store had to say; for stderr.
  const std::vector<std::string>& notices() const;
  /// "" is the default tariff; --price replaces any.
  hwdb::Result<const hwdb::TariffRow*> tariff(const std::string& name);

  /// The scenario that the options describe, for one model.
  planner::Scenario scenario(const std::string& model) const;
  /// Plan of one scenario through the same path as `batch`.
  hwdb::Result<planner::Plan> plan(const planner::Scenario& scenario);
  planner::BatchSources sources();
  /// What was fitted to a machine of machine(); empty for others.
  std::span<const planner::Calibration> calibrations(const hwdb::Machine& machine);

 private:
  hwdb::Result<std::shared_ptr<const hwdb::Machine>> unmeasured_machine(const std::string& rig);
  /// What was fitted to this machine, while it is the one that was measured.
  void load_calibrations(const hwdb::Machine& detected, hwdb::Machine* here);

  struct Records;
  const Options& options_;
  const Environment& environment_;
  std::function<bool(std::string_view)> write_;
  const hwdb::Catalog* catalog_ = nullptr;
  std::unique_ptr<Records> records_;
};

}  // namespace cli
