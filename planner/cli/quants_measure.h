// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/result.h"
#include "planner/cli/session.h"

namespace cli {

/// quants --measure: what the quantizations of a local file lose, measured with the engine on a
/// text, each against the file itself: those of --against, the other files of a folder, or presets
/// that are made for the purpose and removed again. Errors: those of the engine; usage.*.
hwdb::Result<Outcome> measure_quants(Session& session);

}  // namespace cli
