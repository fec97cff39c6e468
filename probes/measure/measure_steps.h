// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "probes/measure/gpu_measure.h"

namespace probes {

/// Shares a budget out among named steps, each by its weight: what a step leaves over or overdraws
/// is shared among those after it. Tells progress and carries the wish to stop.
class MeasureSteps {
 public:
  MeasureSteps(double budget_seconds, const std::function<void(const MeasureProgress&)>& progress,
               const std::atomic<bool>* cancel);

  /// A step to come. `fixed_seconds` stand outside the budget (a load that is held).
  void plan(std::string id, double weight, double fixed_seconds = 0);
  /// The step begins; answers with the seconds that it may take: 0 when it was not planned or the
  /// time is up.
  double begin(std::string_view id);
  /// The step is not needed; its time goes to the others.
  void drop(std::string_view id);
  /// Tells how far the whole is, at most a few times a second.
  void tick();
  /// Tells that all is done.
  void finish();

  bool cancelled() const { return cancel_ != nullptr && cancel_->load(std::memory_order_relaxed); }
  const std::atomic<bool>* cancel() const { return cancel_; }
  /// Of the whole, since the start.
  double seconds() const;

 private:
  struct Step {
    std::string id;
    double weight = 0, fixed_seconds = 0;
    bool begun = false;
  };
  double planned_seconds() const;  // the budget and all that is held

  double budget_seconds_;
  const std::function<void(const MeasureProgress&)>& progress_;
  const std::atomic<bool>* cancel_;
  std::vector<Step> steps_;
  std::string current_;
  double start_ = 0, told_ = -1, fraction_ = 0;
  double held_seconds_ = 0;  // by steps with fixed seconds, of those that began
};

/// The monotonic clock that all of measuring uses, in seconds.
double measure_clock();

}  // namespace probes
