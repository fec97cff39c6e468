// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "engine/run/generation.h"
#include "engine/tokenizer/chat_template.h"
#include "planner/cli/commands.h"
#include "planner/cli/engine_session.h"
#include "planner/cli/progress.h"
#include "planner/cli/scoring.h"
#include "planner/report/escape.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using hwdb::Error;
using hwdb::Json;
using report::Cell;

constexpr int kInterrupted = 130;

/// The prompt as the model gets it.
struct Prompt {
  std::string text;
  std::string family;  // "" raw
};

hwdb::Result<std::string> question_of(const RunFlags& flags) {
  if (flags.prompt.empty() == flags.prompt_file.empty()) {
    return Error{"usage.arguments", "run needs -p TEXT or -f FILE (see tokwatt run --help)", "",
                 ""};
  }
  if (!flags.prompt.empty()) return flags.prompt;
  auto text = read_scoring_text(flags.prompt_file);
  // An editor's last line end is not meant.
  if (text && text->ends_with('\n')) text->pop_back();
  return text;
}

hwdb::Result<Prompt> prompt_of(const RunFlags& flags, std::string question,
                               const std::string& chat_template,
                               std::vector<std::string>* warnings) {
  const engine::ChatFamily* family = nullptr;
  if (!flags.raw && flags.chat != "none") {
    family = flags.chat.empty() ? engine::recognize_chat_family(chat_template)
                                : engine::find_chat_family(flags.chat);
    if (family == nullptr && !chat_template.empty()) {
      warnings->push_back(
          "the file's chat template is of no known family: the prompt goes in as it is; --chat "
          "names a family");
    }
  }
  if (family == nullptr) {
    if (!flags.system.empty()) {
      return Error{"usage.arguments", "--system needs a chat family, and the file names none", "",
                   "name one with --chat chatml (or llama3, gemma...)"};
    }
    return Prompt{std::move(question), ""};
  }
  std::vector<engine::ChatMessage> messages;
  if (!flags.system.empty()) {
    messages.push_back({engine::ChatMessage::Role::system, flags.system});
  }
  messages.push_back({engine::ChatMessage::Role::user, std::move(question)});
  return Prompt{family->render(messages), std::string(family->name)};
}

/// Text of the answer as a terminal may have it; line ends and tabs stay.
std::string shown(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find_first_of("\n\t");
    out += report::escape_terminal(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += text[end];
    text.remove_prefix(end + 1);
  }
}

double per_second(double amount, std::uint64_t ns) {
  return ns == 0 ? 0.0 : amount / (static_cast<double>(ns) / 1e9);
}

/// A speed, or null where nothing was run.
Json speed(double amount, std::uint64_t ns) {
  return amount > 0 && ns > 0 ? Json(per_second(amount, ns)) : Json();
}

std::string phase_text(std::uint64_t n, std::uint64_t ns) {
  if (n == 0) return "none";
  return fmt::format("{} tokens in {}, {} tok/s", n,
                     report::seconds_text(static_cast<double>(ns) / 1e9),
                     report::short_number(per_second(static_cast<double>(n), ns)));
}

/// "12.3 GB/s, 81 % of the 15.1 GB/s measured here".
std::string traffic_text(double rate,
                         const std::optional<hwdb::Sourced<hwdb::BytesPerSecond>>& bandwidth) {
  std::string text = fmt::format("{}/s", report::decimal_bytes(rate));
  if (!bandwidth) return text + "; this machine's memory bandwidth is not known";
  const double all = bandwidth->value.value;
  text += fmt::format(", {} % of {}/s ", report::short_number(100 * rate / all),
                      report::decimal_bytes(all));
  return text + (bandwidth->basis == hwdb::Basis::measured
                     ? "measured here"
                     : fmt::format("({}; tokwatt probe --measure measures it)",
                                   hwdb::to_string(bandwidth->basis)));
}

report::Section figures_of(const engine::Generation& answer,
                           const std::optional<hwdb::Sourced<hwdb::BytesPerSecond>>& bandwidth) {
  const auto n_prefill = static_cast<double>(answer.n_prefill),
             n_decode = static_cast<double>(answer.n_decode);
  const auto seconds = [](std::uint64_t ns) { return Json(static_cast<double>(ns) / 1e9); };
  report::Section section;
  section.lines = {
      {"prefill_tok_per_s", "prefill",
       Cell(phase_text(answer.n_prefill, answer.prefill_ns), speed(n_prefill, answer.prefill_ns))},
      {"decode_tok_per_s", "decode",
       Cell(phase_text(answer.n_decode, answer.decode_ns), speed(n_decode, answer.decode_ns))},
      {"prefill_s", "", Cell("", seconds(answer.prefill_ns))},
      {"decode_s", "", Cell("", seconds(answer.decode_ns))},
      {"prefill_bytes", "", Cell("", answer.prefill.bytes())},
      {"decode_bytes", "", Cell("", answer.decode.bytes())},
      {"prefill_flops", "", Cell("", answer.prefill.flops)},
      {"decode_flops", "", Cell("", answer.decode.flops)},
  };
  const double rate = answer.n_decode > 0 ? per_second(answer.decode.bytes(), answer.decode_ns) : 0;
  const bool has_rate = rate > 0;
  section.lines.push_back(
      {"decode_bytes_per_s", has_rate ? "moved" : "",
       has_rate ? Cell(traffic_text(rate, bandwidth), rate) : Cell("", Json())});
  const auto add = [&](std::string_view key, Json value) {
    section.lines.push_back({std::string(key), "", Cell("", std::move(value))});
  };
  if (!has_rate) add("decode_reason", std::string("no token of the answer was run"));
  if (bandwidth) {
    add("bandwidth_bytes_per_s", bandwidth->value.value);
    add("bandwidth_basis", std::string(hwdb::to_string(bandwidth->basis)));
    add("bandwidth_share", has_rate ? Json(rate / bandwidth->value.value) : Json());
  } else {
    add("bandwidth_bytes_per_s", Json());
    add("bandwidth_reason", std::string("this machine's memory bandwidth is not known"));
  }
  return section;
}

