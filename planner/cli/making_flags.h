// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "planner/cli/flag_table.h"

namespace cli {

/// The flags of the commands that make model files; a part of flags().
std::span<const Flag> making_flags();

}  // namespace cli
