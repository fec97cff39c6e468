// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/machine.h"
#include "hwdb/result.h"
#include "probes/measure/gpu_measure.h"

namespace probes {

struct MeasureAllOptions {
  double budget_seconds = 15;    // of everything that is not held
  double sustained_seconds = 0;  // each load that shows throttling is held so long, on top; 0: none
  std::string child_program;     // as in MeasureOptions
  std::string disk_folder;       // where the file for the disk is made; "": the current one
  std::string as_of;             // the day that readings carry; "": today, in UTC
};

/// All measurements of a detected machine, one after the other: processor, memory, disk and watts,
/// then each GPU. The readings stand in the machine afterwards, also when it was cancelled: then
/// what is missing is skipped and older readings are kept. `progress` comes a few times a second.
void measure_machine(hwdb::Machine* machine, const MeasureAllOptions& options,
                     const std::function<void(const MeasureProgress&)>& progress,
                     const std::atomic<bool>* cancel);

/// Held while measuring, so that two runs on one machine do not disturb each other, whoever starts
/// them.
class MeasureLock {
 public:
  /// Waits; `on_wait` is called once when there is something to wait for. Errors: state.locked
  /// after `timeout_seconds`, state.write. A cancelled wait is state.locked, too.
  static hwdb::Result<MeasureLock> take(double timeout_seconds,
                                        const std::function<void()>& on_wait,
                                        const std::atomic<bool>* cancel);
  MeasureLock(MeasureLock&& other) noexcept;
  MeasureLock& operator=(MeasureLock&& other) noexcept;
  ~MeasureLock();

 private:
  explicit MeasureLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace probes
