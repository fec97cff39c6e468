// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cmath>

#include "engine/run/perplexity.h"
#include "planner/cli/commands.h"
#include "planner/cli/engine_session.h"
#include "planner/cli/progress.h"
#include "planner/cli/scoring.h"

namespace cli {
namespace {

constexpr int kInterrupted = 130;
constexpr std::uint32_t kChunk = 512;

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

hwdb::Result<Outcome> cmd_perplexity(Session& session) {
  const Options& options = session.options();
  if (options.text_file.empty())
    return hwdb::Error{"usage.arguments",
                       "perplexity needs -f TEXT (see tokwatt perplexity --help)", "", ""};
  auto text = read_scoring_text(options.text_file);
  if (!text) return text.error();
  EngineSession engine(session);
  const std::uint32_t n_chunk = options.n_chunk.value_or(kChunk);
  const std::string& path = options.arguments.front();
  const bool compare = !options.reference.empty();
  std::unique_ptr<ScoringModel> reference;
  if (compare) {
    auto opened = ScoringModel::open(engine, options.reference, n_chunk);
    if (!opened) return opened.error();
    reference = *std::move(opened);
  }
  auto model = ScoringModel::open(engine, path, n_chunk);
  if (!model) return model.error();
  const engine::Tokenizer& words = (*model)->tokenizer();
  if (compare) {
    if (auto status = check_same_vocabulary(reference->tokenizer(), words); !status)
      return status.error();
  }
  const std::vector<engine::TokenId> tokens = words.encode(*text, {});

  engine::PerplexityOptions how;
  how.n_ctx = n_chunk;
  how.n_chunks = options.n_chunks;
  if (words.adds_bos()) how.bos = words.bos();
  how.cancel = engine.cancel();
  ProgressLine progress(session.environment(), options.quiet, "");
  how.on_chunk = [&](std::uint32_t done, std::uint32_t of, double nll) {
    std::string step = fmt::format("{} of {} chunks", done, of);
    if (done > 0) step += fmt::format(", perplexity {:.4f} so far", std::exp(nll));
    progress.show(step, static_cast<double>(done) / of);
  };

  Outcome outcome;
  outcome.report.emplace();
  outcome.report->command = "perplexity";
  report::Section head;
  head.lines = {{"model", "", report::Cell("", path)},
                {"text", "", report::Cell("", options.text_file)},
                {"n_ctx", "", report::Cell("", std::uint64_t{n_chunk})},
                {"tokens", "", report::Cell("", static_cast<std::uint64_t>(tokens.size()))}};
  report::Section figures;
  std::uint32_t n_done = 0;
  bool interrupted = false;
  if (compare) {
    auto result = engine::measure_divergence(reference->tokens(), (*model)->tokens(), engine.pool(),
                                             tokens, how);
    if (!result) return result.error();
    n_done = result->model.n_chunks;
    interrupted = result->model.interrupted;
    figures = divergence_section(*result);
    head.lines.push_back({"reference", "", report::Cell("", options.reference)});
    head.sentences.push_back(
        {fmt::format("{} against {} on {}, chunks of {} tokens", file_name(path),
                     file_name(options.reference), file_name(options.text_file), n_chunk),
         hwdb::Json(), report::Tone::strong});
  } else {
    auto result = engine::measure_perplexity((*model)->tokens(), engine.pool(), tokens, how);
    if (!result) return result.error();
    n_done = result->n_chunks;
    interrupted = result->interrupted;
    figures = perplexity_section(*result);
    head.sentences.push_back({fmt::format("{} on {}, chunks of {} tokens", file_name(path),
                                          file_name(options.text_file), n_chunk),
                              hwdb::Json(), report::Tone::strong});
  }
  progress.clear();
  if (n_done == 0)
    return hwdb::Error{"run.interrupted", "interrupted before the first chunk was done", "", ""};
  if (interrupted) outcome.exit_status = kInterrupted;
  head.lines.push_back({"interrupted", "", report::Cell("", interrupted)});
  outcome.report->sections = {std::move(head), std::move(figures)};
  return outcome;
}

}  // namespace cli
