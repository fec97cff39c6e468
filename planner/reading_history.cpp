// SPDX-License-Identifier: MIT
#include "planner/reading_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace planner {
namespace {

using hwdb::KernelReading;
using hwdb::SpeedReading;

constexpr std::size_t kCounted = 3;
// Speeds that differ by less are never called different: a clock that drifts does that.
constexpr double kLeastDifference = 0.05;
constexpr double kUntoldNoise = 0.05;
// Of a normal distribution: 10th to 90th percentile in standard deviations.
constexpr double kPercentileSpan = 2.563;
constexpr double kDeviations = 3;

double value_of(const SpeedReading& r) {
  return r.tok_per_s;
}
double value_of(const KernelReading& k) {
  return 1 / k.seconds;
}
double noise_of(const SpeedReading& r) {
  return r.deviation > 0 ? r.deviation / r.tok_per_s : kUntoldNoise;
}
double noise_of(const KernelReading& k) {
  return k.spread / kPercentileSpan;
}

std::string name_of(const SpeedReading& r) {
  return fmt::format("{} {} {} at depth {}", r.model, r.quant, hwdb::to_string(r.test), r.depth);
}
std::string name_of(const KernelReading& k) {
  return fmt::format("{} {} x {}, {} tokens", hwdb::format_of(k.type).name, k.rows, k.ne0,
                     k.tokens);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// Flags those of one question, given by their indices in the order of time.
template <class T>
void judge(const std::vector<std::size_t>& same, std::vector<T>* all,
           std::vector<std::string>* told) {
  std::vector<double> logs, noises;
  for (const std::size_t i : same) {
    logs.push_back(std::log(value_of((*all)[i])));
    noises.push_back(noise_of((*all)[i]));
  }
  const double allowed = std::max(kLeastDifference, kDeviations * std::sqrt(2.0) * median(noises));
  // Of two nobody knows which is right; the older was believed first.
  const double middle = same.size() == 2 ? logs.front() : median(logs);
  for (std::size_t k = 0; k < same.size(); ++k) {
    T& one = (*all)[same[k]];
    if (!one.flaw.empty() && one.flaw != kOutlier) continue;
    const bool far = same.size() > 1 && std::abs(logs[k] - middle) > allowed;
    if (far && one.flaw.empty()) {
      told->push_back(fmt::format("{}: {:+.0f} % from the earlier ones, marked as an outlier",
                                  name_of(one), 100 * (std::exp(logs[k] - middle) - 1)));
    }
    one.flaw = far ? std::string(kOutlier) : std::string();
  }
}

template <class T>
void add(std::vector<T> added, std::vector<T>* all, std::vector<std::string>* told) {
  const std::size_t n_added = added.size();
  for (T& one : added) all->push_back(std::move(one));
  if (all->size() > kMaxCalibrationReadings)
    all->erase(all->begin(),
               all->begin() + static_cast<std::ptrdiff_t>(all->size() - kMaxCalibrationReadings));
  const std::size_t first = all->size() - std::min(n_added, all->size());
  std::vector<bool> judged(all->size());
  for (std::size_t i = first; i < all->size(); ++i) {
    if (judged[i]) continue;
    std::vector<std::size_t> same;
    for (std::size_t j = 0; j < all->size(); ++j) {
      const bool counts = (*all)[j].flaw.empty() || (*all)[j].flaw == kOutlier;
      if (counts && same_question((*all)[i], (*all)[j])) {
        same.push_back(j);
        judged[j] = true;
      }
    }
    if (same.size() > 1) judge(same, all, told);
  }
}

template <class T>
std::vector<std::size_t> newest(const std::vector<T>& all) {
  std::vector<std::size_t> out;
  for (std::size_t i = all.size(); i-- > 0;) {
    if (!all[i].flaw.empty()) continue;
    const auto known =
        std::ranges::count_if(out, [&](std::size_t j) { return same_question(all[i], all[j]); });
    if (static_cast<std::size_t>(known) < kCounted) out.push_back(i);
  }
  std::ranges::reverse(out);
  return out;
}

auto question_of(const SpeedReading& r) {
  return std::tie(r.runtime, r.device, r.backend, r.devices, r.model, r.quant, r.slice_layers,
                  r.test, r.n_prompt, r.n_gen, r.depth, r.batch, r.n_batch, r.n_ubatch, r.n_threads,
                  r.n_gpu_layers, r.n_cpu_moe, r.flash_attn, r.cache_type_k, r.cache_type_v,
                  r.split_mode, r.tensor_split, r.override_tensor);
}

}  // namespace

bool same_question(const SpeedReading& a, const SpeedReading& b) {
  return question_of(a) == question_of(b);
}

bool same_question(const KernelReading& a, const KernelReading& b) {
  return std::tie(a.type, a.rows, a.ne0, a.tokens) == std::tie(b.type, b.rows, b.ne0, b.tokens);
}

std::vector<std::string> add_to_record(std::vector<SpeedReading> readings,
                                       std::vector<KernelReading> kernels,
                                       CalibrationRecord* record) {
  std::vector<std::string> told;
  add(std::move(readings), &record->readings, &told);
  add(std::move(kernels), &record->kernels, &told);
  return told;
}

std::vector<std::size_t> newest_readings(const CalibrationRecord& record) {
  return newest(record.readings);
}

std::vector<std::size_t> newest_kernels(const CalibrationRecord& record) {
  return newest(record.kernels);
}

}  // namespace planner
