// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/quantize/quantize.h"
#include "hwdb/quant_presets.h"
#include "planner/cli/commands.h"
#include "planner/cli/making.h"
#include "planner/cli/progress.h"
#include "planner/report/figures.h"

namespace cli {

using report::Cell;

hwdb::Result<Outcome> cmd_quantize(Session& session) {
  const Options& options = session.options();
  const std::string &in = options.arguments[0], &out = options.arguments[1];
  hwdb::QuantOptions quant;
  quant.preset = options.arguments[2];
  const hwdb::PresetRule* preset = hwdb::find_preset_rule(quant.preset);
  if (preset == nullptr) return hwdb::unknown_preset(quant.preset);
  quant.preset = preset->name;
  quant.newer_rules = true;  // as llama-quantize of today does
  quant.pure = options.pure;
  quant.token_embedding_type = options.token_embedding_type;
  quant.output_tensor_type = options.output_tensor_type;
  auto plan = engine::Quantization::plan(in, quant);
  if (!plan) return plan.error();

  Outcome outcome;
  outcome.report.emplace();
  outcome.report->command = "quantize";
  report::Section section;
  const double before = static_cast<double>(plan->bytes_before());
  const double after = static_cast<double>(plan->bytes_after());
  double weights = 0;
  for (const hwdb::PlannedTensor& tensor : plan->tensors()) {
    weights += static_cast<double>(tensor.info.elements());
  }
  section.lines = {
      {"source", "from", Cell(in)},
      {"file", "to", Cell(out)},
      {"quant", "quantization", Cell(quant.preset)},
      {"source_weight_bytes", "weights before", report::bytes_cell(hwdb::Bytes(before))},
      {"weight_bytes", "weights after", report::bytes_cell(hwdb::Bytes(after))},
  };
  if (weights > 0) {
    section.lines.push_back(
        {"bits_per_weight", "bits per weight",
         Cell(fmt::format("{:.2f}", after * 8 / weights), hwdb::Json(after * 8 / weights))});
  }
  section.tables.push_back(types_table(plan->tensors()));
  if (!options.dry_run) {
    engine::Quantization::Writing writing;
    writing.overwrite = options.force;
    const Environment& environment = session.environment();
    if (environment.catch_interrupt) writing.cancel = environment.catch_interrupt();
    const auto begin = std::chrono::steady_clock::now();
    ProgressLine progress(environment, options.quiet, "");
    writing.on_progress = [&](const std::string& tensor, std::uint64_t done, std::uint64_t total) {
      progress.show(tensor, static_cast<double>(done) /
                                static_cast<double>(std::max<std::uint64_t>(total, 1)));
    };
    const auto pool = making_pool(session);
    auto written = plan->write(out, *pool, writing);
    if (!written) return written.error();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    section.lines.push_back({"file_bytes", "size", report::bytes_cell(hwdb::Bytes(*written))});
    section.lines.push_back(
        {"seconds", "made in", Cell(report::seconds_text(took.count()), hwdb::Json(took.count()))});
  }
  outcome.report->sections.push_back(std::move(section));
  return outcome;
}

}  // namespace cli
