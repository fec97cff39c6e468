// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "probes/runtime/log_state.h"

namespace probes {

struct LogLine {
  std::string_view text;
  std::uint64_t number = 0;  // in the input, from 1
};

/// Takes one kind of line into the state and says whether this was one.
using ReadLogLine = bool (*)(LogState* state, const LogLine& line);

/// Lines that tell sizes: buffers, caches, the table at the end.
std::span<const ReadLogLine> memory_line_readers();
/// Lines that tell what is loaded and how: model, context, devices, steps of the server.
std::span<const ReadLogLine> setup_line_readers();

}  // namespace probes
