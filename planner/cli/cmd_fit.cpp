// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "planner/cli/check.h"
#include "planner/cli/commands.h"
#include "planner/cli/describe.h"
#include "planner/cli/speed_sections.h"
#include "planner/fit.h"
#include "planner/launch.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using report::Align;
using report::Cell;

constexpr std::size_t kTop = 12, kShortTop = 5;

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// The tables of scores behind the rows shown, each under a letter, so that the evidence of every
/// score stands in a narrow column.
class Evidence {
 public:
  /// The letter of the row's evidence; "" without a score.
  std::string letter_of(const planner::Quality& quality) {
    if (!quality.percentile) return {};
    std::string text = quality.benchmark + " (" + quality.source + ", " +
                       (quality.reported_by == "vendor" ? "by the makers" : quality.reported_by) +
                       ")";
    if (!quality.direct) text += ", placed on the scale of the anchor table";
    const auto at = std::ranges::find(texts_, text);
    const auto index = static_cast<std::size_t>(at - texts_.begin());
    if (at == texts_.end()) texts_.push_back(std::move(text));
    return std::string(1, letter(index));
  }
  void explain(report::Section* section) const {
    for (std::size_t i = 0; i < texts_.size(); ++i)
      section->lines.push_back({"", std::string(1, letter(i)), Cell(texts_[i])});
  }

 private:
  /// Capitals: small ones say what a figure rests on. There are fewer tables of scores than
  /// letters.
  static char letter(std::size_t index) {
    return static_cast<char>('A' + std::min<std::size_t>(index, 25));
  }
  std::vector<std::string> texts_;
};

report::Table fit_table(const planner::FitResult& result, std::size_t top, Evidence* evidence) {
  report::Table table;
  table.key = "models";
  const std::string currency = result.rows.empty() ? "" : result.rows.front().plan.cost.currency;
  table.columns = {
      {.key = "rank"},
      {.key = "model", .title = "model", .align = Align::left},
      {.key = "quant", .title = "quant", .align = Align::left},
      {.key = "file_size_bytes", .title = "size", .unit = "GiB"},
      {.key = "fits", .title = "where", .align = Align::left},
      {.key = "max_n_ctx", .title = "ctx", .unit = "max", .priority = 2},
  };
  add_speed_columns(&table);
  const std::vector<report::Column> behind = {
      {.key = "decode_power_w", .title = "draw", .unit = "W", .priority = 5, .estimate = true},
      {.key = "cost_per_month",
       .title = "month",
       .unit = currency,
       .priority = 1,
       .estimate = true},
      {.key = "quality_percentile", .title = "score", .unit = "of 100", .priority = 1},
      {.key = "quality_benchmark"},
      {.key = "quality_score"},
      {.key = "quality_source"},
      {.key = "quant_loss"},
      {.key = "speed_credit"},
      {.key = "context_credit"},
      {.key = "rank_product"},
  };
  table.columns.insert(table.columns.end(), behind.begin(), behind.end());
  for (std::size_t i = 0; i < std::min(top, result.rows.size()); ++i) {
    const planner::FitRow& row = result.rows[i];
    const planner::Plan& plan = row.plan;
    std::vector<Cell>& cells = table.rows.emplace_back();
    cells = {
        report::count_cell(i + 1),
        Cell(row.model->id, row.model->id, report::Tone::strong),
        Cell(row.quantization_aware ? row.quant + " QAT" : row.quant, row.quant),
        Cell(fmt::format("{:.1f}", plan.file_size.as_double() / hwdb::kGiB), plan.file_size.value),
        report::fits_cell(plan.memory.fits),
        report::context_cell(plan.max_ctx),
    };
    add_speed_cells(plan, &cells);
    const bool scored = row.quality.percentile.has_value();
    cells.insert(
        cells.end(),
        {report::estimate_cell(plan.energy.decode_w),
         Cell(plan.cost.tariff_id.empty() ? "-"
                                          : report::money_text(plan.cost.cost_per_month.likely),
              report::estimate_json(plan.cost.cost_per_month)),
         scored ? Cell(fmt::format("{:.0f} {}", 100 * *row.quality.percentile,
                                   evidence->letter_of(row.quality)),
                       *row.quality.percentile)
                : Cell("none"),
         scored ? Cell("", row.quality.benchmark) : Cell(""),
         Cell("", scored ? hwdb::Json(row.quality.score) : hwdb::Json()),
         Cell("", row.quality.source), Cell("", row.quant_loss), Cell("", row.speed_credit),
         Cell("", row.context_credit), Cell("", row.rank)});
  }
  return table;
}

