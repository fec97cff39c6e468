// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "planner/cli/commands.h"
#include "planner/cli/describe.h"
#include "planner/cli/quants_measure.h"
#include "planner/cli/speed_sections.h"
#include "planner/fit.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

using report::Align;
using report::Cell;
using report::Tone;

std::string loss_text(const planner::QuantRow& row) {
  if (!row.loss) return "-";
  return fmt::format("{:.{}f}{}", *row.loss, *row.loss < 0.01 ? 4 : 3,
                     row.loss_of_this_model ? "" : "*");
}

}  // namespace

hwdb::Result<Outcome> cmd_quants(Session& session) {
  const Options& options = session.options();
  if (options.measure) return measure_quants(session);
  const bool file = options.arguments.front().ends_with(".gguf");
  if (file || !options.against.empty() || !options.presets.empty() || !options.text_file.empty()) {
    return hwdb::Error{"usage.arguments",
                       file ? "a file has one quantization (see tokwatt quants --help)"
                            : "--against, --quant and -f belong to --measure",
                       "", "--measure shows what is lost when it is quantized further"};
  }
  const planner::Scenario scenario = session.scenario(options.arguments.front());
  auto model = session.catalog().find_model(scenario.model);
  if (!model) return model.error();
  auto machine = session.machine(scenario.on);
  if (!machine) return machine.error();
  auto tariff = session.tariff(scenario.tariff);
  if (!tariff) return tariff.error();
  planner::PlanInputs inputs;
  inputs.machine = machine->get();
  inputs.settings = scenario.settings;
  inputs.workload = scenario.workload;
  inputs.tariff = *tariff;
  inputs.assumptions = &session.assumptions();
  inputs.calibrations = session.calibrations(**machine);
  auto rows = planner::compare_quants(session.catalog(), **model, inputs);
  if (!rows) return rows.error();

  Outcome outcome;
  outcome.report.emplace();
  report::Report& report = *outcome.report;
  report.command = "quants";
  report::Section head;
  head.sentences.push_back(
      {fmt::format("{} on {} with {} tokens of context", (*model)->id, (*machine)->name,
                   report::context_text(scenario.settings.n_ctx)),
       hwdb::Json(), Tone::strong});
  head.lines = {{"model", "", Cell("", (*model)->id)}, {"on", "", Cell("", (*machine)->name)}};
  report::Table table;
  table.key = "quants";
  table.columns = {
      {.key = "recommended", .title = ""},
      {.title = "", .align = Align::left},
      {.key = "quant", .title = "quant", .align = Align::left},
      {.key = "bits_per_weight", .title = "bpw"},
      {.key = "file_size_bytes", .title = "file", .unit = "GiB"},
      {.key = "fits", .title = "fits", .align = Align::left},
      {.key = "max_n_ctx", .title = "ctx", .unit = "max", .priority = 2},
  };
  add_speed_columns(&table);
  const std::vector<report::Column> behind = {
      {.key = "loss", .title = "loss"},
      {.key = "loss_kind", .title = "as", .align = Align::left},
      {.key = "pareto", .title = {}},
      {.key = "loss_source", .title = "source", .align = Align::left, .priority = 5},
      {.key = "loss_of_this_model"},
  };
  table.columns.insert(table.columns.end(), behind.begin(), behind.end());
  table.columns[1].title = " ";
  std::string reason;
  bool borrowed = false;
  std::vector<hwdb::Basis> used;
  for (const planner::QuantRow& row : *rows) {
    const planner::Plan& plan = row.plan;
    if (row.recommended) reason = row.reason;
    borrowed |= row.loss.has_value() && !row.loss_of_this_model;
    std::vector<Cell>& cells = table.rows.emplace_back();
    cells = {
        Cell("", row.recommended),
        Cell(row.recommended ? ">"
             : row.pareto    ? "+"
                             : "",
             hwdb::Json(), Tone::good),
        Cell(row.quant, row.quant, row.recommended ? Tone::good : Tone::plain),
        Cell(fmt::format("{:.2f}", row.bits_per_weight), row.bits_per_weight),
        Cell(fmt::format("{:.1f}", plan.file_size.as_double() / hwdb::kGiB), plan.file_size.value),
        report::fits_cell(plan.memory.fits),
        report::context_cell(plan.max_ctx),
    };
    add_speed_cells(plan, &cells);
    if (plan.speed_known && plan.memory.fits != planner::Fits::no)
      used.push_back(plan.speed.decode_tok_per_s.basis);
    cells.insert(cells.end(),
                 {Cell(loss_text(row), row.loss ? hwdb::Json(*row.loss) : hwdb::Json()),
                  Cell(row.loss_kind == "perplexity" ? "ppl" : row.loss_kind, row.loss_kind),
                  Cell("", row.pareto), Cell(row.loss_source), Cell("", row.loss_of_this_model)});
  }
  head.tables.push_back(std::move(table));
  report.sections.push_back(std::move(head));
  report::Section tail;
  tail.sentences.push_back(
      {reason.empty() ? std::string("None of them fits this machine.") : "Take " + reason,
       hwdb::Json(), reason.empty() ? Tone::bad : Tone::good});
  tail.lines.push_back({"recommendation", "", Cell("", reason)});
  if (!used.empty() && !options.quiet)
    tail.sentences.emplace_back(speed_columns_words(scenario.workload, used) +
                                " Loss: KLD, or the logarithm of the perplexity ratio (ppl).");
  if (!options.quiet) tail.notes.emplace_back("+ nothing smaller or faster loses as little");
  if (borrowed) tail.notes.emplace_back("* measured on another model, named in the source");
  report.sections.push_back(std::move(tail));
  return outcome;
}

}  // namespace cli
