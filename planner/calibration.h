// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/result.h"
#include "hwdb/speed_reading.h"
#include "planner/device_factors.h"

namespace planner {

/// Factors of one device of one machine with one runtime, fitted to what was measured there.
struct Calibration {
  std::string runtime;  // "tokwatt", "llama.cpp", "ollama"...
  std::string backend;  // "cpu", "cuda"...
  std::string device;   // the GPU's name; "" the processors
  std::string build;    // of the runtime that was measured last
  std::string made_at;
  double bandwidth_bytes_per_s = 0, peak_flops_per_s = 0;  // what the shares are of
  DeviceFactors factors;

  /// Relative standard error of a factor, by its name; types as "Q4_K.read".
  struct Error {
    std::string factor;
    double relative = 0;
  };
  std::vector<Error> errors;
  /// Standard deviation of ln(measured / predicted) over the readings, at least their own noise:
  /// half a 90 % band is 1.645 of it. 0: no reading of that kind.
  double decode_spread = 0, prefill_spread = 0;
  std::uint32_t n_readings = 0, n_kernels = 0;  // that went into it, flawed ones left out
};

/// The one that a plan uses for a device: same runtime, backend and device; null when there is
/// none.
const Calibration* find_calibration(std::span<const Calibration> calibrations,
                                    std::string_view runtime, std::string_view backend,
                                    std::string_view device);

/// What was measured on one machine, by whomever, and what was fitted to it. Readings are only ever
/// added or flagged: the factors can be fitted anew from them.
struct CalibrationRecord {
  std::vector<Calibration> calibrations;
  std::vector<hwdb::SpeedReading> readings;
  std::vector<hwdb::KernelReading> kernels;  // of the engine on the processors
};
/// Of each kind; a record with more is not read. What adds to a record drops the oldest beyond it.
inline constexpr std::size_t kMaxCalibrationReadings = 2000;
/// One JSON object (schema "1.0") and back; the reader trusts nothing, errors as machine_from_json.
hwdb::Json calibration_record_to_json(const CalibrationRecord& record);
hwdb::Result<CalibrationRecord> calibration_record_from_json(const hwdb::Json& json,
                                                             std::string_view where);

}  // namespace planner
