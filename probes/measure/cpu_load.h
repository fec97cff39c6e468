// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace probes {

/// What the threads of a load got done between two looks at them.
struct LoadWindow {
  double at_seconds = 0;   // its end, from the start of the load
  double seconds = 0;      // its length
  double units = 0;        // bytes or operations, all threads
  double cpu_seconds = 0;  // processor time that the threads had, together
};

struct LoadOptions {
  double warm_seconds = 0.1;     // first, not counted: clocks settle, pages are mapped
  double run_seconds = 0.5;      // counted
  double window_seconds = 0.01;  // one sample
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(double seconds)> tick;  // a few times a second, with the time since the start
};

struct LoadResult {
  std::vector<LoadWindow> windows;
  std::size_t threads = 0;
  bool bound = true;       // every thread could be pinned
  bool cancelled = false;  // the windows are those before that
  /// The part of the threads' time in which they had a processor: less than 1 when others work.
  double cpu_share() const;
};

/// Runs `step(thread)` over and over on pinned threads, one for each of `cpus`, until the time is
/// over. A step takes some 20 to 200 microseconds and answers with what it got done. All threads
/// have ended when it returns.
LoadResult run_load(const std::vector<std::uint32_t>& cpus,
                    const std::function<double(std::size_t thread)>& step,
                    const LoadOptions& options);

/// Runs `part(thread)` once on each of the pinned threads, and waits.
void run_once(const std::vector<std::uint32_t>& cpus,
              const std::function<void(std::size_t thread)>& part);

/// Units per second of each window: of those in which the threads had the processors (at least 90 %
/// of them, for memory, which threads share), or of all when those are fewer than five. `reason`
/// says what was left out or disturbed.
std::vector<double> rates_of_undisturbed(const LoadResult& result, std::string* reason);
/// Units per second of processor time, times the threads: for work that threads do not share
/// anything in, so that other programs do not matter.
std::vector<double> rates_by_cpu_time(const LoadResult& result);
/// At most `most` samples, neighbours replaced by their mean.
std::vector<double> thinned(std::vector<double> samples, std::size_t most);

}  // namespace probes
