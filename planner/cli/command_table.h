// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace cli {

/// Groups of flags that a command takes.
enum FlagGroup : unsigned {
  kOutput = 1u << 0,    // format, file, colour
  kCatalog = 1u << 1,   // --hwdb, state
  kRig = 1u << 2,       // --on
  kRun = 1u << 3,       // llama.cpp's own names
  kWorkload = 1u << 4,  // --use and what it stands for
  kMoney = 1u << 5,     // tariff
  kWhy = 1u << 6,       // --why
  kCheck = 1u << 7,     // --check
  kQuant = 1u << 8,     // --quant
  kFit = 1u << 9,
  kBill = 1u << 10,
  kPlan = 1u << 11,
  kVerify = 1u << 12,
  kProbe = 1u << 13,
  kDoctor = 1u << 14,
  kEngine = 1u << 15,    // what all commands that run the engine take
  kGenerate = 1u << 16,  // run
  kBench = 1u << 17,
  kScore = 1u << 18,    // perplexity
  kMeasure = 1u << 21,  // quants --measure
  kSynth = 1u << 19,
  kQuantize = 1u << 20,
  kCalibrate = 1u << 22,
};

/// One command as help, dispatch and the man page see it.
struct CommandInfo {
  std::string_view name;
  std::string_view arguments;  // "MODEL", "" none
  std::string_view summary;
  std::span<const std::string_view> examples;
  unsigned flags = 0;
  std::size_t min_arguments = 0, max_arguments = 0;
};

/// The commands that work, in the order of the help.
std::span<const CommandInfo> commands();
/// Null for a name that is none.
const CommandInfo* find_command(std::string_view name);

}  // namespace cli
