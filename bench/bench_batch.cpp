// SPDX-License-Identifier: MIT
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "planner/batch.h"
#include "planner/rig/rig.h"

// `batch` with JSON in and out: a line read, checked, planned and written. Target: 50 000 a second
// on one core.
namespace {

planner::BatchSources sources(const planner::Assumptions* assumptions) {
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  planner::BatchSources sources;
  sources.model = [&catalog](const std::string& name, const std::string& quant)
      -> hwdb::Result<std::shared_ptr<const planner::ResolvedModel>> {
    auto row = catalog.find_model(name);
    if (!row) return row.error();
    hwdb::QuantOptions options;
    options.preset = quant;
    auto costs = hwdb::model_costs_of_preset((*row)->shape, options);
    if (!costs) return costs.error();
    return std::make_shared<const planner::ResolvedModel>(
        planner::ResolvedModel{(*row)->id, std::move(*costs), {}});
  };
  sources.machine =
      [&catalog](const std::string& rig) -> hwdb::Result<std::shared_ptr<const hwdb::Machine>> {
    auto machine = planner::machine_from_words(catalog, rig);
    if (!machine) return machine.error();
    return std::make_shared<const hwdb::Machine>(std::move(*machine));
  };
  sources.tariff = [&catalog](const std::string&) { return catalog.find_tariff("us-average"); };
  sources.assumptions = assumptions;
  return sources;
}

/// Scenarios over models, presets, machines and contexts, so that branches and caches see variety.
std::vector<std::string> lines(bool all_keys) {
  std::vector<std::string> out;
  for (const char* model : {"llama-3.1-8b", "gemma-3-27b", "qwen3-30b-a3b", "llama-3-70b"}) {
    for (const char* quant : {"Q4_K_M", "Q6_K", "Q8_0"}) {
      for (const char* rig : {"RTX 3090", "2x RTX 3090", "Mac Studio M3 Ultra 512GB"}) {
        for (int n_ctx = 2048; n_ctx <= 16384; n_ctx += 1024) {
          std::string line = R"({"id":)" + std::to_string(out.size()) + R"(,"model":")" + model +
                             R"(","quant":")" + quant + R"(","on":")" + rig + R"(","n_ctx":)" +
                             std::to_string(n_ctx);
          if (all_keys) {
            line +=
                R"(,"n_batch":2048,"n_ubatch":512,"n_seq":1,"flash_attn":true,"cache_type_k":"f16",)"
                R"("cache_type_v":"f16","n_gpu_layers":null,"n_cpu_moe":null,)"
                R"("override_tensor":null,"split_mode":"layer","tensor_split":null,)"
                R"("n_threads":null,"n_prompt":512,"n_gen":128,"depth":0,"batch":1,)"
                R"("speculative":null,"calibration":"auto")";
          }
          out.push_back(line + "}");
        }
      }
    }
  }
  return out;
}

void batch(benchmark::State& state, bool all_keys) {
  const planner::Assumptions assumptions = planner::assumptions_from(hwdb::Catalog::builtin());
  planner::Batch batch(sources(&assumptions));
  const std::vector<std::string> scenarios = lines(all_keys);
  std::string out;
  for (const std::string& line : scenarios) {
    if (!batch.answer(line, &out)) {
      std::fprintf(stderr, "refused: %s\n", out.substr(out.rfind('{')).c_str());
      std::exit(1);
    }
  }
  std::size_t i = 0;
  for (auto _ : state) {
    out.clear();
    batch.answer(scenarios[i], &out);
    benchmark::DoNotOptimize(out.data());
    i = i + 1 < scenarios.size() ? i + 1 : 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(batch, five_keys, false);
BENCHMARK_CAPTURE(batch, all_keys, true);

}  // namespace

BENCHMARK_MAIN();
