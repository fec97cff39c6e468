// SPDX-License-Identifier: MIT
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "hwdb/catalog.h"
#include "planner/make_plan.h"
#include "planner/memory_plan.h"
#include "planner/placement.h"
#include "planner/rig/rig.h"

// The estimator as a library call: a full plan (placement chosen, memory, speed, energy, cost) from
// a model that was prepared once. Target: 200 000 a second on one core.
namespace {

struct Question {
  hwdb::ModelCosts model;
  hwdb::Machine machine;
  planner::Assumptions assumptions;
  hwdb::CacheRecipe recipe;
  std::optional<planner::ComputeMemo> memo;
  planner::PlanInputs inputs;

  Question(const char* name, const char* preset, const char* rig) {
    const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
    const auto row = catalog.find_model(name);
    auto described = planner::machine_from_words(catalog, rig);
    const auto tariff = catalog.find_tariff("us-average");
    if (!row || !described || !tariff) give_up(name, rig);
    hwdb::QuantOptions options;
    options.preset = preset;
    auto costs = hwdb::model_costs_of_preset((*row)->shape, options);
    if (!costs) give_up(name, rig);
    model = std::move(*costs);
    machine = std::move(*described);
    assumptions = planner::assumptions_from(catalog);
    inputs.model = &model;
    inputs.machine = &machine;
    inputs.assumptions = &assumptions;
    inputs.tariff = *tariff;
    auto rules = hwdb::make_cache_recipe(model.shape, *planner::cache_request_of(inputs.settings));
    if (!rules) give_up(name, rig);
    recipe = std::move(*rules);
    inputs.cache_recipe = &recipe;
    inputs.compute_memo = &memo.emplace(model.shape);
  }
  [[noreturn]] static void give_up(const char* name, const char* rig) {
    std::fprintf(stderr, "not in the catalogue: %s on %s\n", name, rig);
    std::exit(1);
  }
};

void plan(benchmark::State& state, const char* model, const char* preset, const char* rig) {
  Question question(model, preset, rig);
  std::uint64_t n_ctx = 2048;
  for (auto _ : state) {
    // Another context each time, so that nothing can be kept from the last call.
    n_ctx = n_ctx >= 32768 ? 2048 : n_ctx + 256;
    question.inputs.settings.n_ctx = n_ctx;
    benchmark::DoNotOptimize(planner::make_plan(question.inputs));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(plan, 8b_on_one_gpu, "llama-3.1-8b", "Q4_K_M", "RTX 3090");
BENCHMARK_CAPTURE(plan, 27b_sliding_window_on_one_gpu, "gemma-3-27b", "Q4_0", "RX 7900 XTX");
BENCHMARK_CAPTURE(plan, 8b_on_cpu, "llama-3.1-8b", "Q4_K_M", "EPYC 9554");
BENCHMARK_CAPTURE(plan, 8b_on_mac, "llama-3.1-8b", "Q4_K_M", "Mac Studio M3 Ultra 512GB");
BENCHMARK_CAPTURE(plan, 70b_layers_in_ram, "llama-3-70b", "Q4_K_M", "RTX 3090");
BENCHMARK_CAPTURE(plan, 30b_experts_in_ram, "qwen3-30b-a3b", "Q4_K_M", "RTX 3060 12GB");
BENCHMARK_CAPTURE(plan, 70b_on_two_gpus, "llama-3-70b", "Q4_K_M", "2x RTX 3090");

// Where every byte goes, without speed, energy and money. Target: 100 000 a second on one core.
void memory_plan(benchmark::State& state, const char* model, const char* preset, const char* rig) {
  Question question(model, preset, rig);
  std::uint64_t n_ctx = 2048;
  for (auto _ : state) {
    n_ctx = n_ctx >= 32768 ? 2048 : n_ctx + 256;
    question.inputs.settings.n_ctx = n_ctx;
    const auto basis = planner::prepare(question.inputs);
    benchmark::DoNotOptimize(planner::plan_memory(*basis, planner::choose_placement(*basis)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(memory_plan, 8b_on_one_gpu, "llama-3.1-8b", "Q4_K_M", "RTX 3090");
BENCHMARK_CAPTURE(memory_plan, hybrid_35b_on_one_gpu, "qwen3.5-35b-a3b", "Q4_K_M", "RTX 4090");
BENCHMARK_CAPTURE(memory_plan, 70b_layers_in_ram, "llama-3-70b", "Q4_K_M", "RTX 3090");
BENCHMARK_CAPTURE(memory_plan, 30b_experts_in_ram, "qwen3-30b-a3b", "Q4_K_M", "RTX 3060 12GB");
BENCHMARK_CAPTURE(memory_plan, 70b_on_two_gpus, "llama-3-70b", "Q4_K_M", "2x RTX 3090");

void plan_with_nothing_kept(benchmark::State& state) {
  Question question("llama-3.1-8b", "Q4_K_M", "RTX 3090");
  question.inputs.cache_recipe = nullptr;
  question.inputs.compute_memo = nullptr;
  for (auto _ : state) benchmark::DoNotOptimize(planner::make_plan(question.inputs));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(plan_with_nothing_kept);

void context_search(benchmark::State& state) {
  Question question("llama-3.1-8b", "Q4_K_M", "RTX 3090");
  for (auto _ : state)
    benchmark::DoNotOptimize(planner::largest_context(question.inputs, planner::Fits::gpu, 131072));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(context_search);

}  // namespace

BENCHMARK_MAIN();
