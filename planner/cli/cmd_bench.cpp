// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <optional>

#include "engine/cpu/isa.h"
#include "engine/run/bench.h"
#include "engine/run/token_model.h"
#include "planner/cli/bench_report.h"
#include "planner/cli/commands.h"
#include "planner/cli/engine_session.h"
#include "planner/cli/load_watch.h"
#include "planner/cli/progress.h"
#include "planner/cli/speed_report.h"
#include "planner/cli/utc_time.h"
#include "planner/cli/version.h"
#include "planner/report/figures.h"

namespace cli {
namespace {

constexpr int kInterrupted = 130;

/// Runs the tests of one model one after the other.
class ModelBench {
 public:
  ModelBench(EngineSession& engine, const engine::Model& model, const BenchFlags& flags,
             std::string path)
      : engine_(engine), model_(model), flags_(flags), path_(std::move(path)) {}

  /// The row of one test. Errors: those of Context::make and decode.
  hwdb::Result<BenchRow> run(const BenchCase& one,
                             const std::function<void(std::uint32_t, std::uint32_t)>& on_run) {
    BenchRow row;
    row.path = path_;
    row.model_type = model_type_of(model_.costs());
    row.model_bytes = model_.costs().tensor_bytes;
    row.n_params = static_cast<std::uint64_t>(model_.costs().params_total);
    row.what = one;
    row.test_time = utc_now();
    engine::ContextOptions how;
    how.n_ctx = one.test.n_ctx();
    how.n_seq = one.test.n_seq;
    how.n_ubatch = one.n_ubatch;
    how.cancel = engine_.cancel();
    const auto k = cache_type(one.type_k), v = cache_type(one.type_v);
    if (!k) return k.error();
    if (!v) return v.error();
    how.type_k = *k;
    how.type_v = *v;
    auto context = engine::Context::make(model_, engine_.pool(one.n_threads), how);
    if (!context) return context.error();
    engine::ContextModel runs(model_, **context);
    engine::BenchOptions options;
    options.repetitions = flags_.repetitions;
    options.warm_up = flags_.warm_up;
    options.cancel = engine_.cancel();
    options.on_run = on_run;
    if (const engine::Tokenizer* words = model_.tokenizer(); words != nullptr && words->adds_bos())
      options.bos = words->bos();
    auto samples = engine::run_bench(runs, one.test, options);
    if (!samples) return samples.error();
    row.samples = *std::move(samples);
    return row;
  }

