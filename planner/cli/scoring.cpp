// SPDX-License-Identifier: MIT
#include "planner/cli/scoring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hwdb/file_reader.h"
#include "planner/report/escape.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using report::Cell;

constexpr std::uint64_t kTextBytes = std::uint64_t{1} << 30;

std::string percent_text(const engine::Figure& share) {
  return fmt::format("{:.2f} ± {:.2f} %", 100 * share.value, 100 * share.error);
}

Cell divergence_cell(double nats) {
  return {fmt::format("{:.6f}", nats), nats};
}

/// The lines that every scored model has.
void add_perplexity(const engine::PerplexityResult& r, const std::string& prefix,
                    const std::string& label, std::vector<report::Line>* lines) {
  for (report::Line& line : figure_lines(prefix + "perplexity", label, r.perplexity))
    lines->push_back(std::move(line));
  lines->push_back({prefix + "nll", "", Cell("", r.nll.value)});
  lines->push_back({prefix + "nll_error", "", Cell("", r.nll.error)});
}

void add_speed(const engine::PerplexityResult& r, const std::string& prefix,
               const std::string& label, std::vector<report::Line>* lines) {
  if (!(r.seconds > 0)) return;
  const double tok_per_s = static_cast<double>(r.n_run) / r.seconds;
  lines->push_back({prefix + "tok_per_s", label,
                    Cell(fmt::format("{} tok/s ({})", report::short_number(tok_per_s),
                                     report::seconds_text(r.seconds)),
                         tok_per_s)});
  lines->push_back({prefix + "seconds", "", Cell("", r.seconds)});
  lines->push_back({prefix + "moved_bytes", "", Cell("", r.counts.bytes())});
  lines->push_back({prefix + "flops", "", Cell("", r.counts.flops)});
}

void add_text(const engine::PerplexityResult& r, std::vector<report::Line>* lines) {
  std::string chunks = fmt::format("{} scored in {} chunks", r.n_scored, r.n_chunks);
  if (r.interrupted) chunks += fmt::format(" of {}", r.n_chunks_planned);
  lines->push_back({"tokens_scored", "tokens", Cell(chunks, r.n_scored)});
  lines->push_back({"chunks", "", Cell("", std::uint64_t{r.n_chunks})});
  lines->push_back({"chunks_planned", "", Cell("", std::uint64_t{r.n_chunks_planned})});
}

}  // namespace

hwdb::Result<std::string> read_scoring_text(const std::string& path) {
  auto file = hwdb::FileReader::open(path);
  if (!file) return file.error();
  auto text = file->read_text(kTextBytes);
  if (!text) return text.error();
  // As llama.cpp's tools read a file: its last line end is the editor's.
  if (text->ends_with('\n')) text->pop_back();
  if (text->empty()) return hwdb::Error{"usage.text", "the text is empty", path, ""};
  return text;
}

hwdb::Result<std::unique_ptr<ScoringModel>> ScoringModel::open(EngineSession& engine,
                                                               const std::string& name,
                                                               std::uint32_t n_chunk) {
  auto how = engine.context_options();
  if (!how) return how.error();
  how->n_ctx = n_chunk;
  auto model = engine.open(name);
  if (!model) return model.error();
  if ((*model)->tokenizer() == nullptr) {
    return (*model)->tokenizer_error().value_or(
        hwdb::Error{"vocab.missing", "the file has no tokenizer", name, ""});
  }
  auto context = engine::Context::make(**model, engine.pool(), *how);
  if (!context) return context.error();
  auto out = std::make_unique<ScoringModel>();
  out->model_ = *std::move(model);
  out->context_ = *std::move(context);
  out->tokens_.emplace(*out->model_, *out->context_);
  return out;
}

hwdb::Status check_same_vocabulary(const engine::Tokenizer& a, const engine::Tokenizer& b) {
  const auto differ = [](std::string what) {
    return hwdb::Error{"usage.vocabulary", std::move(what), "",
                       "only files of one model can be compared"};
  };
  if (a.n_tokens() != b.n_tokens())
    return differ(
        fmt::format("vocabularies of {} and {} tokens differ", a.n_tokens(), b.n_tokens()));
  for (std::size_t i = 0; i < a.n_tokens(); ++i) {
    const auto id = static_cast<engine::TokenId>(i);
    const std::string one = a.piece(id, true), other = b.piece(id, true);
    if (one != other)
      return differ(fmt::format("the vocabularies differ: token {} is \"{}\" and \"{}\"", i,
                                report::escape_terminal(one), report::escape_terminal(other)));
  }
  return hwdb::Ok{};
}

std::string figure_text(const engine::Figure& f) {
  if (!std::isfinite(f.value)) return "-";
  // Two digits of the error, at least four places: as many as the value deserves.
  const int places =
      f.error > 0 ? std::clamp(1 - static_cast<int>(std::floor(std::log10(f.error))), 4, 8) : 4;
  return fmt::format("{:.{}f} ± {:.{}f}", f.value, places, f.error, places);
}

std::vector<report::Line> figure_lines(const std::string& key, const std::string& label,
                                       const engine::Figure& figure) {
  return {{key, label, Cell(figure_text(figure), figure.value)},
          {key + "_error", "", Cell("", figure.error)}};
}

report::Section perplexity_section(const engine::PerplexityResult& result) {
  report::Section section;
  add_perplexity(result, "", "perplexity", &section.lines);
  add_text(result, &section.lines);
  section.lines.push_back({"tokens_run", "", Cell("", result.n_run)});
  add_speed(result, "", "speed", &section.lines);
  return section;
}

report::Section divergence_section(const engine::DivergenceResult& r) {
  report::Section section;
  auto& lines = section.lines;
  const auto add = [&](const std::string& key, const std::string& label,
                       const engine::Figure& figure) {
    for (report::Line& line : figure_lines(key, label, figure)) lines.push_back(std::move(line));
  };
  add("kld", "divergence (KLD)", r.kld);
  lines.push_back({"kld_median", "  median", divergence_cell(r.kld_median)});
  lines.push_back({"kld_p90", "  90th percentile", divergence_cell(r.kld_p90)});
  lines.push_back({"kld_p99", "  99th percentile", divergence_cell(r.kld_p99)});
  lines.push_back({"kld_max", "  largest", divergence_cell(r.kld_max)});
  lines.push_back({"same_top", "same top token", Cell(percent_text(r.same_top), r.same_top.value)});
  lines.push_back({"same_top_error", "", Cell("", r.same_top.error)});
  add("ln_perplexity_ratio", "ln of perplexities", r.ln_ppl_ratio);
  lines.push_back({"p_change", "right token's share",
                   Cell(percent_text(r.p_change) + " changed", r.p_change.value)});
  lines.push_back({"p_change_error", "", Cell("", r.p_change.error)});
  lines.push_back({"p_change_rms", "  root mean square",
                   Cell(fmt::format("{:.2f} %", 100 * r.p_change_rms), r.p_change_rms)});
  lines.push_back({"p_change_max", "  largest",
                   Cell(fmt::format("{:.2f} %", 100 * r.p_change_max), r.p_change_max)});
  add_perplexity(r.model, "", "perplexity", &lines);
  add_perplexity(r.reference, "reference_", "of the reference", &lines);
  add_text(r.model, &lines);
  add_speed(r.model, "", "speed", &lines);
  add_speed(r.reference, "reference_", "of the reference", &lines);
  return section;
}

}  // namespace cli
