// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <vector>

#include "planner/plan_basis.h"

/// Work on a device in seconds: moving the bytes beside doing the arithmetic.
namespace planner {

/// A time that is made of terms, and what it is bound by.
class TimeSum {
 public:
  /// `terms` null: only the sums are kept (searches).
  explicit TimeSum(std::vector<TimeTerm>* terms) : terms_(terms) {}

  void add(const TimeTerm& term);
  /// Adds another sum `times` over; the bounds and terms too.
  void add(const TimeSum& other, double times);

  double seconds() const { return seconds_; }
  Bound bound() const;
  double seconds_bound_by(Bound bound) const { return by_bound_[static_cast<std::size_t>(bound)]; }

 private:
  std::vector<TimeTerm>* terms_ = nullptr;
  double seconds_ = 0;
  std::array<double, 4> by_bound_{};
};

/// What a device has to do in one pass.
struct Work {
  double tokens = 1;                          // of the pass, all sequences together
  double expert_tokens = 1;                   // of them that a touched expert gets, on average
  double weight_bytes = 0, weight_flops = 0;  // matrices of the layers that every token uses
  double expert_bytes = 0, expert_flops = 0;  // routed experts that these tokens touch
  double output_bytes = 0, output_flops = 0;  // the vocabulary's matrix
  double output_tokens = 1;
  double cache_bytes = 0, attention_flops = 0;
  double scores = 0;            // of attention: each costs more than its products
  double activation_bytes = 0;  // between the products
  double products = 0;          // matrix products, each dispatched by itself

  /// The part of it that falls on one of several devices; each dispatches all products.
  Work share(double part) const;
};

/// Adds the times of `work` on `device`: weights, experts, output and cache each by its own
/// roofline, then activations and dispatches. Of moving and computing the longer counts, and a
/// little of the shorter where they are near: (a^4 + b^4)^(1/4).
void add_work(const Work& work, const DeviceRates& device, TimeSum* sum);
/// What a pass costs that holds nothing: once, on the device that leads it.
void add_pass(const DeviceRates& device, TimeSum* sum);

}  // namespace planner