 private:
  EngineSession& engine_;
  const engine::Model& model_;
  const BenchFlags& flags_;
  std::string path_;
};

report::Section head_section(const std::vector<BenchRow>& rows, const BenchMachine& machine) {
  report::Section head;
  const BenchRow& first = rows.front();
  head.sentences.push_back(
      {fmt::format("{}: {}, {} on {} ({}, weights {})",
                   first.path.substr(first.path.rfind('/') + 1), first.model_type,
                   hwdb::format_bytes(hwdb::Bytes(first.model_bytes)),
                   machine.cpu.empty() ? "this processor" : machine.cpu, machine.isa,
                   machine.mapped ? "in the file's pages" : "repacked"),
       hwdb::Json(), report::Tone::strong});
  return head;
}

// What a speed may differ by before a term is looked for.
constexpr double kPlanTolerance = 0.05;

/// A row as a reading; absent for a prompt and an answer timed as one.
std::optional<hwdb::SpeedReading> reading_of(const BenchRow& row, const BenchMachine& machine) {
  const engine::BenchTest& test = row.what.test;
  if (test.n_prompt > 0 && test.n_gen > 0) return std::nullopt;
  const BenchFigures figures = figures_of(row, machine);
  hwdb::SpeedReading reading;
  reading.source = hwdb::SpeedReading::Source::engine;
  reading.test =
      test.n_gen > 0 ? hwdb::SpeedReading::Test::decode : hwdb::SpeedReading::Test::prefill;
  reading.where = reading.model = row.path;
  reading.runtime = "tokwatt";
  reading.build = kVersion;
  reading.measured_at = row.test_time;
  reading.model_bytes = row.model_bytes;
  reading.n_params = row.n_params;
  reading.backend = "cpu";
  reading.n_prompt = test.n_prompt;
  reading.n_gen = test.n_gen;
  reading.depth = test.n_depth;
  reading.batch = test.n_seq;
  reading.n_batch = test.n_batch;
  reading.n_ubatch = row.what.n_ubatch;
  reading.n_threads = row.what.n_threads;
  reading.flash_attn = true;
  reading.cache_type_k = row.what.type_k;
  reading.cache_type_v = row.what.type_v;
  reading.samples = figures.tok_per_s;
  reading.tok_per_s = figures.median;
  reading.deviation = figures.deviation;
  return reading;
}

/// What the plan of each file on this machine predicts for its rows.
hwdb::Result<report::Section> plan_section(Session& session, const std::vector<BenchRow>& rows,
                                           const BenchMachine& machine) {
  auto here = session.machine("this");
  if (!here) return here.error();
  const planner::BatchSources sources = session.sources();
  std::span<const planner::Calibration> calibrations;
  if (sources.calibrations) calibrations = sources.calibrations(**here);
  std::vector<planner::SpeedComparison> comparisons;
  std::shared_ptr<const planner::ResolvedModel> model;
  std::string path;
  for (const BenchRow& row : rows) {
    const auto reading = reading_of(row, machine);
    if (!reading) continue;
    if (!model || path != row.path) {
      auto found = session.model(row.path, "");
      if (!found) return found.error();
      model = std::move(*found);
      path = row.path;
    }
    auto compared = planner::compare_speed(*reading, session.scenario(model->name), *model, **here,
                                           &session.assumptions(), calibrations);
    if (!compared) return compared.error();
    compared->reading.quant = model->costs.quant;
    comparisons.push_back(std::move(*compared));
  }
  return speed_section(comparisons, kPlanTolerance);
}

}  // namespace

hwdb::Result<Outcome> cmd_bench(Session& session) {
  const Options& options = session.options();
  EngineSession engine(session);
  if (options.against_plan && !options.bench.as_llama_bench.empty()) {
    return hwdb::Error{
        "usage.arguments",
        "--against-plan is part of the report, and -o asks for llama-bench's document", "",
        "take --format in place of -o"};
  }
  auto cases = bench_cases(options.bench, engine.default_threads());
  if (!cases) return cases.error();
  for (const BenchCase& one : *cases) {
    // Known before a large file is read.
    for (const std::string& type : {one.type_k, one.type_v}) {
      if (auto known = cache_type(type); !known) return known.error();
    }
  }
  BenchMachine machine;
  machine.cpu = engine.cpu_name();
  machine.isa = engine::cpu::to_string(engine::cpu::current_isa());
  machine.mapped = options.mapped_weights;
  machine.bandwidth = engine.memory_bandwidth();

  std::vector<BenchRow> rows;
  Outcome outcome;
  std::optional<Disturbance> disturbance;
  for (const std::string& name : options.arguments) {
    auto model = engine.open(name);
    if (!model) return model.error();
    ModelBench bench(engine, **model, options.bench, name);
    const LoadWatch watch;
    ProgressLine progress(session.environment(), options.quiet, "running");
    for (std::size_t i = 0; i < cases->size() && !engine.interrupted(); ++i) {
      const auto all = static_cast<double>(cases->size());
      const std::string step =
          fmt::format("{} ({} of {})", test_name((*cases)[i].test), i + 1, cases->size());
      auto row = bench.run((*cases)[i], [&](std::uint32_t done, std::uint32_t of) {
        progress.show(step, (static_cast<double>(i) + static_cast<double>(done) / of) / all);
      });
      if (!row) return row.error();
      if (!row->samples.samples_ns.empty()) rows.push_back(*std::move(row));
    }
    progress.clear();
    const Disturbance seen = watch.look();
    if (!disturbance || seen.others_share > disturbance->others_share) disturbance = seen;
    if (engine.interrupted()) break;
  }
  if (engine.interrupted()) outcome.exit_status = kInterrupted;
  if (rows.empty())
    return hwdb::Error{"run.interrupted", "interrupted before the first run was done", "", ""};

  outcome.warnings = bench_warnings(rows);
  for (std::string& text : disturbance_warnings(*disturbance))
    outcome.warnings.push_back(std::move(text));
  if (!options.bench.as_llama_bench.empty()) {
    outcome.document = as_llama_bench(options.bench.as_llama_bench, rows, machine);
    return outcome;
  }
  outcome.report.emplace();
  outcome.report->command = "bench";
  outcome.report->sections.push_back(head_section(rows, machine));
  report::Section table = bench_section(rows, machine, options.format == Format::markdown);
  report::Section facts;
  facts.lines = {
      {"others_share", "", report::Cell("", disturbance->others_share)},
      {"stolen_share", "", report::Cell("", disturbance->stolen_share)},
      {"load_average", "", report::Cell("", disturbance->load_average)},
      {"on_battery", "", report::Cell("", disturbance->on_battery)},
  };
  facts.notes.push_back(fmt::format("t/s: mean and standard deviation of {} runs after a warm-up",
                                    options.bench.repetitions));
  if (!machine.bandwidth || machine.bandwidth->basis != hwdb::Basis::measured)
    facts.notes.emplace_back("the share of the memory's bandwidth needs tokwatt probe --measure");
  outcome.report->sections.push_back(std::move(table));
  if (options.against_plan) {
    auto plan = plan_section(session, rows, machine);
    if (!plan) return plan.error();
    outcome.report->sections.push_back(std::move(*plan));
  }
  outcome.report->sections.push_back(std::move(facts));
  return outcome;
}

}  // namespace cli
