// SPDX-License-Identifier: MIT
#include "engine/run/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace engine {
namespace {

constexpr double kFar = 3.5;
// Median absolute deviation of a normal distribution whose standard deviation is 1.
constexpr double kNormalMad = 0.6745;

}  // namespace

double mean_of(std::span<const double> samples) {
  if (samples.empty()) return 0;
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

double deviation_of(std::span<const double> samples) {
  if (samples.size() < 2) return 0;
  const double mean = mean_of(samples);
  double sum = 0;
  for (const double x : samples) sum += (x - mean) * (x - mean);
  return std::sqrt(sum / static_cast<double>(samples.size() - 1));
}

double quantile_of(std::span<const double> samples, double q) {
  if (samples.empty()) return 0;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  const double at = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], at - static_cast<double>(below));
}

double median_of(std::span<const double> samples) {
  return quantile_of(samples, 0.5);
}

std::vector<bool> find_outliers(std::span<const double> samples) {
  std::vector<bool> out(samples.size());
  if (samples.size() < 3) return out;
  const double median = median_of(samples);
  std::vector<double> distances;
  distances.reserve(samples.size());
  for (const double x : samples) distances.push_back(std::fabs(x - median));
  const double mad = median_of(distances);
  for (std::size_t i = 0; i < samples.size(); ++i) out[i] = kNormalMad * distances[i] > kFar * mad;
  return out;
}

Figure MeanSum::figure() const {
  if (n_ < 2) return {mean(), 0};
  const double variance = mean_of_squares() - mean() * mean();
  // Rounding may take it below zero when all values are equal.
  return {mean(), variance > 0 ? std::sqrt(variance / static_cast<double>(n_ - 1)) : 0};
}

}  // namespace engine
