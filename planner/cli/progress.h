// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "planner/cli/session.h"

namespace cli {

/// Tells on stderr how far something is: on a terminal one line that changes and is gone at the
/// end, else one plain line a step.
class ProgressLine {
 public:
  /// `verb` begins the plain lines: "measuring"; "" for nothing at all outside a terminal. Silent
  /// when `quiet`. `environment` must outlive it.
  ProgressLine(const Environment& environment, bool quiet, std::string_view verb);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { clear(); }

  /// `fraction` of everything is done. Without `seconds_left` they come from the time that all of
  /// it took so far. Cheap when called often.
  void show(std::string_view step, double fraction, std::optional<double> seconds_left = {});
  /// Wipes the line of a terminal.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  const Environment& environment_;
  bool quiet_;
  std::string verb_, step_;
  bool shown_ = false;
  Clock::time_point begin_, last_;
};

}  // namespace cli
