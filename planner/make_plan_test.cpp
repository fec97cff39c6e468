// SPDX-License-Identifier: MIT
#include "planner/make_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "hwdb/catalog.h"
#include "hwdb/json.h"
#include "planner/rig/rig.h"

namespace planner {
namespace {

using hwdb::Catalog;

// A model of the catalogue on a machine in words, with the catalogue's own factors.
struct Question {
  hwdb::ModelCosts model;
  hwdb::Machine machine;
  Assumptions assumptions = assumptions_from(Catalog::builtin());
  PlanInputs inputs;

  Question(const std::string& name, const std::string& preset, const std::string& rig) {
    const auto row = Catalog::builtin().find_model(name);
    EXPECT_TRUE(row) << name;
    hwdb::QuantOptions options;
    options.preset = preset;
    auto costs = hwdb::model_costs_of_preset((*row)->shape, options);
    EXPECT_TRUE(costs) << name;
    model = std::move(*costs);
    auto described = machine_from_words(Catalog::builtin(), rig);
    EXPECT_TRUE(described) << rig;
    machine = std::move(*described);
    inputs.model = &model;
    inputs.machine = &machine;
    inputs.assumptions = &assumptions;
    inputs.tariff = *Catalog::builtin().find_tariff("us-average");
    inputs.workload.n_prompt = 512;
    inputs.workload.n_gen = 128;
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  Plan plan() const {
    auto p = make_plan(inputs);
    EXPECT_TRUE(p);
    return p ? std::move(*p) : Plan{};
  }
};

double decode(const std::string& model, const std::string& preset, const std::string& rig) {
  return Question(model, preset, rig).plan().speed.decode_tok_per_s.likely;
}

TEST(KnownCases, A4090GainsLittleOverA3090AndA5090AtMostThreefold) {
  const double a = decode("llama-3.1-8b", "Q8_0", "RTX 3090");
  const double b = decode("llama-3.1-8b", "Q8_0", "RTX 4090");
  const double c = decode("llama-3.1-8b", "Q8_0", "RTX 5090");
  EXPECT_GT(b, 0.95 * a);
  EXPECT_LT(b, 1.4 * a);
  EXPECT_GT(c, 1.5 * a);
  EXPECT_LT(c, 3 * a);
}

TEST(KnownCases, Llama70bIn16BitNeedsTwoLargeCards) {
  EXPECT_NE(Question("llama-3-70b", "F16", "H100 80GB, 512GB DDR5-4800").plan().memory.fits,
            Fits::gpu);
  EXPECT_EQ(Question("llama-3-70b", "F16", "2x H100 80GB, 512GB DDR5-4800").plan().memory.fits,
            Fits::gpu);
  for (const char* preset : {"Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_XS"}) {
    const auto plan = Question("llama-3-70b", preset, "RTX 3090").plan();
    EXPECT_EQ(plan.memory.fits, Fits::offload) << preset;
    EXPECT_LT(plan.placement.n_gpu_layers, 80u) << preset;
  }
}

TEST(KnownCases, TwentyFourGibCardHoldsGemma27bAndCoder32b) {
  Question gemma("gemma-3-27b", "Q4_0", "RX 7900 XTX");
  const Plan plan = gemma.plan();
  EXPECT_LE(plan.memory.fits, Fits::gpu_tight);
  EXPECT_GT(plan.speed.decode_tok_per_s.likely, 30);
  EXPECT_GE(largest_context(gemma.inputs, Fits::gpu_tight, 131072), 8192u);
  Question coder("qwen2.5-coder-32b", "Q4_K_M", "RX 7900 XTX");
  EXPECT_LE(coder.plan().memory.fits, Fits::gpu_tight);
  EXPECT_GE(largest_context(coder.inputs, Fits::gpu_tight, 131072), 4096u);
}

TEST(KnownCases, MacHoldsAQuantOfASeventyBillionModelInItsOneMemory) {
  const Plan plan = Question("llama-3.3-70b", "Q4_K_M", "Mac Studio M3 Ultra 512GB").plan();
  EXPECT_LE(plan.memory.fits, Fits::gpu_tight);
  EXPECT_GT(plan.speed.decode_tok_per_s.likely, 5);
  EXPECT_LT(plan.memory.total().as_double(), 60e9);
}

TEST(KnownCases, ExpertsInRamBeatTheCpuAlone) {
  Question q("qwen3-30b-a3b", "Q4_K_M", "RTX 3060, 64GB DDR4-3200");
  const Plan split = q.plan();
  EXPECT_EQ(split.memory.fits, Fits::offload);
  EXPECT_GT(split.placement.n_cpu_moe, 0u);
  q.inputs.settings.cpu_only = true;
  EXPECT_GT(split.speed.decode_tok_per_s.likely, q.plan().speed.decode_tok_per_s.likely);
}

TEST(KnownCases, A4090AtItsLimitDrawsItsLimit) {
  const Question q("llama-3.1-8b", "Q4_K_M", "RTX 4090");
  ASSERT_TRUE(q.machine.gpus[0].power_limit);
  EXPECT_DOUBLE_EQ(q.machine.gpus[0].power_limit->value.value, 450);
  const Plan plan = q.plan();
  EXPECT_GT(plan.energy.prefill_w.likely, 450);  // at the wall, with the computer around it
  EXPECT_LT(plan.energy.prefill_w.likely, 700);
}

TEST(CacheRecipe, HandedInGivesTheSamePlan) {
  Question q("gemma-3-27b", "Q4_0", "RX 7900 XTX");
  q.inputs.settings.cache_type_k = q.inputs.settings.cache_type_v = "q8_0";
  const Plan made = q.plan();
  const auto request = cache_request_of(q.inputs.settings);
  ASSERT_TRUE(request);
  const auto recipe = hwdb::make_cache_recipe(q.model.shape, *request);
  ASSERT_TRUE(recipe);
  q.inputs.cache_recipe = &*recipe;
  const Plan handed = q.plan();
  EXPECT_EQ(made.memory.total(), handed.memory.total());
  EXPECT_DOUBLE_EQ(made.speed.decode_tok_per_s.likely, handed.speed.decode_tok_per_s.likely);
  EXPECT_GT(made.memory.devices[0].kv_cache.value, 0u);
}

TEST(Factors, OfEveryGpuInTheCatalogueArePossible) {
  const Catalog& catalog = Catalog::builtin();
  const auto& rows = catalog.speed_factors();
  ASSERT_GT(rows.size(), 10u);
  for (const hwdb::GpuRow& gpu : catalog.gpus()) {
    for (const char* backend : {"cuda", "rocm", "vulkan", "metal", "sycl"}) {
      const DeviceFactors f =
          factors_of(rows, {"llama.cpp", backend, gpu.vendor, gpu.arch,
                            gpu.form.empty() ? "discrete" : std::string_view(gpu.form)});
      EXPECT_GT(f.read, 0.15) << gpu.id << " " << backend;
      EXPECT_LT(f.read, 1.05) << gpu.id << " " << backend;
      EXPECT_GT(f.matmul, 0.03) << gpu.id << " " << backend;
      EXPECT_LT(f.matmul, 1.2) << gpu.id << " " << backend;
      EXPECT_GT(f.product_s, 1e-7) << gpu.id << " " << backend;
      EXPECT_LT(f.product_s, 1e-4) << gpu.id << " " << backend;
    }
  }
}

}  // namespace
}  // namespace planner
