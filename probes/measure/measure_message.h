// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "probes/measure/gpu_measure.h"

/// What goes to a child process that measures, and the lines that come back. What comes back is not
/// trusted: a driver may have damaged the child. Errors: probe.message.
namespace probes {

/// One JSON object.
std::string write_measure_request(const GpuMeasureOptions& options);
hwdb::Result<GpuMeasureOptions> read_measure_request(std::string_view text);

/// One line of JSON: just one of its members.
struct MeasureEvent {
  std::optional<MeasureProgress> progress;  // a step begins or goes on
  std::optional<Reading> reading;
  std::optional<hwdb::Error> error;  // of the device's opening: the end
  bool done = false;                 // the end; what is missing was lost with the device
  std::vector<std::string> validation_messages;  // with `done`
};
std::string write_measure_event(const MeasureEvent& event);
hwdb::Result<MeasureEvent> read_measure_event(std::string_view line);

/// Reads a request from stdin, measures and writes the events to `message_fd`. Answers with the
/// process exit status.
int run_measure_child(int message_fd);

}  // namespace probes
