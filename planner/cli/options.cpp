// SPDX-License-Identifier: MIT
// The CLI11 room: it splits the command line; the flag table says what the words mean.
#include "planner/cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <map>

#include "hwdb/names.h"
#include "planner/cli/command_table.h"
#include "planner/cli/flag_table.h"

namespace cli {
namespace {

using hwdb::Error;

// What is taken without a command: the flags of fit, whose short form is shown.
constexpr std::string_view kDefaultCommand = "fit";

std::string help_pointer(std::string_view command) {
  return command.empty() ? "see tokwatt --help" : fmt::format("see tokwatt {} --help", command);
}

Error usage(std::string code, std::string what, std::string_view command) {
  return Error{std::move(code), std::move(what) + " (" + help_pointer(command) + ")", {}, {}};
}

/// ", did you mean X?" for the spelling that is a slip or two away; "" when none is.
std::string suggestion(std::string_view wanted, const std::vector<std::string>& known) {
  std::string_view nearest;
  // One slip in three letters: "fti" is fit, but "xy" is nothing.
  std::size_t best = std::max<std::size_t>(wanted.size() / 3, 1) + 1;
  for (const std::string& name : known) {
    const std::size_t distance = hwdb::edit_distance(wanted, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest.empty() ? std::string() : fmt::format(", did you mean {}?", nearest);
}

Error missing_value(const std::string& spelling, const Flag& flag, const CommandInfo& command) {
  return usage("usage.missing_value", fmt::format("{} needs a value: {}", spelling, flag.value),
               command.name);
}

/// llama.cpp's single-dash words ("-ngl 33", "-fa") as the long names with "=", which CLI11 reads
/// whatever the value starts with. Flags of other commands are left for CLI11 to refuse.
hwdb::Result<std::vector<std::string>> spell_out(const std::vector<std::string>& words,
                                                 const CommandInfo& command) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      out.insert(out.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      break;
    }
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const std::string spelling = word.substr(0, equals);
    const Flag* flag = spelling.starts_with('-') ? find_flag(spelling, command.flags) : nullptr;
    if (flag == nullptr) {
      out.push_back(word);
    } else if (flag->value.empty()) {
      if (equals != std::string::npos) {
        return usage("usage.value", fmt::format("{} takes no value", spelling), command.name);
      }
      out.emplace_back(flag->name);
    } else if (equals + 1 == word.size()) {
      return missing_value(spelling, *flag, command);
    } else if (equals != std::string::npos) {
      out.push_back(std::string(flag->name) + word.substr(equals));
    } else {
      const bool more = i + 1 < words.size();
      Options ignored;
      const bool bare =
          !flag->bare.empty() && (!more || !flag->set(words[i + 1], &ignored).has_value());
      const bool taken =
          more && words[i + 1].starts_with('-') && find_flag(words[i + 1]) != nullptr;
      if (!bare && (!more || taken || words[i + 1].empty())) {
        return missing_value(spelling, *flag, command);
      }
      out.push_back(fmt::format("{}={}", flag->name, bare ? std::string(flag->bare) : words[++i]));
    }
  }
  return out;
}

Error unknown_flag(const std::string& word, const CommandInfo& command, std::string_view shown) {
  const std::string spelling = word.substr(0, word.find('='));
  if (const Flag* flag = find_flag(spelling)) {
    return usage("usage.unknown_flag", fmt::format("{} does not take {}", command.name, flag->name),
                 shown);
  }
  std::vector<std::string> known;
  for (const Flag& flag : flags()) {
    if ((flag.group & command.flags) != 0) known.emplace_back(flag.name);
  }
  return usage("usage.unknown_flag",
               fmt::format("unknown flag {}{}", spelling, suggestion(spelling, known)), shown);
}

Error unknown_command(const std::string& word) {
  if (word.find(".gguf") != std::string::npos || word.find('/') != std::string::npos) {
    return usage("usage.unknown_command",
                 fmt::format("\"{}\" is no command, did you mean tokwatt plan {}?", word, word),
                 "");
  }
  std::vector<std::string> known;
  for (const CommandInfo& command : commands()) known.emplace_back(command.name);
  return usage("usage.unknown_command",
               fmt::format("unknown command \"{}\"{}", word, suggestion(word, known)), "");
}

}  // namespace

bool wants_json(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--json" || arguments[i] == "--format=json") return true;
    if (arguments[i] == "--format" && i + 1 < arguments.size() && arguments[i + 1] == "json") {
      return true;
    }
  }
  return false;
}

