// SPDX-License-Identifier: MIT
#include "probes/measure/gpu_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace probes {
namespace {

// Long enough that submission costs do not count, short enough that no driver's watchdog barks.
constexpr double kRunSeconds = 0.02;
constexpr double kLongestRunSeconds = 0.4;
constexpr std::size_t kFewestRuns = 5, kMostRuns = 200;

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

Reading skipped(const GpuFigure& figure) {
  return failed_reading(figure.id, figure.unit, ReadingStatus::skipped, "cancelled");
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
hwdb::Result<Chosen> choose(const GpuFigure& figure, double seconds) {
  const Stopwatch watch;
  Chosen best;
  hwdb::Error last;
  for (const GpuTrial& trial : figure.trials) {
    const auto pace = find_pace(trial);
    if (!pace) {
      last = pace.error();
      if (last.code == "probe.gpu_timeout" || last.code == "probe.gpu_lost") return last;
      continue;
    }
    if (best.trial == nullptr || pace->rate > best.pace.rate) best = {&trial, *pace};
    if (watch.seconds() > seconds) break;
  }
  if (best.trial == nullptr) return last;
  return best;
}

/// Runs until three rates in a row agree within 1 %, at least 0.1 s and at most `seconds`.
hwdb::Status warm_up(const Chosen& chosen, double seconds) {
  const Stopwatch watch;
  std::vector<double> rates;
  while (watch.seconds() < seconds) {
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

hwdb::Result<GpuPace> find_pace(const GpuTrial& trial) {
  GpuPace pace;
  for (;;) {
    const auto rate = rate_of(trial, pace.passes);
    if (!rate) return rate.error();
    pace.rate = *rate;
    const double seconds = trial.work_per_pass * pace.passes / pace.rate;
    if (seconds >= 0.8 * kRunSeconds) return pace;
    // The first runs are slow (clocks, caches of code), so the size grows in steps.
    const double wanted = std::min(pace.passes * kRunSeconds / seconds, pace.passes * 8.0);
    const auto passes = static_cast<std::uint32_t>(std::ceil(wanted));
    const double longest = passes * seconds / pace.passes;
    if (passes <= pace.passes || longest > kLongestRunSeconds || passes > (1U << 24)) return pace;
    pace.passes = passes;
  }
}

Reading measure_figure(const GpuFigure& figure, double seconds, const MeasureHooks& hooks) {
  const Stopwatch watch;
  auto chosen = choose(figure, 0.3 * seconds);
  if (!chosen) return failed_figure(figure.id, figure.unit, chosen.error());
  if (const auto status = warm_up(*chosen, 0.3 * seconds); !status)
    return failed_figure(figure.id, figure.unit, status.error());
  // The clock has risen since the first try.
  if (const auto pace = find_pace(*chosen->trial)) chosen->pace = *pace;
  std::vector<double> rates;
  while (rates.size() < kMostRuns && (rates.size() < kFewestRuns || watch.seconds() < seconds)) {
    if (cancelled(hooks)) return skipped(figure);
    const auto rate = rate_of(*chosen->trial, chosen->pace.passes);
    if (!rate) return failed_figure(figure.id, figure.unit, rate.error());
    rates.push_back(*rate);
  }
  std::string method =
      fmt::format("{}; {}; median of {} runs", figure.method, chosen->trial->label, rates.size());
  return reading_of(figure.id, figure.unit, std::move(method), std::move(rates));
}

Reading measure_sustained(const GpuFigure& figure, std::string id, double seconds,
                          const MeasureHooks& hooks, const std::function<void(double)>& elapsed) {
  const auto chosen = choose(figure, 0.5);
  if (!chosen) return failed_figure(id, figure.unit, chosen.error());
  struct Sample {
    double at, rate;
  };
  std::vector<Sample> samples;
  const Stopwatch watch;
  while (watch.seconds() < seconds) {
    if (cancelled(hooks))
      return failed_reading(id, figure.unit, ReadingStatus::skipped, "cancelled");
    const auto rate = rate_of(*chosen->trial, chosen->pace.passes);
    if (!rate) return failed_figure(id, figure.unit, rate.error());
    samples.push_back({watch.seconds(), *rate});
    elapsed(watch.seconds());
  }
  const auto rates_between = [&](double from, double to) {
    std::vector<double> rates;
    for (const Sample& s : samples) {
      if (s.at > from && s.at <= to) rates.push_back(s.rate);
    }
    return rates;
  };
  // Burst: the best of the first two seconds, which leaves the clock time to rise.
  const double end = samples.back().at;
  double burst = 0;
  for (double from = 0; from < 2; from += 0.5)
    burst = std::max(burst, median(rates_between(from, from + 0.5)).value_or(0));
  Reading r = reading_of(id, figure.unit,
                         fmt::format("{}; {}; held for {:.0f} s, median of the last 5 s",
                                     figure.method, chosen->trial->label, end),
                         rates_between(std::max(0.0, end - 5), end));
  double throttled_at = -1;
  for (double from = 0; from + 1 <= end && throttled_at < 0; from += 1) {
    const auto now = median(rates_between(from, from + 1));
    if (now && *now < 0.95 * burst) throttled_at = from;
  }
  const double share = burst > 0 ? r.value / burst : 1;
  r.reason =
      throttled_at < 0
          ? fmt::format("burst {:.4g} {}; no throttling seen", burst, figure.unit)
          : fmt::format("burst {:.4g} {}; throttled after {:.0f} s, sustained is {:.0f} % of it",
                        burst, figure.unit, throttled_at, 100 * share);
  return r;
}

}  // namespace probes
