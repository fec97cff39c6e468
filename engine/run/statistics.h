// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace engine {

/// 0 without samples.
double mean_of(std::span<const double> samples);
/// The standard deviation of a sample (n - 1); 0 for fewer than two.
double deviation_of(std::span<const double> samples);
/// The q-quantile (0 to 1), interpolated; 0 without samples.
double quantile_of(std::span<const double> samples, double q);
double median_of(std::span<const double> samples);

/// Which samples lie further from the median than 3.5 times the median absolute deviation, the
/// latter scaled to the standard deviation of a normal distribution (Iglewicz and Hoaglin, 1993).
/// When more than half are equal, all others are. None for fewer than three samples.
std::vector<bool> find_outliers(std::span<const double> samples);

/// A mean with its standard error.
struct Figure {
  double value = 0, error = 0;
};

/// Collects values for a mean: bounded memory, whatever their number.
class MeanSum {
 public:
  void add(double value) {
    ++n_;
    sum_ += value;
    sum_of_squares_ += value * value;
  }
  std::size_t n() const { return n_; }
  double mean() const { return n_ == 0 ? 0 : sum_ / static_cast<double>(n_); }
  /// sqrt((mean of squares - square of the mean) / (n - 1)) as the error; 0 for fewer than two.
  Figure figure() const;
  double mean_of_squares() const { return n_ == 0 ? 0 : sum_of_squares_ / static_cast<double>(n_); }

 private:
  std::size_t n_ = 0;
  double sum_ = 0, sum_of_squares_ = 0;
};

}  // namespace engine
