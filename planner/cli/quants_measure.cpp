// SPDX-License-Identifier: MIT
#include "planner/cli/quants_measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "engine/quantize/quantize.h"
#include "hwdb/op_counts.h"
#include "hwdb/quant_presets.h"
#include "planner/cli/progress.h"
#include "planner/cli/sample_text.h"
#include "planner/cli/scoring.h"
#include "planner/quant_compare.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

namespace fs = std::filesystem;
using hwdb::Error;
using hwdb::Json;
using hwdb::Result;
using report::Align;
using report::Cell;

constexpr int kInterrupted = 130;
// The sample is short: smaller chunks score more of it.
constexpr std::uint32_t kChunk = 512, kSampleChunk = 256;

std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

/// A folder for files that are made to be measured; gone with what is in it at the end.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make(const std::string& parent) {
    std::string path = parent + "/tokwatt-quants-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr)
      return Error{"output.write", "cannot make a folder for the quantized files", parent,
                   "name another one in TMPDIR"};
    return ScratchFolder(std::move(path));
  }
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A file to be compared with the reference.
struct Candidate {
  std::string name;  // as shown: a file's, or a preset's
  std::string path;  // "": it has to be made of the reference
};

/// What was found out about one.
struct MeasuredRow {
  std::string name, quant;
  double bits_per_weight = 0;
  std::uint64_t file_bytes = 0;
  engine::DivergenceResult result;
};

/// The GGUF files of a folder by name, first shards only.
std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const std::size_t of = name.find("-of-");
    const bool later_shard =
        of != std::string::npos && of >= 5 && name.substr(of - 5, 5) != "00001";
    if (name.ends_with(".gguf") && !later_shard) out.push_back(entry.path().string());
  }
  std::ranges::sort(out);
  return out;
}

class QuantsMeasurement {
 public:
  explicit QuantsMeasurement(Session& session)
      : session_(session), options_(session.options()), engine_(session) {}

  Result<Outcome> run() {
    if (auto status = choose_text(); !status) return status.error();
    if (auto status = choose_files(); !status) return status.error();
    auto reference = ScoringModel::open(engine_, reference_, n_chunk_);
    if (!reference) return reference.error();
    tokens_ = (*reference)->tokenizer().encode(text_, {});
    const hwdb::ModelCosts& costs = (*reference)->model().costs();
    if (candidates_.empty()) choose_presets(costs);
    if (candidates_.empty())
      return Error{"usage.arguments", "nothing to measure it against", reference_,
                   "name presets with --quant or files with --against"};
    std::optional<Error> refused;
    for (const Candidate& candidate : candidates_) {
      if (engine_.interrupted()) break;
      auto row = measure(**reference, candidate);
      if (!row && row.error().code == "run.interrupted") break;
      // One preset that does not suit this model is no reason to lose the others.
      if (!row && candidate.path.empty() && row.error().code.starts_with("quant.")) {
        refused = row.error();
        notes_.push_back(fmt::format("{}: {}", candidate.name, row.error().what));
        continue;
      }
      if (!row) return row.error();
      if (row->result.model.n_chunks > 0) rows_.push_back(*std::move(row));
      ++n_done_;
    }
    if (rows_.empty() && !refused)
      return Error{"run.interrupted", "interrupted before the first file was measured", "", ""};
    if (rows_.empty()) return *refused;
    return report(costs);
  }

 private:
  hwdb::Status choose_text() {
    if (options_.text_file.empty()) {
      text_ = sample_text();
      text_name_ = "our sample text";
      n_chunk_ = kSampleChunk;
      notes_.push_back(
          "The sample text is short: good for the distance between files, not for a perplexity to "
          "compare elsewhere. A text of your own: -f TEXT.");
      return hwdb::Ok{};
    }
    auto text = read_scoring_text(options_.text_file);
    if (!text) return text.error();
    text_ = *std::move(text);
    text_name_ = file_name(options_.text_file);
    n_chunk_ = kChunk;
    return hwdb::Ok{};
  }

