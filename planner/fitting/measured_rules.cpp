// SPDX-License-Identifier: MIT
#include "planner/fitting/measured_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "planner/fitting/measured_notes.h"

namespace fitting {
namespace {

/// Programs that run llama.cpp's own graphs and kernels and time the two phases apart.
constexpr std::array<std::string_view, 8> kRuntimes = {
    "llama.cpp",           "llama.cpp llama-bench",  "llama.cpp llama-batched-bench",
    "llama.cpp llama-cli", "llama.cpp llama-server", "llama.cpp llama-completion",
    "llamafile-bench",     "llamafile (localscore)"};
constexpr std::array<std::string_view, 6> kBackends = {"cuda",  "rocm", "vulkan",
                                                       "metal", "sycl", "cpu"};

/// Builds before this month are far slower than later ones.
constexpr std::string_view kFirstMonth = "2024-03";
/// A shorter prompt times the start of the program more than the prompt.
constexpr std::uint32_t kShortestPrompt = 32;
/// A shorter answer is as much prompt and program as decode, when timed from outside.
constexpr std::uint32_t kShortestAnswer = 100;

/// True when the whole of the date, as precise as it is told, lies before the month.
bool before_month(std::string_view date, std::string_view month) {
  if (date.size() < 4) return false;
  const std::string_view told = date.substr(0, month.size());
  return told < month.substr(0, told.size());
}

bool crowd_sourced(const MeasuredRow& row) {
  return row.source_id.starts_with("llmfit") || row.source_id == "localmaxxing" ||
         says(row.notes, "crowd-sourced");
}

}  // namespace

bool is_outside_rate(const MeasuredRow& row) {
  if (says(row.notes, "pure generation")) return false;
  return says(row.notes, "end-to-end") || says(row.notes, "end to end") ||
         (crowd_sourced(row) && !row.runtime.ends_with("bench"));
}

std::optional<LeftOut> judge_row(const MeasuredRow& row, const CleaningOptions& options) {
  const auto out = [&](std::string_view rule, std::string words) {
    return LeftOut{row.line, std::string(rule), std::move(words)};
  };
  if (row.runtime.starts_with("ik_llama.cpp"))
    return out("ik_fork", "ik_llama.cpp has kernels of its own");
  if (std::ranges::find(kRuntimes, row.runtime) == kRuntimes.end())
    return out("runtime", fmt::format("\"{}\" is not llama.cpp", row.runtime));
  if (row.both_phases) return out("both_phases", "prompt and output are timed together");
  const bool outside = is_outside_rate(row);
  if (outside && (!options.outside_rates || row.reading.n_gen < kShortestAnswer))
    return out("end_to_end", "a rate from outside, with prompt and overhead in it");
  if (says(row.notes, "rough figure") || says(row.notes, "thermal throttling") ||
      says(row.notes, "server-log averages") || says(row.notes, "baseline"))
    return out("doubtful", "the source doubts the figure, or measured it to be surpassed");
  if (says(row.notes, "speculative decoding suspected") || says(row.model, "-mtp"))
    return out("speculative", "tokens may have been drafted");
  const std::string& build = row.reading.build;
  if (says(build, "before") || build == "master" || says(row.notes, "before the ") ||
      says(row.notes, "before optimisation") || says(row.notes, "before column") ||
      says(row.notes, "master column"))
    return out("before_change", "the column before a change that made it faster");
  if (before_month(row.date, kFirstMonth))
    return out("old_build", fmt::format("measured before {}", kFirstMonth));
  if (std::ranges::find(kBackends, row.reading.backend) == kBackends.end())
    return out("backend", fmt::format("\"{}\" is no backend of the planner", row.backend));
  if (row.reading.backend != "cpu" &&
      (says(row.notes, "raspberry pi") || says(row.notes, "risc-v host") ||
       says(row.notes, "pcie limited")))
    return out("host", "a card in a board computer waits for its host");
  if (says(row.notes, "overclocked") || says(row.notes, "power limit"))
    return out("tuned", "clocks or power limit are not those of the card");
  if (row.reading.test == hwdb::SpeedReading::Test::prefill && row.reading.n_prompt == 0)
    return out("prompt_length", "the length of the prompt is not told");
  if (row.reading.test == hwdb::SpeedReading::Test::prefill &&
      row.reading.n_prompt < kShortestPrompt)
    return out("prompt_length",
               fmt::format("a prompt below {} tokens times its start", kShortestPrompt));
  if (placement_of(row) == Placement::unclear && !(outside && row.offload.empty()))
    return out("placement", fmt::format("\"{}\" does not say what ran where", row.offload));
  return std::nullopt;
}

CleanedRows clean_rows(std::vector<MeasuredRow> rows, const hwdb::Catalog& catalog,
                       const CleaningOptions& options) {
  CleanedRows cleaned;
  cleaned.header.assign(measured_columns().begin(), measured_columns().end());
  MeasuredNames names(catalog);
  for (MeasuredRow& row : rows) {
    if (auto judged = judge_row(row, options)) {
      cleaned.left_out.push_back(std::move(*judged));
      continue;
    }
    LeftOut out;
    if (auto made = make_case(row, &names, &out)) {
      cleaned.cases.push_back(std::move(*made));
    } else {
      cleaned.left_out.push_back(std::move(out));
    }
  }
  leave_slow_formats(&cleaned.cases, &cleaned.left_out);
  keep_one_of_each(&cleaned.cases, &cleaned.left_out);
  std::ranges::sort(cleaned.left_out, {}, &LeftOut::line);
  return cleaned;
}

std::string_view to_string(Situation situation) {
  switch (situation) {
    case Situation::plain:
      return "plain";
    case Situation::depth:
      return "depth";
    case Situation::several_gpus:
      return "several_gpus";
    case Situation::experts:
      return "experts";
    case Situation::offload:
      return "offload";
    case Situation::cpu:
      return "cpu";
    case Situation::batch:
      return "batch";
  }
  return "";
}

}  // namespace fitting