report::Section answer_section(const std::string& path, const Prompt& prompt, std::size_t n_prompt,
                               std::uint32_t n_ctx, const engine::Generation& answer) {
  Json::Array ids;
  for (const engine::TokenId id : answer.tokens) ids.emplace_back(std::int64_t{id});
  report::Section section;
  section.lines = {
      {"model", "", Cell("", path)},
      {"chat", "", Cell("", prompt.family.empty() ? Json() : Json(prompt.family))},
      {"n_ctx", "", Cell("", std::uint64_t{n_ctx})},
      {"n_prompt", "", Cell("", static_cast<std::uint64_t>(n_prompt))},
      {"n_answer", "", Cell("", static_cast<std::uint64_t>(answer.tokens.size()))},
      {"stop", "", Cell("", std::string(engine::to_string(answer.stop)))},
      {"text", "", Cell("", answer.text)},
      {"token_ids", "", Cell("", Json(std::move(ids)))},
  };
  return section;
}

}  // namespace

hwdb::Result<Outcome> cmd_run(Session& session) {
  const Options& options = session.options();
  auto question = question_of(options.run);
  if (!question) return question.error();
  EngineSession engine(session);
  auto how = engine.context_options();
  if (!how) return how.error();
  const std::string& path = options.arguments.front();
  auto model = engine.open(path);
  if (!model) return model.error();
  const engine::Tokenizer* words = (*model)->tokenizer();
  if (words == nullptr) {
    return (*model)->tokenizer_error().value_or(
        Error{"vocab.missing", "the file has no tokenizer", path, ""});
  }
  Outcome outcome;
  auto prompt =
      prompt_of(options.run, *std::move(question), (*model)->chat_template(), &outcome.warnings);
  if (!prompt) return prompt.error();
  const std::vector<engine::TokenId> tokens =
      words->encode(prompt->text, {.add_special = true, .parse_special = true});
  auto context = engine::Context::make(**model, engine.pool(), *how);
  if (!context) return context.error();
  if (tokens.size() > (*context)->n_ctx()) {
    return Error{"run.context_full",
                 fmt::format("the prompt has {} tokens, {} fit the context", tokens.size(),
                             (*context)->n_ctx()),
                 path, "give a larger -c; the context is never shifted"};
  }

  const bool streams = options.format == Format::text;
  ProgressLine progress(session.environment(), options.quiet, "");
  engine::GenerationOptions generation;
  generation.n_tokens = options.run.n_predict;
  generation.n_batch = static_cast<std::uint32_t>(options.settings.n_batch);
  generation.sampler = options.run.sampler;
  generation.on_prompt = [&](std::size_t done) {
    progress.show("prompt", static_cast<double>(done) / static_cast<double>(tokens.size()));
  };
  bool has_reader = true;
  generation.on_text = [&](std::string_view text) {
    progress.clear();
    if (streams && has_reader) has_reader = session.write(shown(text));
  };
  engine::ContextModel runs(**model, **context);
  auto answer = engine::generate(runs, *words, tokens, generation);
  progress.clear();
  if (!answer) return answer.error();
  if (streams && !answer->text.empty() && !answer->text.ends_with('\n')) session.write("\n");

  if (answer->stop == engine::StopReason::interrupted) outcome.exit_status = kInterrupted;
  if (answer->full) {
    Error full = *answer->full;
    full.what =
        fmt::format("the context of {} tokens is full: {} of the prompt and {} of the answer",
                    (*context)->n_ctx(), tokens.size(), answer->n_decode);
    full.where = path;
    outcome.exit_status = hwdb::exit_status(full.code);
    outcome.after = std::move(full);
  }
  report::Report report;
  report.command = "run";
  report.sections = {answer_section(path, *prompt, tokens.size(), (*context)->n_ctx(), *answer),
                     figures_of(*answer, engine.memory_bandwidth())};
  if (!streams) {
    outcome.report = std::move(report);
  } else if (!options.quiet && session.environment().message) {
    session.environment().message(
        "\n" + report::render_text(report, {session.environment().width, false}));
  }
  return outcome;
}

}  // namespace cli
