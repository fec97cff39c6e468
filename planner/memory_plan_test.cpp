// SPDX-License-Identifier: MIT
#include "planner/memory_plan.h"

#include <gtest/gtest.h>

#include "planner/placement.h"
#include "planner/test_inputs.h"

namespace planner {
namespace {

using testing::card;
using testing::Case;
using testing::dense_model;
using testing::expert_model;
using testing::host;
using testing::with_cards;

constexpr double kMiB = 1 << 20;

Placement all_on_gpu(const PlanBasis& basis) {
  return place(basis, basis.n_layers() + 1, 0);
}

TEST(MemoryPlan, WholeModelOnOneGpuByHand) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 100e12)}));
  c.inputs.settings.n_ctx = 4096;
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->memory.devices.size(), 2u);
  const DeviceMemory& gpu = plan->memory.devices[0];
  EXPECT_TRUE(gpu.is_gpu);
  EXPECT_EQ(gpu.weights.value, 1'050'000'000u);       // ten layers and the output
  EXPECT_EQ(gpu.kv_cache.value, 10ull * 4096 * 512);  // 512 bytes a token and layer
  EXPECT_EQ(gpu.overhead, c.assumptions.context_cuda);
  EXPECT_EQ(gpu.output.value, 0u);
  const DeviceMemory& cpu = plan->memory.devices[1];
  EXPECT_EQ(cpu.device, "CPU");
  EXPECT_EQ(cpu.weights.value, 50'000'000u);  // the embedding
  EXPECT_EQ(cpu.kv_cache.value, 0u);
  EXPECT_EQ(cpu.output.value, 4000u);  // 1000 logits
  EXPECT_EQ(plan->memory.fits, Fits::gpu);
  EXPECT_EQ(plan->placement.n_gpu_layers, 11u);
  EXPECT_EQ(plan->memory.total(), gpu.total() + cpu.total());
}

TEST(MemoryPlan, OnlyTheMarginDecidesBetweenGpuAndTight) {
  auto model = dense_model();
  for (auto& layer : model.layers) layer.dense_ffn_bytes = 960'000'000;  // 10 GB
  Case c(model, with_cards({card("A", 24e9, 1e12, 100e12)}));
  const auto roomy = c.plan();
  ASSERT_TRUE(roomy);
  const auto need = roomy->memory.devices[0].total();
  const auto margin = c.assumptions.margin_gpu;
  const auto verdict = [&](hwdb::Bytes memory) {
    c.machine.gpus[0].memory.value = memory;
    return c.plan()->memory.fits;
  };
  EXPECT_EQ(verdict(need + margin), Fits::gpu);
  EXPECT_EQ(verdict(need + margin - hwdb::Bytes(1)), Fits::gpu_tight);
  EXPECT_EQ(verdict(need), Fits::gpu_tight);
  EXPECT_EQ(verdict(need - hwdb::Bytes(1)), Fits::offload);
}

TEST(MemoryPlan, NothingFitsAndTheShortfallIsWhatIsMissing) {
  Case c(dense_model(), host());
  c.machine.memory.total = testing::bytes(1e9);
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->memory.fits, Fits::no);
  const DeviceMemory& cpu = plan->memory.devices.back();
  EXPECT_EQ(plan->memory.shortfall, cpu.total() - cpu.budget);
  EXPECT_GT(plan->memory.shortfall.value, 0u);
}

TEST(MemoryPlan, UnifiedMemoryIsCountedOnce) {
  auto gpu = card("M", 48e9, 400e9, 20e12);
  gpu.kind = hwdb::GpuInfo::Kind::unified;
  gpu.backend = hwdb::GpuInfo::Backend::metal;
  Case c(dense_model(), with_cards({gpu}));
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->memory.fits, Fits::gpu);
  const auto& devices = plan->memory.devices;
  ASSERT_EQ(devices.size(), 2u);
  // 64 GB less 15 % or 4 GiB, less what the GPU took out of the same memory.
  const double pool = 64e9 - std::min(0.15 * 64e9, 4096 * kMiB);
  EXPECT_NEAR(devices[1].budget.as_double(), pool - devices[0].total().as_double(), 2);

  // The GPU's share alone would hold it, the memory does not.
  c.machine.memory.total = testing::bytes(1.2e9);
  EXPECT_EQ(c.plan()->memory.fits, Fits::no);
}

