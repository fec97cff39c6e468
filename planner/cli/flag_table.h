// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

#include "hwdb/result.h"
#include "planner/cli/options.h"

namespace cli {

/// One flag: its spellings, what it does, and which commands take it. Help, parsing and the man
/// page read this table.
struct Flag {
  std::string_view name;    // "--ctx-size"
  std::string_view shorts;  // other spellings, separated by blanks: "-c"
  std::string_view value;   // "N"; "" for a switch
  std::string_view help;
  unsigned group = 0;  // FlagGroup of the commands that take it
  hwdb::Status (*set)(std::string_view value, Options* options);
  std::string_view bare = {};  // the value of a flag given without one; "" needs a value
  bool repeats = false;        // given several times: the values, joined by commas
};

/// In the order in which they take effect: --use before the figures that it stands for.
std::span<const Flag> flags();
/// The flag of that spelling that a command with these groups takes; one word may mean different
/// things to different commands. Null when there is none.
const Flag* find_flag(std::string_view spelling, unsigned groups = ~0u);

}  // namespace cli
