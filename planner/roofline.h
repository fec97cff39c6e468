// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <vector>

#include "planner/plan_basis.h"

/// Work on a device in seconds: the slower of moving the bytes and doing the arithmetic.
namespace planner {

/// A time that is made of terms, with its band and what it is bound by.
class TimeSum {
 public:
  /// `terms` null: only the sums are kept (searches).
  explicit TimeSum(std::vector<TimeTerm>* terms) : terms_(terms) {}

  /// Adds a term; `slow` and `fast` are the speeds of the band's ends, as shares of the likely one.
  void add(const TimeTerm& term, Bound bound, double slow, double fast);
  /// Adds another sum `times` over; the bounds and terms too.
  void add(const TimeSum& other, double times);

  double likely() const { return likely_; }
  double slow() const { return slow_; }
  double fast() const { return fast_; }
  Bound bound() const;
  double seconds_bound_by(Bound bound) const { return by_bound_[static_cast<std::size_t>(bound)]; }
  /// Tokens per second of `tokens` in this time.
  Estimate rate(double tokens, hwdb::Basis basis) const;
  Estimate seconds(hwdb::Basis basis) const { return {fast_, likely_, slow_, basis}; }

 private:
  std::vector<TimeTerm>* terms_ = nullptr;
  double likely_ = 0, slow_ = 0, fast_ = 0;
  std::array<double, 4> by_bound_{};
};

/// What a device has to do in one pass.
struct Work {
  double weight_bytes = 0, weight_flops = 0;  // matrices that every token uses
  double expert_bytes = 0, expert_flops = 0;  // routed experts that these tokens touch
  double cache_bytes = 0, attention_flops = 0;
  double dispatches = 0;  // layers

  /// The part of it that falls on one of several devices.
  Work share(double part) const;
};

enum class Phase { prefill, decode };

/// Adds the times of `work` on `device`: weights, experts, cache and attention each by its own
/// roofline, and the dispatches.
void add_work(const Work& work, const DeviceRates& device, Phase phase, double expert_mfu_share,
              TimeSum* sum);

}  // namespace planner
