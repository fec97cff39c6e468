// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/speed_reading.h"
#include "planner/batch.h"

/// A measured speed and the estimator's answer to the same question.
namespace planner {

/// Settings and workload that a reading ran with: a prefill of n_prompt tokens, or n_gen tokens of
/// an answer, behind `depth` tokens. What it does not tell stays as in `asked` (context: just large
/// enough). `on`, tariff and id stay as asked.
Scenario scenario_of_reading(const hwdb::SpeedReading& reading, const Scenario& asked);

/// Measured beside predicted.
struct SpeedComparison {
  hwdb::SpeedReading reading;
  Estimate predicted;           // of the reading's test
  std::vector<TimeTerm> terms;  // of the prediction: one step, or the whole prompt
  double seconds = 0;           // the terms' sum
  /// predicted / measured - 1.
  double error() const { return predicted.likely / reading.tok_per_s - 1; }
  bool inside_band() const {
    return reading.tok_per_s >= predicted.low && reading.tok_per_s <= predicted.high;
  }
};

/// Predicts what was measured. `asked` carries the plan's other settings. Errors as plan_scenario,
/// and speed.unknown where the machine's bandwidth or the architecture is not known.
hwdb::Result<SpeedComparison> compare_speed(const hwdb::SpeedReading& reading,
                                            const Scenario& asked, const ResolvedModel& model,
                                            const hwdb::Machine& machine,
                                            const Assumptions* assumptions,
                                            std::span<const Calibration> calibrations = {});

/// Which term is off, where several comparisons of one model tell it: errors that grow with depth
/// speak of the cache, errors of one tensor type of its rate, errors at one token of overhead. One
/// sentence each, empty when all are inside `tolerance`.
std::vector<std::string> off_terms(const std::vector<SpeedComparison>& comparisons,
                                   double tolerance);

}  // namespace planner