hwdb::Result<Options> parse_arguments(const std::vector<std::string>& arguments) {
  Options options;
  std::vector<std::string> words = arguments;
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    options.help = true;
  }
  if (!words.empty() && !words.front().starts_with('-')) {
    if (find_command(words.front()) == nullptr) return unknown_command(words.front());
    options.command = words.front();
    words.erase(words.begin());
  }
  const CommandInfo& command =
      *find_command(options.command.empty() ? kDefaultCommand : std::string_view(options.command));

  auto spelled = spell_out(words, command);
  if (!spelled) return spelled.error();

  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::map<const Flag*, std::string> given;
  for (const Flag& flag : flags()) {
    if ((flag.group & command.flags) == 0) continue;
    const std::string name(flag.name);
    if (flag.value.empty()) {
      app.add_flag_callback(name, [&given, &flag] { given[&flag] = {}; });
    } else {
      auto* option = app.add_option_function<std::string>(
          name, [&given, &flag](const std::string& value) { given[&flag] = value; });
      if (flag.repeats) {
        option->multi_option_policy(CLI::MultiOptionPolicy::Join)->delimiter(',');
      } else {
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      }
    }
  }
  try {
    std::vector<std::string> reversed(spelled->rbegin(), spelled->rend());
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& e) {
    return usage("usage.arguments", e.what(), options.command);
  }
  bool only_arguments = false;  // after "--"
  for (const std::string& word : app.remaining()) {
    if (word == "--" && !only_arguments) {
      only_arguments = true;
    } else if (!only_arguments && word.starts_with('-') && word != "-") {
      return unknown_flag(word, command, options.command);
    } else {
      options.arguments.push_back(word);
    }
  }
  if (command.name == "fit" || command.name == "bill") {
    options.workload = *planner::workload_for("chat");
    options.use_given = true;
  }
  for (const Flag& flag : flags()) {
    const auto it = given.find(&flag);
    if (it == given.end()) continue;
    options.given.emplace_back(flag.name, it->second);
    if (auto status = flag.set(it->second, &options); !status) {
      return usage("usage.value", fmt::format("{} {}", flag.name, status.error().what),
                   options.command);
    }
  }
  // A named use wants room for what it does; a longer prompt given beside it wants more.
  options.workload.wanted_ctx =
      std::max(options.workload.wanted_ctx, planner::context_needed(options.workload));
  if (options.help || options.version) return options;
  if (options.command.empty() && !options.arguments.empty()) {
    return usage(
        "usage.arguments",
        find_command(options.arguments.front()) != nullptr
            ? fmt::format("the command comes first: tokwatt {} ...", options.arguments.front())
            : fmt::format("\"{}\" without a command", options.arguments.front()),
        "");
  }
  if (options.arguments.size() < command.min_arguments) {
    return usage("usage.arguments", fmt::format("{} needs {}", command.name, command.arguments),
                 command.name);
  }
  if (options.arguments.size() > command.max_arguments) {
    return usage("usage.arguments",
                 fmt::format("{} takes {}, \"{}\" is too much", command.name,
                             command.arguments.empty() ? "no argument" : command.arguments,
                             options.arguments[command.max_arguments]),
                 command.name);
  }
  return options;
}

}  // namespace cli
