// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_load.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>

#include "engine/runtime/thread_binding.h"
#include "probes/measure/measure_steps.h"

namespace probes {
namespace {

constexpr double kUndisturbed = 0.9;
constexpr std::size_t kFewestUndisturbed = 5;

/// One thread's account; on a cache line of its own, as it is written in each step.
struct alignas(64) Slot {
  std::atomic<double> units{0};
};

/// Processor time of another thread; negative when the system does not say.
double cpu_time(std::thread* thread) {
#if defined(__linux__)
  clockid_t clock{};
  timespec t{};
  if (::pthread_getcpuclockid(thread->native_handle(), &clock) != 0 ||
      ::clock_gettime(clock, &t) != 0)
    return -1;
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
#else
  static_cast<void>(thread);
  return -1;
#endif
}

class Load {
 public:
  Load(const std::vector<std::uint32_t>& cpus, const std::function<double(std::size_t)>& step,
       const LoadOptions& options)
      : step_(step), options_(options), slots_(std::make_unique<Slot[]>(cpus.size())) {
    result_.threads = cpus.size();
    threads_.reserve(cpus.size());
    for (std::size_t i = 0; i < cpus.size(); ++i)
      threads_.emplace_back([this, i, cpu = cpus[i]] { work(i, cpu); });
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() { end(); }

  LoadResult watch() {
    const double start = measure_clock();
    const double warm = start + options_.warm_seconds, last = warm + options_.run_seconds;
    double ticked = start;
    Look before = look();
    while (before.at < last) {
      if (stopped()) {
        result_.cancelled = true;
        break;
      }
      // The warm part is looked at now and then, only to be able to stop.
      const double until =
          before.at < warm ? std::min(warm, before.at + 0.05) : before.at + options_.window_seconds;
      while (measure_clock() < until && !stopped())
        std::this_thread::sleep_for(
            std::chrono::duration<double>(std::clamp(until - measure_clock(), 1e-5, 0.05)));
      const Look after = look();
      if (before.at >= warm)
        result_.windows.push_back({after.at - start, after.at - before.at,
                                   after.units - before.units, after.cpu - before.cpu});
      before = after;
      if (options_.tick && after.at - ticked > 0.2) {
        ticked = after.at;
        options_.tick(after.at - start);
      }
    }
    end();
    result_.bound = bound_;
    return std::move(result_);
  }

 private:
  struct Look {
    double at = 0, units = 0, cpu = 0;
  };

  bool stopped() const {
    return options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed);
  }

  void work(std::size_t i, std::uint32_t cpu) {
    if (!engine::bind_this_thread(cpu)) bound_ = false;
    double units = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      units += step_(i);
      slots_[i].units.store(units, std::memory_order_relaxed);
    }
  }

  Look look() {
    Look l;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      l.units += slots_[i].units.load(std::memory_order_relaxed);
      l.cpu += cpu_time(&threads_[i]);
    }
    l.at = measure_clock();
    return l;
  }

  void end() {
    stop_ = true;
    for (std::thread& t : threads_) {
      if (t.joinable()) t.join();
    }
  }

  const std::function<double(std::size_t)>& step_;
  const LoadOptions& options_;
  std::unique_ptr<Slot[]> slots_;
  std::atomic<bool> stop_{false}, bound_{true};
  LoadResult result_;
  std::vector<std::thread> threads_;
};

double share_of(const LoadWindow& w, std::size_t threads) {
  const double whole = w.seconds * static_cast<double>(threads);
  return whole > 0 ? std::clamp(w.cpu_seconds / whole, 0.0, 1.0) : 0;
}

}  // namespace

double LoadResult::cpu_share() const {
  double cpu = 0, whole = 0;
  for (const LoadWindow& w : windows) {
    cpu += w.cpu_seconds;
    whole += w.seconds * static_cast<double>(threads);
  }
  return whole > 0 ? std::clamp(cpu / whole, 0.0, 1.0) : 0;
}

LoadResult run_load(const std::vector<std::uint32_t>& cpus,
                    const std::function<double(std::size_t)>& step, const LoadOptions& options) {
  if (cpus.empty()) return {};
  return Load(cpus, step, options).watch();
}

void run_once(const std::vector<std::uint32_t>& cpus,
              const std::function<void(std::size_t)>& part) {
  std::vector<std::thread> threads;
  threads.reserve(cpus.size());
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    threads.emplace_back([&, i] {
      engine::bind_this_thread(cpus[i]);
      part(i);
    });
  }
  for (std::thread& t : threads) t.join();
}

std::vector<double> rates_of_undisturbed(const LoadResult& result, std::string* reason) {
  std::vector<double> undisturbed, all;
  for (const LoadWindow& w : result.windows) {
    if (w.seconds <= 0) continue;
    all.push_back(w.units / w.seconds);
    if (share_of(w, result.threads) >= kUndisturbed) undisturbed.push_back(all.back());
  }
  if (undisturbed.size() == all.size()) return all;
  const bool enough = undisturbed.size() >= kFewestUndisturbed;
  *reason = enough ? fmt::format(
                         "{} of {} windows are left out, in which other programs had the "
                         "processors",
                         all.size() - undisturbed.size(), all.size())
                   : fmt::format(
                         "other programs took {:.0f} % of the processors meanwhile: an idle "
                         "machine is faster",
                         100 * (1 - result.cpu_share()));
  return enough ? undisturbed : all;
}

std::vector<double> rates_by_cpu_time(const LoadResult& result) {
  std::vector<double> rates;
  for (const LoadWindow& w : result.windows) {
    // A window with next to no processor time says nothing.
    if (share_of(w, result.threads) > 0.1)
      rates.push_back(w.units / w.cpu_seconds * static_cast<double>(result.threads));
  }
  return rates;
}

std::vector<double> thinned(std::vector<double> samples, std::size_t most) {
  while (samples.size() > most) {
    std::vector<double> half;
    for (std::size_t i = 0; i + 1 < samples.size(); i += 2)
      half.push_back((samples[i] + samples[i + 1]) / 2);
    samples = std::move(half);
  }
  return samples;
}

}  // namespace probes