  hwdb::Status choose_files() {
    auto path = engine_.model_path(options_.arguments.front());
    if (!path) return path.error();
    reference_ = *path;
    for (const std::string& name : options_.presets) {
      if (hwdb::find_preset_rule(name) == nullptr) return hwdb::unknown_preset(name);
      candidates_.push_back({name, ""});
    }
    for (const std::string& name : options_.against) {
      auto other = engine_.model_path(name);
      if (!other) return other.error();
      candidates_.push_back({file_name(*other), *other});
    }
    std::error_code ignored;
    if (!fs::is_directory(reference_, ignored)) return hwdb::Ok{};
    // The one with the most bits stands for the model.
    double most = 0;
    std::string best;
    const std::vector<std::string> files = files_of(reference_);
    for (const std::string& file : files) {
      auto opened = session_.model_file(file);
      if (!opened) return opened.error();
      auto costs = hwdb::model_costs_of_file(*opened);
      if (!costs) return costs.error();
      if (costs->bits_per_weight <= most) continue;
      most = costs->bits_per_weight;
      best = file;
    }
    if (files.size() < 2)
      return Error{"usage.arguments",
                   fmt::format("{} GGUF files in it, two are needed", files.size()), reference_,
                   ""};
    for (const std::string& file : files) {
      if (file != best) candidates_.push_back({file_name(file), file});
    }
    reference_ = best;
    return hwdb::Ok{};
  }

  /// The usual ones that are smaller than the file.
  void choose_presets(const hwdb::ModelCosts& costs) {
    for (const std::string& name : planner::usual_quants()) {
      const auto made = hwdb::model_costs_of_preset(costs.shape, {.preset = name});
      if (!made || made->bits_per_weight < 0.95 * costs.bits_per_weight)
        candidates_.push_back({name, ""});
    }
  }

  /// Makes the file of a preset.
  Result<std::string> quantize(const std::string& preset, const ScratchFolder& folder) {
    hwdb::QuantOptions how;
    how.preset = hwdb::find_preset_rule(preset)->name;
    how.newer_rules = true;
    auto plan = engine::Quantization::plan(reference_, how);
    if (!plan) return plan.error();
    const std::string path = folder.path() + "/" + how.preset + ".gguf";
    engine::Quantization::Writing writing;
    writing.cancel = engine_.cancel();
    ProgressLine progress(session_.environment(), options_.quiet, "quantizing");
    const std::string step = "to " + how.preset;
    writing.on_progress = [&](const std::string&, std::uint64_t done, std::uint64_t total) {
      progress.show(
          step, static_cast<double>(done) / static_cast<double>(std::max<std::uint64_t>(total, 1)));
    };
    auto written = plan->write(path, engine_.pool(), writing);
    if (!written) return written.error();
    return path;
  }

  Result<MeasuredRow> measure(ScoringModel& reference, const Candidate& candidate) {
    std::optional<ScratchFolder> folder;
    std::string path = candidate.path;
    if (path.empty()) {
      auto made = ScratchFolder::make(session_.environment().lookup("TMPDIR").value_or("/tmp"));
      if (!made) return made.error();
      folder.emplace(*std::move(made));
      auto written = quantize(candidate.name, *folder);
      if (!written) return written.error();
      path = *std::move(written);
    }
    auto model = ScoringModel::open(engine_, path, n_chunk_);
    if (!model) return model.error();
    if (auto status = check_same_vocabulary(reference.tokenizer(), (*model)->tokenizer()); !status)
      return status.error();
    engine::PerplexityOptions how;
    how.n_ctx = n_chunk_;
    how.n_chunks = options_.n_chunks;
    how.cancel = engine_.cancel();
    if (reference.tokenizer().adds_bos()) how.bos = reference.tokenizer().bos();
    ProgressLine progress(session_.environment(), options_.quiet, "measuring");
    how.on_chunk = [&](std::uint32_t done, std::uint32_t of, double) {
      progress.show(fmt::format("{} ({} of {})", candidate.name, n_done_ + 1, candidates_.size()),
                    static_cast<double>(done) / of);
    };
    auto result = engine::measure_divergence(reference.tokens(), (*model)->tokens(), engine_.pool(),
                                             tokens_, how);
    if (!result) return result.error();
    const hwdb::ModelCosts& costs = (*model)->model().costs();
    return MeasuredRow{candidate.name, costs.quant, costs.bits_per_weight, costs.file_bytes,
                       *std::move(result)};
  }

