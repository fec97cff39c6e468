// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>

#include "planner/cli/alternatives.h"
#include "planner/cli/check.h"
#include "planner/cli/commands.h"
#include "planner/cli/plan_report.h"
#include "planner/cli/speed_sections.h"
#include "planner/headroom.h"
#include "planner/report/figures.h"
#include "planner/result_json.h"

namespace cli {
namespace {

report::Section alternatives_section(const std::vector<Alternative>& alternatives, bool runs) {
  report::Section section;
  section.key = "alternatives";
  section.title = runs ? "What it would take to have it all on the GPU" : "What it would take";
  report::Table table;
  table.columns = {
      {.key = "change", .title = "with", .align = report::Align::left},
      {.key = "fits", .title = "fits", .align = report::Align::left},
      {.key = "total_bytes", .title = "memory"},
      {.key = "decode_tok_per_s", .title = "decode", .unit = "tok/s", .estimate = true},
      {.title = "90 % band", .unit = "tok/s", .priority = 1},
  };
  for (const Alternative& alternative : alternatives) {
    const planner::Plan& plan = alternative.plan;
    table.rows.push_back({alternative.change, report::fits_cell(plan.memory.fits),
                          report::bytes_cell(plan.memory.total()),
                          report::estimate_cell(plan.speed.decode_tok_per_s),
                          report::band_text(plan.speed.decode_tok_per_s)});
  }
  if (alternatives.empty()) {
    section.sentences.emplace_back("Nothing that was tried helps: a smaller model is needed.");
  }
  section.tables.push_back(std::move(table));
  return section;
}

/// The inputs that a plan was made from, for asking on from it.
planner::PlanInputs inputs_of(Session& session, const hwdb::ModelCosts& costs,
                              const hwdb::Machine& machine, const planner::Attachments* attachments,
                              const planner::Plan& plan) {
  planner::PlanInputs inputs;
  inputs.model = &costs;
  inputs.machine = &machine;
  inputs.settings = plan.scenario.settings;
  inputs.workload = plan.scenario.workload;
  inputs.assumptions = &session.assumptions();
  inputs.attachments = attachments;
  inputs.calibrations = session.calibrations(machine);
  return inputs;
}

/// What several sequences get together, where several were asked for.
hwdb::Status add_batches(const planner::PlanInputs& inputs, planner::Plan* plan) {
  const planner::Workload& workload = plan->scenario.workload;
  const std::uint32_t most = std::max(workload.batch, plan->scenario.settings.n_seq);
  const bool asked = most > 1 || workload.users > 1;
  if (!asked || !plan->speed_known || plan->memory.fits == planner::Fits::no) return hwdb::Ok{};
  auto speeds = planner::speed_at_batches(inputs, plan->placement, batches_up_to(most));
  if (!speeds) return speeds.error();
  plan->speed_by_batch = std::move(*speeds);
  return hwdb::Ok{};
}

/// How far each setting could go: on the GPU with margin, without it, and with RAM.
void add_headroom(Session& session, planner::PlanInputs inputs, planner::Plan* plan) {
  const planner::Scenario& scenario = plan->scenario;
  const hwdb::Machine& machine = *inputs.machine;
  const hwdb::ModelCosts& costs = *inputs.model;
  planner::ComputeMemo memo(costs.shape);
  inputs.compute_memo = &memo;
  std::vector<const hwdb::PresetRow*> rows;
  for (const hwdb::PresetRow& row : session.catalog().presets())
    if (row.bpw_llama_3_1_8b) rows.push_back(&row);
  std::ranges::sort(rows, [](const hwdb::PresetRow* a, const hwdb::PresetRow* b) {
    return *a->bpw_llama_3_1_8b > *b->bpw_llama_3_1_8b;
  });
  std::vector<std::string_view> presets;
  for (const hwdb::PresetRow* row : rows) presets.emplace_back(row->id);
  using planner::Fits;
  std::vector<Fits> grades = {Fits::cpu};
  if (!machine.gpus.empty() && !scenario.settings.cpu_only)
    grades = {Fits::gpu, Fits::gpu_tight, Fits::offload};
  const std::uint64_t trained = costs.shape.n_ctx_train.value_or(1u << 20);
  for (const Fits grade : grades)
    plan->headroom.push_back(planner::headroom(inputs, grade, trained, presets));
  for (const planner::Headroom& room : plan->headroom)
    if (plan->memory.fits == room.fits) plan->max_ctx = room.max_ctx;
}

}  // namespace

hwdb::Result<Outcome> cmd_plan(Session& session) {
  const Options& options = session.options();
  planner::Scenario scenario = session.scenario(options.arguments.front());
  scenario.depths = planner::depths_of_context(scenario.settings);
  std::vector<CheckTerm> terms;
  if (!options.check.empty()) {
    auto parsed = parse_check(options.check);
    if (!parsed) return parsed.error();
    terms = std::move(*parsed);
  }
  auto model = session.model(scenario.model, scenario.quant);
  if (!model) return model.error();
  auto machine = session.machine(scenario.on);
  if (!machine) return machine.error();
  auto tariff = session.tariff(scenario.tariff);
  if (!tariff) return tariff.error();
  std::optional<planner::Attachments> attachments;
  if (planner::needs_attachments(scenario.settings, **machine)) {
    auto found = planner::find_attachments(scenario, **model, **machine, session.sources());
    if (!found) return found.error();
    attachments = std::move(*found);
  }
  const planner::Attachments* attached = attachments ? &*attachments : nullptr;
  auto plan = planner::plan_scenario(scenario, **model, **machine, *tariff, &session.assumptions(),
                                     nullptr, nullptr, attached, session.calibrations(**machine));
  if (!plan) return plan.error();

  const planner::PlanInputs inputs =
      inputs_of(session, (*model)->costs, **machine, attached, *plan);
  if (auto status = add_batches(inputs, &*plan); !status) return status.error();
  add_headroom(session, inputs, &*plan);

  Outcome outcome;
  if (!terms.empty()) {
    if (auto status = check_plan(terms, *plan); !status) {
      outcome.after = status.error();
      outcome.exit_status = hwdb::exit_status(status.error().code);
    }
  }
  if (options.format == Format::json || options.format == Format::csv) {
    hwdb::JsonWriter writer(&outcome.document);
    planner::append_result_json(&writer, *plan);
    outcome.document += '\n';
    if (options.format == Format::csv) {
      auto document = hwdb::parse_json(outcome.document, "result");
      if (!document) return document.error();
      outcome.document = report::flat_csv(*document);
    }
    return outcome;
  }
  outcome.report = plan_report(*plan, **machine, options.why);
  const bool all_on_gpu =
      plan->memory.fits == planner::Fits::gpu || plan->memory.fits == planner::Fits::gpu_tight;
  const bool has_gpu = !(*machine)->gpus.empty() && !scenario.settings.cpu_only;
  // Who asks for tensors or the cache in RAM does not ask how to avoid it.
  const planner::RunSettings& settings = scenario.settings;
  const bool meant = settings.kv_on_host || settings.cpu_moe || !settings.override_tensor.empty();
  if (plan->memory.fits == planner::Fits::no || (!all_on_gpu && has_gpu && !meant)) {
    auto& sections = outcome.report->sections;
    const auto alternatives = find_alternatives(session, *plan, **machine);
    // After the memory that explains why.
    sections.insert(sections.begin() + 2,
                    alternatives_section(alternatives, plan->memory.fits != planner::Fits::no));
  }
  return outcome;
}

}  // namespace cli
