// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "hwdb/kv_cache.h"
#include "hwdb/machine.h"
#include "hwdb/op_counts.h"
#include "hwdb/result.h"
#include "hwdb/rows.h"
#include "planner/attachments.h"
#include "planner/make_plan.h"
#include "planner/plan.h"

namespace planner {

/// A model ready for the estimator, with the notes that belong under its plans.
struct ResolvedModel {
  std::string name;
  hwdb::ModelCosts costs;
  std::vector<std::string> notes;
  /// The tensors behind `costs`, typed and named as in GGUF; empty for formats that name them
  /// otherwise. Called only when a scenario names single tensors.
  std::function<hwdb::Result<std::vector<hwdb::PlannedTensor>>()> tensors;
};

/// The plan of one scenario on the given records, with names and notes filled in. `recipe`, `memo`
/// and `attachments` as in PlanInputs; the last must be there when needs_attachments says so.
/// Errors as make_plan.
hwdb::Result<Plan> plan_scenario(const Scenario& scenario, const ResolvedModel& model,
                                 const hwdb::Machine& machine, const hwdb::TariffRow* tariff,
                                 const Assumptions* assumptions,
                                 const hwdb::CacheRecipe* recipe = nullptr,
                                 ComputeMemo* memo = nullptr,
                                 const Attachments* attachments = nullptr,
                                 std::span<const Calibration> calibrations = {});

/// How names become records: the only door of a batch to files and to this machine.
struct BatchSources {
  std::function<hwdb::Result<std::shared_ptr<const ResolvedModel>>(const std::string& model,
                                                                   const std::string& quant)>
      model;
  std::function<hwdb::Result<std::shared_ptr<const hwdb::Machine>>(const std::string& rig)> machine;
  /// The same without what was measured here, for "calibration": "none"; empty: as `machine`.
  std::function<hwdb::Result<std::shared_ptr<const hwdb::Machine>>(const std::string& rig)>
      unmeasured_machine;
  std::function<hwdb::Result<const hwdb::TariffRow*>(const std::string& tariff)> tariff;
  /// What was fitted to a machine of `machine`; empty, or an empty span: classes for all.
  std::function<std::span<const Calibration>(const hwdb::Machine& machine)> calibrations;
  const Assumptions* assumptions = nullptr;
  /// Files beside the model; empty: opened by their path.
  std::function<hwdb::Result<hwdb::ProjectorCosts>(const std::string& path)> projector;
  std::function<hwdb::Result<hwdb::AdapterCosts>(const std::string& path,
                                                 const hwdb::ModelShape& base)>
      adapter;
};

/// Answers scenarios one line at a time. Looked-up names are kept, in bounded number, so memory
/// stays flat however long the run.
class Batch {
 public:
  explicit Batch(BatchSources sources) : sources_(std::move(sources)) {}

  /// Appends the answer to one line, newline included, and says whether it was answered. Nothing is
  /// appended for a blank line, which counts as answered.
  bool answer(std::string_view line, std::string* out);
  /// The plan of one scenario, or why there is none.
  hwdb::Result<Plan> plan(const Scenario& scenario);

 private:
  template <class T>
  using Cache = std::unordered_map<std::string, hwdb::Result<T>>;
  template <class T, class Find>
  const hwdb::Result<T>& cached(Cache<T>* cache, const std::string& key, const Find& find);

  BatchSources sources_;
  Cache<std::shared_ptr<const ResolvedModel>> models_;
  Cache<std::shared_ptr<const hwdb::Machine>> machines_, unmeasured_machines_;
  Cache<const hwdb::TariffRow*> tariffs_;
  Cache<std::shared_ptr<const hwdb::CacheRecipe>> recipes_;
  Cache<std::shared_ptr<ComputeMemo>> memos_;  // by model alone
  std::string key_;
};

/// Longest line that is read; longer ones are answered with scenario.limit.
inline constexpr std::size_t kBatchLineBytes = 1u << 20;

}  // namespace planner
