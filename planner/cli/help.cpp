// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "planner/cli/command_table.h"
#include "planner/cli/flag_table.h"
#include "planner/cli/options.h"

namespace cli {
namespace {

struct Heading {
  unsigned group;
  std::string_view title;
};
constexpr std::array kHeadings = {
    Heading{kRig | kQuant, "what runs where"},
    Heading{kSynth | kQuantize, "the file that is made"},
    Heading{kVerify, "what is compared"},
    Heading{kRun | kPlan, "as llama.cpp calls it"},
    Heading{kEngine | kGenerate | kBench | kScore | kMeasure, "how it runs"},
    Heading{kWorkload, "what it is used for"},
    Heading{kFit | kBill | kMoney, "choice and money"},
    Heading{kProbe | kDoctor, "this machine"},
    Heading{kOutput | kWhy | kCheck | kCatalog, "the answer"},
};

std::string flag_line(const Flag& flag) {
  std::string names(flag.name);
  if (!flag.shorts.empty()) {
    // The first short spelling is the one people type.
    names = fmt::format("{}, {}", flag.shorts.substr(0, flag.shorts.find(' ')), flag.name);
  }
  if (!flag.value.empty()) names.append(" ").append(flag.value);
  return fmt::format("  {:<29} {}\n", names, flag.help);
}

std::string program_help() {
  std::string out =
      "tokwatt: what language models run on a machine, how fast, and what it costs\n\n"
      "  tokwatt                                  the short answer for this machine\n"
      "  tokwatt fit --on \"RTX 4090\" --use code   what fits, best first\n"
      "  tokwatt plan model.gguf -c 32k           one model, byte by byte\n"
      "  tokwatt bill --on \"RTX 4090\"             what a month of it costs\n\n"
      "commands\n";
  for (const CommandInfo& command : commands()) {
    out += fmt::format("  {:<23} {}\n", fmt::format("{} {}", command.name, command.arguments),
                       command.summary);
  }
  out +=
      "\nRIG    this, a saved name, FILE.json, or words: \"2x RTX 3090, 64GB DDR4-3200\"\n"
      "MODEL  a name of the catalogue, FILE.gguf, a folder with config.json,\n"
      "       ollama:NAME:TAG or lmstudio:NAME\n\n"
      "tokwatt COMMAND --help lists the flags of a command.\n"
      "Exit: 0 ok, 1 failure, 2 usage, 3 file rejected, 4 no device, 6 state, 7 check not met.\n";
  return out;
}

}  // namespace

std::string help_text(std::string_view name) {
  const CommandInfo* command = find_command(name);
  if (command == nullptr) return program_help();
  std::string out = fmt::format("tokwatt {}: {}\n\n", command->name, command->summary);
  for (const std::string_view example : command->examples) out += fmt::format("  {}\n", example);
  out += fmt::format("\nusage: tokwatt {}{}{} [flags]\n", command->name,
                     command->arguments.empty() ? "" : " ", command->arguments);
  for (const Heading& heading : kHeadings) {
    std::string lines;
    for (const Flag& flag : flags()) {
      if ((flag.group & heading.group & command->flags) != 0) lines += flag_line(flag);
    }
    if (!lines.empty()) out += fmt::format("\n{}\n{}", heading.title, lines);
  }
  return out;
}

}  // namespace cli
