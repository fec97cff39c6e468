// SPDX-License-Identifier: MIT
#include "planner/cli/engine_flags.h"

#include <array>

#include "planner/cli/command_table.h"
#include "planner/cli/flag_values.h"

namespace cli {
namespace {

using hwdb::Status;
using Text = std::string_view;

constexpr std::array kStorages = {
    Word<bool>{"repacked", false},
    Word<bool>{"mapped", true},
};

constexpr std::array kFlags = {
    Flag{"--storage", "", "HOW", "repacked (a copy, read fastest) or mapped (the file's pages)",
         kEngine, [](Text v, Options* o) { return read_word(v, kStorages, &o->mapped_weights); }},
};

}  // namespace

std::span<const Flag> engine_flags() {
  return kFlags;
}

}  // namespace cli