TEST(MemoryPlan, TheOutputGoesToTheGpuFirstAndThenTheLastBlocks) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 100e12)}));
  c.inputs.settings.n_gpu_layers = 10;
  auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->memory.devices[0].weights.value, 950'000'000u);  // nine blocks and the output
  EXPECT_EQ(plan->memory.devices[1].weights.value, 150'000'000u);  // a block and the embedding
  EXPECT_EQ(plan->memory.fits, Fits::offload);
  EXPECT_FALSE(plan->placement.chosen);
  c.inputs.settings.n_gpu_layers = 3;
  plan = c.plan();
  EXPECT_EQ(plan->memory.devices[0].weights.value, 250'000'000u);
  EXPECT_EQ(plan->memory.devices[1].kv_cache.value, 8ull * 4096 * 512);
  c.inputs.settings.n_gpu_layers = 1;
  EXPECT_EQ(c.plan()->memory.devices[0].weights.value, 50'000'000u);
  c.inputs.settings.n_gpu_layers = 0;
  plan = c.plan();
  EXPECT_EQ(plan->memory.fits, Fits::cpu);
  // Nothing stays on the card, but prompts are computed there with borrowed weights.
  ASSERT_EQ(plan->memory.devices.size(), 2u);
  EXPECT_EQ(plan->memory.devices[0].weights.value, 0u);
  EXPECT_GT(plan->memory.devices[0].compute.value, 0u);
  c.inputs.settings.cpu_only = true;
  EXPECT_EQ(c.plan()->memory.devices.size(), 1u);
  EXPECT_LT(c.plan()->speed.prefill_tok_per_s.likely, plan->speed.prefill_tok_per_s.likely);
  c.inputs.settings.cpu_only = false;
  c.inputs.settings.n_gpu_layers = 99;
  EXPECT_EQ(c.plan()->memory.fits, Fits::gpu);
}

TEST(MemoryPlan, TiedOutputOnTheHostIsNotCountedTwice) {
  auto model = dense_model();
  model.output_is_tied = true;
  model.tied_bytes = 49'000'000;
  Case c(model, host());
  EXPECT_EQ(c.plan()->memory.devices.back().weights.value, 1'051'000'000u);
  Case d(model, with_cards({card("A", 24e9, 1e12, 100e12)}));
  EXPECT_EQ(d.plan()->memory.devices[0].weights.value, 1'050'000'000u);
  EXPECT_EQ(d.plan()->memory.devices[1].weights.value, 50'000'000u);
}

TEST(MemoryPlan, MoreContextNeverNeedsLess) {
  Case c(dense_model(), with_cards({card("A", 8e9, 1e12, 100e12)}));
  std::uint64_t before = 0;
  for (std::uint64_t n_ctx = 256; n_ctx <= 1u << 20; n_ctx *= 2) {
    c.inputs.settings.n_ctx = n_ctx;
    const auto plan = c.plan();
    ASSERT_TRUE(plan);
    EXPECT_GE(plan->memory.total().value, before) << n_ctx;
    before = plan->memory.total().value;
  }
}

TEST(MemoryPlan, HugeRequestsAreAnOverflowNotASmallNumber) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 100e12)}));
  // Scores of 8 heads, 2^31 tokens and 2^31 cells pass 2^63 bytes.
  c.inputs.settings.n_ctx = 1ull << 31;
  c.inputs.settings.n_batch = c.inputs.settings.n_ubatch = 0xffffffff;
  c.inputs.settings.flash_attn = false;
  const auto plan = c.plan();
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "model.overflow");
  c.inputs.settings.n_ctx = 1ull << 60;
  const auto more = c.plan();
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, "model.range");
  EXPECT_EQ(largest_context(c.inputs, Fits::gpu, 1ull << 62) % 256, 0u);
}

TEST(MemoryPlan, UnknownCacheTypeIsRefused) {
  Case c(dense_model(), host());
  c.inputs.settings.cache_type_v = "q9_9";
  const auto plan = c.plan();
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "cache.type");
}

