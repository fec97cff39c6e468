// SPDX-License-Identifier: MIT
#include "probes/runtime/speed_samples.h"

#include <algorithm>
#include <cmath>

namespace probes {

bool is_speed(double tok_per_s) {
  return std::isfinite(tok_per_s) && tok_per_s > 0 && tok_per_s < 1e9;
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void set_speed(hwdb::SpeedReading* reading, double told) {
  const std::vector<double>& samples = reading->samples;
  reading->tok_per_s = samples.empty() ? told : median_of(samples);
  if (samples.size() < 2) return;
  double sum = 0, squares = 0;
  for (const double speed : samples) sum += speed;
  const double mean = sum / static_cast<double>(samples.size());
  for (const double speed : samples) squares += (speed - mean) * (speed - mean);
  reading->deviation = std::sqrt(squares / static_cast<double>(samples.size() - 1));
}

}  // namespace probes
