// SPDX-License-Identifier: MIT
#include "probes/measure/measure_steps.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace probes {

double measure_clock() {
#if defined(CLOCK_MONOTONIC_RAW)
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &t);  // which nobody slews while we count
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
#else
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
#endif
}

MeasureSteps::MeasureSteps(double budget_seconds,
                           const std::function<void(const MeasureProgress&)>& progress,
                           const std::atomic<bool>* cancel)
    : budget_seconds_(budget_seconds),
      progress_(progress),
      cancel_(cancel),
      start_(measure_clock()) {}

double MeasureSteps::seconds() const {
  return measure_clock() - start_;
}

void MeasureSteps::plan(std::string id, double weight, double fixed_seconds) {
  steps_.push_back({std::move(id), weight, fixed_seconds, false});
}

double MeasureSteps::begin(std::string_view id) {
  const auto step = std::ranges::find(steps_, id, &Step::id);
  if (step == steps_.end() || step->begun) return 0;
  double weights = 0;
  for (const Step& s : steps_) weights += s.begun ? 0 : s.weight;
  step->begun = true;
  current_ = step->id;
  told_ = -1;
  tick();
  if (step->fixed_seconds > 0) {
    held_seconds_ += step->fixed_seconds;
    return step->fixed_seconds;
  }
  const double left = std::max(0.0, budget_seconds_ + held_seconds_ - seconds());
  return weights > 0 ? left * step->weight / weights : 0;
}

void MeasureSteps::drop(std::string_view id) {
  std::erase_if(steps_, [&](const Step& s) { return s.id == id && !s.begun; });
}

double MeasureSteps::planned_seconds() const {
  double whole = budget_seconds_;
  for (const Step& s : steps_) whole += s.fixed_seconds;
  return whole;
}

void MeasureSteps::tick() {
  const double now = seconds();
  if (!progress_ || (told_ >= 0 && now - told_ < 0.25)) return;
  told_ = now;
  const double whole = planned_seconds();
  fraction_ = std::max(fraction_, whole > 0 ? std::min(now / whole, 0.99) : 0.99);
  progress_({current_, fraction_, std::max(0.0, whole - now)});
}

void MeasureSteps::finish() {
  if (progress_) progress_({current_, 1, 0});
}

}  // namespace probes