  Outcome report(const hwdb::ModelCosts& reference) {
    std::ranges::stable_sort(rows_, std::greater<>(), &MeasuredRow::file_bytes);
    Outcome outcome;
    if (engine_.interrupted()) outcome.exit_status = kInterrupted;
    outcome.report.emplace();
    outcome.report->command = "quants";
    const engine::PerplexityResult& scored = rows_.front().result.reference;
    report::Section head;
    head.sentences.push_back(
        {fmt::format("Losses against {} ({:.2f} bpw, perplexity {}), measured on {} tokens of {}",
                     file_name(reference_), reference.bits_per_weight,
                     figure_text(scored.perplexity), scored.n_scored, text_name_),
         Json(), report::Tone::strong});
    head.lines = {
        {"reference", "", Cell("", reference_)},
        {"reference_perplexity", "", Cell("", scored.perplexity.value)},
        {"reference_perplexity_error", "", Cell("", scored.perplexity.error)},
        {"text", "", Cell("", options_.text_file.empty() ? "sample" : options_.text_file)},
        {"n_ctx", "", Cell("", std::uint64_t{n_chunk_})},
        {"tokens_scored", "", Cell("", scored.n_scored)},
        {"interrupted", "", Cell("", engine_.interrupted())}};
    report::Table table;
    table.key = "quants";
    table.columns = {{.key = "name", .title = "quant", .align = Align::left},
                     {.key = "quant"},
                     {.key = "bits_per_weight", .title = "bpw"},
                     {.key = "file_size_bytes", .title = "file", .priority = 4},
                     {.key = "kld", .title = "KLD", .unit = "nats"},
                     {.key = "kld_error", .title = "±", .priority = 2},
                     {.key = "kld_median"},
                     {.key = "kld_p90"},
                     {.key = "kld_p99", .title = "KLD", .unit = "p99", .priority = 3},
                     {.key = "kld_max"},
                     {.key = "same_top", .title = "same top", .unit = "token"},
                     {.key = "same_top_error"},
                     {.key = "perplexity", .title = "perplexity"},
                     {.key = "perplexity_error"},
                     {.key = "ln_perplexity_ratio", .title = "ln ratio", .priority = 1},
                     {.key = "ln_perplexity_ratio_error"},
                     {.key = "basis", .title = "basis", .align = Align::left, .priority = 5}};
    for (const MeasuredRow& row : rows_) {
      const engine::DivergenceResult& r = row.result;
      const auto nats = [](double v) { return Cell(fmt::format("{:.5f}", v), v); };
      table.rows.push_back(
          {row.name, Cell("", row.quant),
           Cell(fmt::format("{:.2f}", row.bits_per_weight), row.bits_per_weight),
           report::bytes_cell(hwdb::Bytes(row.file_bytes)), nats(r.kld.value), nats(r.kld.error),
           Cell("", r.kld_median), Cell("", r.kld_p90), nats(r.kld_p99), Cell("", r.kld_max),
           Cell(fmt::format("{:.1f} %", 100 * r.same_top.value), r.same_top.value),
           Cell("", r.same_top.error),
           Cell(fmt::format("{:.3f}", r.model.perplexity.value), r.model.perplexity.value),
           Cell("", r.model.perplexity.error),
           Cell(fmt::format("{:+.5f}", r.ln_ppl_ratio.value), r.ln_ppl_ratio.value),
           Cell("", r.ln_ppl_ratio.error), "measured"});
    }
    head.tables.push_back(std::move(table));
    head.notes = notes_;
    outcome.report->sections.push_back(std::move(head));
    return outcome;
  }

  Session& session_;
  const Options& options_;
  EngineSession engine_;
  std::string text_, text_name_, reference_;
  std::uint32_t n_chunk_ = kChunk;
  std::vector<engine::TokenId> tokens_;
  std::vector<Candidate> candidates_;
  std::vector<MeasuredRow> rows_;
  std::vector<std::string> notes_;
  std::size_t n_done_ = 0;
};

}  // namespace

Result<Outcome> measure_quants(Session& session) {
  return QuantsMeasurement(session).run();
}

}  // namespace cli