/// The factors of each row's rank with their values, and where they come from.
report::Section why_section(const planner::FitResult& result, std::size_t top) {
  report::Section section;
  section.title =
      "Why: rank = score's percentile x (1 - loss by quantization) x speed credit x context credit";
  for (std::size_t i = 0; i < std::min(top, result.rows.size()); ++i) {
    const planner::FitRow& row = result.rows[i];
    section.lines.push_back(
        {"", fmt::format("{} {}", row.model->id, row.quant),
         fmt::format("{} x (1 - {:.3f}) x {:.2f} x {:.2f} = {:.3f}",
                     row.quality.percentile ? fmt::format("{:.2f}", *row.quality.percentile)
                                            : std::string("no score"),
                     row.quant_loss, row.speed_credit, row.context_credit, row.rank)});
    section.lines.push_back({"", "", "score: " + planner::describe(row.quality)});
    if (!row.quant_loss_evidence.empty()) {
      section.lines.push_back({"", "", "loss: " + row.quant_loss_evidence});
    }
  }
  return section;
}

std::string next_command(const Options& options, const planner::FitRow& row) {
  std::string line = fmt::format("tokwatt plan {} --quant {}", planner::shell_word(row.model->id),
                                 planner::shell_word(row.quant));
  if (options.on != "this") line += " --on " + planner::shell_word(options.on);
  line += " --use " + options.workload.use;
  if (options.n_ctx) line += fmt::format(" -c {}", *options.n_ctx);
  // What else the figures of the row depend on.
  constexpr std::array<std::string_view, 7> kKept = {
      "--prompt", "--gen", "--cached", "--depth", "--users", "--parallel", "--power-limit"};
  for (const auto& [name, value] : options.given)
    if (std::ranges::find(kKept, name) != kKept.end())
      line += fmt::format(" {} {}", name, planner::shell_word(value));
  return line;
}

}  // namespace

