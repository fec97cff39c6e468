// SPDX-License-Identifier: MIT
#include "planner/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/report/escape.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

constexpr auto kBetweenLines = std::chrono::milliseconds(100);

}  // namespace

ProgressLine::ProgressLine(const Environment& environment, bool quiet, std::string_view verb)
    : environment_(environment),
      quiet_(quiet || !environment.message),
      verb_(verb),
      begin_(Clock::now()) {}

void ProgressLine::show(std::string_view step, double fraction,
                        std::optional<double> seconds_left) {
  if (quiet_) return;
  const bool fresh = step_ != step;
  if (!environment_.messages_on_terminal) {
    if (fresh && !verb_.empty())
      environment_.message(
          fmt::format("{} {} ({:.0f} %)\n", verb_, report::escape_terminal(step), 100 * fraction));
    step_ = step;
    return;
  }
  const auto now = Clock::now();
  if (!fresh && now - last_ < kBetweenLines) return;
  step_ = step;
  last_ = now;
  shown_ = true;
  if (!seconds_left && fraction > 0)
    seconds_left = std::chrono::duration<double>(now - begin_).count() * (1 - fraction) / fraction;
  std::string line = fmt::format("{:3.0f} %  ", 100 * fraction);
  if (seconds_left) line += report::seconds_text(std::max(0.0, *seconds_left)) + " left  ";
  line += report::escape_terminal(step);
  line.resize(std::min<std::size_t>(line.size(), environment_.width - 1));
  environment_.message("\r" + line + "\x1b[K");
}

void ProgressLine::clear() {
  if (shown_) environment_.message("\r\x1b[K");
  shown_ = false;
}

}  // namespace cli