TEST(Placement, TwoGpusShareByFreeMemoryLikeLlamaCpp) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e14), card("B", 12e9, 1e12, 1e14)}));
  c.inputs.settings.tensor_split = {};
  const auto basis = prepare(c.inputs);
  ASSERT_TRUE(basis);
  const Placement p = all_on_gpu(*basis);
  // Eleven layers with the output: blocks 0..7 lie below 2/3, 8 and 9 above.
  EXPECT_EQ(p.layers_on_gpu, (std::vector<std::uint32_t>{8, 2}));
  const auto memory = plan_memory(*basis, p);
  ASSERT_TRUE(memory);
  ASSERT_EQ(memory->devices.size(), 3u);
  EXPECT_EQ(memory->devices[0].weights.value, 800'000'000u);
  EXPECT_EQ(memory->devices[1].weights.value, 250'000'000u);  // two blocks and the output
}

TEST(Placement, GivenSharesAreKept) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e14), card("B", 24e9, 1e12, 1e14)}));
  c.inputs.settings.tensor_split = {1, 3};
  c.inputs.settings.n_gpu_layers = 11;
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->placement.layers_on_gpu, (std::vector<std::uint32_t>{3, 7}));
}

TEST(Placement, TwoSmallGpusHoldWhatOneCannot) {
  auto model = dense_model();
  for (auto& layer : model.layers) layer.dense_ffn_bytes = 860'000'000;  // 9 GB
  Case one(model, with_cards({card("A", 8e9, 1e12, 1e14)}));
  EXPECT_EQ(one.plan()->memory.fits, Fits::offload);
  Case two(model, with_cards({card("A", 8e9, 1e12, 1e14), card("B", 8e9, 1e12, 1e14)}));
  const auto plan = two.plan();
  EXPECT_EQ(plan->memory.fits, Fits::gpu);
  EXPECT_EQ(plan->placement.layers_on_gpu[0] + plan->placement.layers_on_gpu[1], 10u);
}

TEST(Placement, ExpertsGoToRamBeforeWholeLayersDo) {
  Case c(expert_model(), with_cards({card("A", 6e9, 1e12, 1e14)}));
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->memory.fits, Fits::offload);
  EXPECT_EQ(plan->placement.n_gpu_layers, 11u);
  ASSERT_GT(plan->placement.n_cpu_moe, 0u);
  ASSERT_LT(plan->placement.n_cpu_moe, 10u);
  const std::uint64_t moved = plan->placement.n_cpu_moe * 800'000'000ull;
  EXPECT_EQ(plan->memory.devices[0].weights.value, 9'050'000'000u - moved);
  EXPECT_EQ(plan->memory.devices[1].weights.value, 50'000'000u + moved);
  // One layer fewer in RAM would eat into the margin.
  c.inputs.settings.n_gpu_layers = 11;
  c.inputs.settings.n_cpu_moe = plan->placement.n_cpu_moe - 1;
  const auto fewer = c.plan();
  const DeviceMemory& gpu = fewer->memory.devices[0];
  EXPECT_GT(gpu.total() + c.assumptions.margin_gpu, gpu.budget);
}

TEST(Placement, CpuOnlyLeavesTheGpuAlone) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e14)}));
  c.inputs.settings.cpu_only = true;
  const auto plan = c.plan();
  EXPECT_EQ(plan->memory.fits, Fits::cpu);
  EXPECT_EQ(plan->memory.devices.size(), 1u);
  EXPECT_EQ(plan->placement.n_gpu_layers, 0u);
}

TEST(LargestContext, LastMultipleThatFitsAndNotTheNext) {
  Case c(dense_model(), with_cards({card("A", 4e9, 1e12, 1e14)}));
  const std::uint64_t n = largest_context(c.inputs, Fits::gpu, 1u << 24);
  ASSERT_GT(n, 0u);
  EXPECT_EQ(n % 256, 0u);
  c.inputs.settings.n_ctx = n;
  EXPECT_EQ(c.plan()->memory.fits, Fits::gpu);
  c.inputs.settings.n_ctx = n + 256;
  EXPECT_NE(c.plan()->memory.fits, Fits::gpu);
  EXPECT_GT(largest_context(c.inputs, Fits::gpu_tight, 1u << 24), n);
  EXPECT_EQ(largest_context(c.inputs, Fits::gpu, 1000), 768u);
  c.machine.gpus[0].memory = testing::bytes(1e9);
  EXPECT_EQ(largest_context(c.inputs, Fits::gpu_tight, 1u << 24), 0u);
}

}  // namespace
}  // namespace planner
