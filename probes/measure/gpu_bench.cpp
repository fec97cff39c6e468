// SPDX-License-Identifier: MIT
#include "probes/measure/gpu_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace probes {
namespace {

// Short enough that no driver's watchdog barks.
constexpr double kLongestRunSeconds = 0.4;
constexpr std::size_t kFewestRuns = 5, kMostRuns = 200;
constexpr double kLeastThrottling = 0.05;

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

bool cancelled(const MeasureHooks& hooks) {
  return hooks.cancel != nullptr && hooks.cancel->load(std::memory_order_relaxed);
}

Reading skipped(const std::string& id, const std::string& unit) {
  return failed_reading(id, unit, ReadingStatus::skipped, "cancelled");
}

hwdb::Result<double> rate_of(const GpuTrial& trial, std::uint32_t passes) {
  const auto seconds = trial.run(passes);
  if (!seconds) return seconds.error();
  if (!(*seconds > 0)) return hwdb::Error{"probe.vulkan", "a run took no time", "Vulkan", ""};
  return trial.work_per_pass * passes / *seconds;
}

struct Chosen {
  const GpuTrial* trial = nullptr;
  GpuPace pace;
};

/// The fastest trial; later ones are left out when time is short.
hwdb::Result<Chosen> choose(const GpuFigure& figure, double seconds, const GpuPlan& plan) {
  const Stopwatch watch;
  Chosen best;
  hwdb::Error last;
  for (const GpuTrial& trial : figure.trials) {
    plan.tick();
    const auto pace = find_pace(trial, plan.run_seconds);
    if (!pace) {
      last = pace.error();
      if (last.code == "probe.gpu_timeout" || last.code == "probe.gpu_lost") return last;
      continue;
    }
    if (best.trial == nullptr || pace->rate > best.pace.rate) best = {&trial, *pace};
    if (watch.seconds() > seconds) break;
  }
  if (best.trial == nullptr) return last;
  if (best.trial->check) {
    // The trials after it may have written over its results.
    if (const auto again = best.trial->run(1); !again) return again.error();
    if (const auto status = best.trial->check(); !status) return status.error();
  }
  return best;
}

/// Runs until three rates in a row agree within 1 %, at least 0.1 s and at most `seconds`.
hwdb::Status warm_up(const Chosen& chosen, double seconds, const GpuPlan& plan) {
  const Stopwatch watch;
  std::vector<double> rates;
  while (watch.seconds() < seconds) {
    plan.tick();
    const auto rate = rate_of(*chosen.trial, chosen.pace.passes);
    if (!rate) return rate.error();
    rates.push_back(*rate);
    if (rates.size() < 3 || watch.seconds() < 0.1) continue;
    const auto [low, high] = std::minmax_element(rates.end() - 3, rates.end());
    if (*high <= *low * 1.01) break;
  }
  return hwdb::Ok{};
}

}  // namespace

Reading failed_figure(const std::string& id, const std::string& unit, const hwdb::Error& error) {
  const bool unsupported = error.code == "probe.gpu_unsupported";
  return failed_reading(id, unit, unsupported ? ReadingStatus::unsupported : ReadingStatus::error,
                        unsupported ? error.what : error.code + ": " + error.what);
}

std::function<hwdb::Result<double>(std::uint32_t passes)> repeat_dispatch(
    engine::VulkanCompute* gpu, engine::DispatchStep step, std::uint32_t most_at_once) {
  return [gpu, step = std::move(step), most_at_once](std::uint32_t passes) -> hwdb::Result<double> {
    engine::Submission work;
    work.ordered = false;
    while (passes > 0) {
      const std::uint32_t now = std::min(passes, most_at_once);
      engine::DispatchStep part = step;
      part.workgroups *= now;
      work.steps.emplace_back(std::move(part));
      passes -= now;
    }
    const auto time = gpu->run(work);
    if (!time) return time.error();
    return time->device_seconds;
  };
}

hwdb::Result<GpuPace> find_pace(const GpuTrial& trial, double run_seconds) {
  GpuPace pace;
  for (;;) {
    const auto rate = rate_of(trial, pace.passes);
    if (!rate) return rate.error();
    pace.rate = *rate;
    const double seconds = trial.work_per_pass * pace.passes / pace.rate;
    if (seconds >= 0.8 * run_seconds) return pace;
    // The first runs are slow (clocks, caches of code), so the size grows in steps.
    const double wanted = std::min(pace.passes * run_seconds / seconds, pace.passes * 8.0);
    const auto passes = static_cast<std::uint32_t>(std::ceil(wanted));
    const double longest = passes * seconds / pace.passes;
    if (passes <= pace.passes || longest > kLongestRunSeconds || passes > (1U << 24)) return pace;
    pace.passes = passes;
  }
}

