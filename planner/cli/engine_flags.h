// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "planner/cli/flag_table.h"

namespace cli {

/// The flags of the commands that run the engine; a part of flags().
std::span<const Flag> engine_flags();

}  // namespace cli