hwdb::Result<Outcome> cmd_fit(Session& session) {
  const Options& options = session.options();
  std::vector<CheckTerm> terms;
  if (!options.check.empty()) {
    auto parsed = parse_check(options.check);
    if (!parsed) return parsed.error();
    terms = std::move(*parsed);
  }
  auto machine = session.machine(options.on);
  if (!machine) return machine.error();
  auto tariff = session.tariff(options.tariff);
  if (!tariff) return tariff.error();

  planner::FitRequest request;
  request.workload = options.workload;
  request.settings = session.scenario("").settings;
  request.n_ctx = options.n_ctx;
  if (options.quant) {
    for (const std::string& name : split_commas(*options.quant)) {
      auto preset = session.catalog().find_preset(name);
      if (!preset) return preset.error();
      request.quants.push_back((*preset)->id);
    }
  }
  request.min_decode_tok_per_s = options.min_tps.value_or(0);
  request.model_filter = options.model_filter;
  request.calibrations = session.calibrations(**machine);
  const bool brief = options.command.empty();
  const std::size_t top = options.top.value_or(brief ? kShortTop : kTop);
  request.top = top;
  const planner::FitResult result =
      planner::rank_models(session.catalog(), **machine, *tariff, request);

  Outcome outcome;
  outcome.report.emplace();
  report::Report& report = *outcome.report;
  report.command = "fit";

  report::Section head = machine_section(**machine);
  head.title.clear();
  head.sentences.push_back({machine_sentence(**machine), hwdb::Json(), report::Tone::strong});
  // People have the sentence; programs keep the figures.
  for (report::Line& line : head.lines) {
    if (line.cell.value.is_null()) line.cell.value = line.cell.text;
    line.label.clear();
    line.cell.text.clear();
  }
  if (!brief && !options.quiet) {
    for (const std::string& note : unique_notes((*machine)->notes)) {
      head.notes.push_back(note);
    }
  }
  report.sections.push_back(std::move(head));

  const double need = options.min_tps.value_or(options.workload.min_decode_tok_per_s);
  const std::uint64_t n_ctx = request.settings.n_ctx;
  report::Section list;
  list.sentences.emplace_back(fmt::format(
      "Best for {} with {} tokens of context and at least {} tok/s:", options.workload.use,
      report::context_text(n_ctx), report::short_number(need)));
  list.lines = {{"use", "", Cell("", options.workload.use)},
                {"n_ctx", "", Cell("", n_ctx)},
                {"min_decode_tok_per_s", "", Cell("", need)},
                {"considered", "", Cell("", static_cast<std::uint64_t>(result.considered))},
                {"not_fitting", "", Cell("", static_cast<std::uint64_t>(result.not_fitting))},
                {"ranked_lower", "", Cell("", static_cast<std::uint64_t>(result.ranked_lower))},
                {"not_evaluated", "", Cell("", static_cast<std::uint64_t>(result.not_evaluated))},
                {"not_sized", "", Cell("", static_cast<std::uint64_t>(result.not_sized))},
                {"too_slow", "", Cell("", static_cast<std::uint64_t>(result.too_slow))},
                {"without_score", "", Cell("", static_cast<std::uint64_t>(result.without_score))}};
  Evidence evidence;
  list.tables.push_back(fit_table(result, top, &evidence));
  report.sections.push_back(std::move(list));

  if (options.why) report.sections.push_back(why_section(result, top));

  report::Section tail;
  const std::size_t shown = std::min(top, result.rows.size());
  tail.sentences.emplace_back(fmt::format(
      "{} of {} models shown; {} of the others rank lower, {} are too slow, {} do not "
      "fit{}.",
      shown, result.considered, result.ranked_lower + result.rows.size() - shown, result.too_slow,
      result.not_fitting,
      (result.not_evaluated == 0
           ? ""
           : fmt::format(", {} cannot rank among these", result.not_evaluated)) +
          (result.not_sized == 0 ? "" : fmt::format(", {} cannot be sized", result.not_sized))));
  if (!result.rows.empty() && !options.quiet) {
    std::vector<hwdb::Basis> used;
    for (std::size_t i = 0; i < shown; ++i)
      used.push_back(result.rows[i].plan.speed.decode_tok_per_s.basis);
    tail.sentences.emplace_back(speed_columns_words(options.workload, used));
  }
  if (!brief) {
    tail.sentences.emplace_back(fmt::format(
        "Score: place among published results, 100 is best; {} models have none for {} and stand "
        "last.",
        result.without_score, options.workload.use));
    evidence.explain(&tail);
  }
  if (!result.rows.empty() && !options.quiet) {
    tail.commands.push_back({"next", "In detail:", next_command(options, result.rows.front())});
    if (brief) tail.commands.push_back({"", "The full list:", "tokwatt fit"});
  }
  report.sections.push_back(std::move(tail));

  if (!terms.empty()) {
    const hwdb::Status status =
        result.rows.empty() ? hwdb::Status(hwdb::Error{"check.not_met", "no model fits", "", ""})
                            : check_plan(terms, result.rows.front().plan);
    if (!status) {
      outcome.after = status.error();
      outcome.exit_status = hwdb::exit_status(status.error().code);
    }
  }
  return outcome;
}

}  // namespace cli