Reading measure_figure(const GpuFigure& figure, const GpuPlan& plan) {
  const Stopwatch watch;
  auto chosen = choose(figure, 0.3 * plan.seconds, plan);
  if (!chosen) return failed_figure(figure.id, figure.unit, chosen.error());
  if (const auto status = warm_up(*chosen, 0.3 * plan.seconds, plan); !status)
    return failed_figure(figure.id, figure.unit, status.error());
  // The clock has risen since the first try.
  if (const auto pace = find_pace(*chosen->trial, plan.run_seconds)) chosen->pace = *pace;
  std::vector<double> rates;
  while (rates.size() < kMostRuns &&
         (rates.size() < kFewestRuns || watch.seconds() < plan.seconds)) {
    if (cancelled(plan.hooks)) return skipped(figure.id, figure.unit);
    plan.tick();
    const auto rate = rate_of(*chosen->trial, chosen->pace.passes);
    if (!rate) return failed_figure(figure.id, figure.unit, rate.error());
    rates.push_back(*rate);
  }
  std::string method =
      fmt::format("{}; {}; median of {} runs", figure.method, chosen->trial->label, rates.size());
  return reading_of(figure.id, figure.unit, std::move(method), std::move(rates));
}

SustainedVerdict judge_sustained(const std::vector<HeldRate>& rates) {
  SustainedVerdict v;
  if (rates.empty()) return v;
  const auto between = [&](double from, double to) {
    std::vector<double> out;
    for (const HeldRate& r : rates) {
      if (r.at > from && r.at <= to) out.push_back(r.rate);
    }
    return out;
  };
  // The best of the first two seconds, which leaves the clock time to rise.
  double spread = 0;
  for (double from = 0; from < 2; from += 0.5) {
    const auto window = between(from, from + 0.5);
    const double here = median(window).value_or(0);
    if (here <= v.burst) continue;
    v.burst = here;
    spread = relative_spread(window).value_or(0);
  }
  const double end = rates.back().at;
  v.last = between(end - std::min(5.0, end / 4), end);
  v.sustained = median(v.last).value_or(0);
  spread = std::max(spread, relative_spread(v.last).value_or(0));
  const double limit = v.burst * (1 - std::max(kLeastThrottling, spread));
  v.throttled = v.sustained < limit;
  if (!v.throttled) return v;
  // Backwards, so that one slow moment early on is not taken for the beginning.
  for (double from = std::floor(end); from >= 0; from -= 1) {
    const auto now = median(between(from, from + 1));
    if (now && *now >= limit) break;
    v.after_seconds = from;
  }
  return v;
}

Reading measure_sustained(const GpuFigure& figure, const std::string& id, const GpuPlan& plan) {
  const auto chosen = choose(figure, 0.5, plan);
  if (!chosen) return failed_figure(id, figure.unit, chosen.error());
  std::vector<HeldRate> rates;
  const Stopwatch watch;
  while (watch.seconds() < plan.seconds) {
    if (cancelled(plan.hooks)) return skipped(id, figure.unit);
    const auto rate = rate_of(*chosen->trial, chosen->pace.passes);
    if (!rate) return failed_figure(id, figure.unit, rate.error());
    rates.push_back({watch.seconds(), *rate});
    plan.tick();
  }
  const SustainedVerdict v = judge_sustained(rates);
  Reading r =
      reading_of(id, figure.unit,
                 fmt::format("{}; {}; held for {:.0f} s, median of the last {} runs", figure.method,
                             chosen->trial->label, watch.seconds(), v.last.size()),
                 v.last);
  r.reason = v.throttled ? fmt::format(
                               "burst {:.4g} {}; throttled after {:.0f} s, sustained is {:.0f} % "
                               "of it",
                               v.burst, figure.unit, v.after_seconds, 100 * v.sustained / v.burst)
                         : fmt::format("burst {:.4g} {}; no throttling seen", v.burst, figure.unit);
  return r;
}

}  // namespace probes
