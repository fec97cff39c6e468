// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "hwdb/speed_reading.h"

namespace probes {

/// A speed that some machine may have: finite, above zero and below a billion tokens a second.
bool is_speed(double tok_per_s);
/// The middle one, or the mean of the two in the middle; 0 of none.
double median_of(std::vector<double> values);
/// Median and deviation of the reading's samples; without samples, `told`.
void set_speed(hwdb::SpeedReading* reading, double told);

}  // namespace probes
