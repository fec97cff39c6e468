// SPDX-License-Identifier: MIT
#include "planner/speed_estimate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "planner/attachments.h"
#include "planner/batch.h"
#include "planner/class_factors.h"
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

// An empty prompt cache and one token: weights alone.
void short_context(Case* c) {
  c->inputs.workload.n_prompt = 0;
  c->inputs.workload.n_gen = 0;
}

double sum_of(const std::vector<TimeTerm>& terms) {
  return std::accumulate(terms.begin(), terms.end(), 0.0,
                         [](double s, const TimeTerm& t) { return s + t.seconds; });
}

TEST(Speed, DecodeIsBytesOverAchievedBandwidth) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 100e12)}));
  short_context(&c);
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  // 1.05 GB at 0.8 of 1 TB/s.
  EXPECT_NEAR(plan->speed.decode_tok_per_s.likely, 0.8e12 / 1.05e9, 0.01);
  EXPECT_NEAR(plan->speed.decode_tok_per_s.low, 0.75 * 0.8e12 / 1.05e9, 0.01);
  EXPECT_NEAR(plan->speed.decode_tok_per_s.high, 1.125 * 0.8e12 / 1.05e9, 0.01);
  EXPECT_EQ(plan->speed.decode_bound, Bound::memory);
  ASSERT_EQ(plan->speed.decode_terms.size(), 2u);
  EXPECT_EQ(plan->speed.decode_terms[0].kind, TimeTerm::Kind::weights);
  EXPECT_EQ(plan->speed.decode_terms[0].device, 0);
  EXPECT_DOUBLE_EQ(plan->speed.decode_terms[0].amount, 1e9);
  EXPECT_EQ(plan->speed.decode_terms[1].kind, TimeTerm::Kind::output);
  EXPECT_DOUBLE_EQ(plan->speed.decode_terms[1].amount, 50e6);
}

TEST(Speed, ReadingALargeModelTakesASecondOnALaptopAndAnEighthOnACard) {
  // 140 GB at 120 GB/s and at 1008 GB/s, nothing lost.
  auto model = dense_model();
  for (auto& layer : model.layers)
    layer.attention_bytes = 0, layer.dense_ffn_bytes = 14'000'000'000;
  model.output_bytes = 0;
  Case c(model, with_cards({card("A", 200e9, 1008e9, 1e15)}));
  c.machine.memory.total = testing::bytes(300e9);
  c.machine.memory.bandwidth = testing::per_second(120e9);
  c.machine.cpu.peak_fp32 = {hwdb::FlopsPerSecond(1e14), hwdb::Basis::spec, "test", ""};
  for (auto& row : c.factors) row.read = 1;
  short_context(&c);
  const double on_card = 1 / c.plan()->speed.decode_tok_per_s.likely;
  c.inputs.settings.cpu_only = true;
  const double on_host = 1 / c.plan()->speed.decode_tok_per_s.likely;
  EXPECT_NEAR(on_host, 140.0 / 120, 1e-5);
  EXPECT_GT(on_host, 1.0);
  EXPECT_NEAR(on_card, 140.0 / 1008, 1e-5);
  EXPECT_NEAR(on_card / on_host, 1.0 / 8.4, 1e-5);
}

TEST(Speed, AMeasuredBandwidthStandsForTheRatedOneItIsAShareOf) {
  Case rated(dense_model(), host());
  Case measured(dense_model(), host());
  auto& bandwidth = measured.machine.memory.bandwidth;
  bandwidth.value = hwdb::BytesPerSecond(0.83 * bandwidth.value.value);
  bandwidth.basis = hwdb::Basis::measured;
  EXPECT_NEAR(measured.plan()->speed.decode_tok_per_s.likely,
              rated.plan()->speed.decode_tok_per_s.likely, 1e-6);
  auto gpu = card("A", 24e9, 1e12, 100e12);
  Case card_rated(dense_model(), with_cards({gpu}));
  gpu.bandwidth->value = hwdb::BytesPerSecond(0.93e12);
  gpu.bandwidth->basis = hwdb::Basis::measured;
  Case card_measured(dense_model(), with_cards({gpu}));
  EXPECT_NEAR(card_measured.plan()->speed.decode_tok_per_s.likely,
              card_rated.plan()->speed.decode_tok_per_s.likely, 1e-6);
}

TEST(Speed, LongerCachesDecodeSlowerByWhatTheyRead) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 100e12)}));
  short_context(&c);
  c.inputs.settings.n_ctx = 1 << 20;
  double before = 1e9;
  for (const double depth : {0.0, 1e3, 1e4, 1e5, 1e6}) {
    c.inputs.workload.depth = depth;
    const auto plan = c.plan();
    ASSERT_TRUE(plan);
    EXPECT_LT(plan->speed.decode_tok_per_s.likely, before);
    before = plan->speed.decode_tok_per_s.likely;
    EXPECT_NEAR(1 / before, (1.05e9 + depth * 5120) / 0.8e12, 1e-7);
  }
}

TEST(Speed, PrefillIsFlopsOverAchievedPeakPlusTheQuadraticPart) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  c.inputs.workload.n_prompt = 1024;
  c.inputs.workload.n_gen = 0;
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  const double matmul = 1024 * 10 * 200e6 / 5e12;
  const double attention = 10 * 2048.0 * (1024.0 * 1025 / 2) / 5e12;
  const double output = 50e6 / 0.8e12;  // read once for the last token
  EXPECT_NEAR(plan->speed.ttft_s.likely, matmul + attention + output, 1e-6);
  EXPECT_NEAR(plan->speed.prefill_tok_per_s.likely, 1024 / (matmul + attention + output), 0.01);
  EXPECT_EQ(plan->speed.prefill_bound, Bound::compute);
  EXPECT_NEAR(sum_of(plan->speed.prefill_terms), plan->speed.ttft_s.likely, 1e-9);
}

TEST(Speed, CachedPromptIsNotComputedAgain) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  c.inputs.workload.n_prompt = 10000;
  const double cold = c.plan()->speed.ttft_s.likely;
  c.inputs.workload.cached_fraction = 0.9;
  const double warm = c.plan()->speed.ttft_s.likely;
  EXPECT_LT(warm, cold / 5);
  EXPECT_GT(warm, cold / 20);
  c.inputs.workload.cached_fraction = 1;
  EXPECT_GT(c.plan()->speed.ttft_s.likely, 0);  // one token is always computed
}

TEST(Speed, BandsAreOrdered) {
  for (const auto& model : {dense_model(), expert_model()}) {
    for (const double memory : {2e9, 6e9, 24e9}) {
      Case c(model, with_cards({card("A", memory, 1e12, 10e12)}));
      const auto plan = c.plan();
      ASSERT_TRUE(plan);
      for (const Estimate& e :
           {plan->speed.decode_tok_per_s, plan->speed.prefill_tok_per_s, plan->speed.ttft_s,
            plan->energy.decode_w, plan->energy.decode_wh_per_mtok, plan->cost.cost_per_month}) {
        EXPECT_GT(e.low, 0);
        EXPECT_LE(e.low, e.likely);
        EXPECT_LE(e.likely, e.high);
      }
    }
  }
}

TEST(Speed, OffloadIsTwoBandwidths) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  c.assumptions.link_latency_s = 0;
  c.machine.gpus[0].host_link = testing::per_second(1e15);
  c.machine.cpu.peak_fp32 = {hwdb::FlopsPerSecond(1e15), hwdb::Basis::spec, "test", ""};
  const double gpu = c.plan()->speed.decode_tok_per_s.likely;
  c.inputs.settings.n_gpu_layers = 6;
  const auto part = c.plan();
  // The output and five blocks on the GPU; the host reads 0.5 of 50 GB/s.
  const double expected = 0.55e9 / 0.8e12 + 0.5e9 / 25e9;
  EXPECT_NEAR(1 / part->speed.decode_tok_per_s.likely, expected, 1e-9);
  EXPECT_LT(part->speed.decode_tok_per_s.likely, gpu);
  c.inputs.settings.n_gpu_layers = 0;
  EXPECT_LT(c.plan()->speed.decode_tok_per_s.likely, part->speed.decode_tok_per_s.likely);
}

TEST(Speed, ATokenReadsOnlyItsExpertsAndABatchMore) {
  Case c(expert_model(), with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  const double one = 1 / c.plan()->speed.decode_tok_per_s.likely;
  EXPECT_NEAR(one, (1.05e9 + 8e9 * 2 / 8) / 0.8e12, 1e-9);
  c.inputs.workload.batch = 4;
  const auto four = c.plan();
  const double share = 1 - std::pow(1 - 2.0 / 8, 4);
  EXPECT_NEAR(4 / four->speed.decode_tok_per_s.likely, (1.05e9 + 8e9 * share) / 0.8e12, 1e-9);
}

TEST(Speed, EachProductOfAPassIsDispatchedAndThePassOnce) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  c.factors[0].product_s = 1e-5;
  c.factors[0].pass_s = 3e-4;
  const auto seconds = [](const std::vector<TimeTerm>& terms, TimeTerm::Kind kind) {
    double sum = 0;
    for (const TimeTerm& t : terms)
      if (t.kind == kind) sum += t.seconds;
    return sum;
  };
  const auto plan = c.plan();
  // Seven a layer, and the output's.
  EXPECT_NEAR(seconds(plan->speed.decode_terms, TimeTerm::Kind::dispatch), 71e-5, 1e-12);
  EXPECT_NEAR(seconds(plan->speed.decode_terms, TimeTerm::Kind::pass), 3e-4, 1e-12);
  c.inputs.workload.n_prompt = 1024;  // two micro-batches of 512, and the output once
  const auto prompt = c.plan();
  EXPECT_NEAR(seconds(prompt->speed.prefill_terms, TimeTerm::Kind::dispatch), 141e-5, 1e-12);
  EXPECT_NEAR(seconds(prompt->speed.prefill_terms, TimeTerm::Kind::pass), 6e-4, 1e-12);
}

TEST(Speed, MovingAndComputingOverlapButForALittle) {
  // Both take 1.3125 ms: the fourth root of 2 longer together.
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  const double alone = 1 / c.plan()->speed.decode_tok_per_s.likely;
  c.machine.gpus[0].peak_fp16->value = hwdb::FlopsPerSecond(2.1e9 / 0.5 / alone);
  EXPECT_NEAR(1 / c.plan()->speed.decode_tok_per_s.likely, alone * std::pow(2, 0.25), 1e-6);
}

TEST(Speed, ProductsWithManyTokensReachTheirHalfAtHalfTokens) {
  auto model = dense_model();
  model.output_flops_per_token = 0;
  Case c(model, with_cards({card("A", 24e9, 1e15, 10e12)}));
  c.inputs.workload.n_gen = 0;
  c.factors[0].vector = 1e-6;
  c.factors[0].half_tokens = 128;
  c.factors[0].attention = 1e6;
  c.inputs.workload.n_prompt = 128;
  const double at_half = c.plan()->speed.prefill_tok_per_s.likely;
  c.factors[0].half_tokens = 0;
  EXPECT_NEAR(c.plan()->speed.prefill_tok_per_s.likely / at_half, 2, 0.02);
}

TEST(Speed, TypesHaveTheirOwnRates) {
  auto model = dense_model();
  const auto q4 = hwdb::tensor_type("Q4_K"), q6 = hwdb::tensor_type("Q6_K");
  model.role_types.layers = {{q4, 750'000'000}, {q6, 250'000'000}};
  Case c(model, with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  hwdb::SpeedFactorRow slow;
  slow.id = "q6";
  slow.tensor_type = "Q6_K";
  slow.read = 0.5;
  c.factors.push_back(slow);
  EXPECT_NEAR(1 / c.plan()->speed.decode_tok_per_s.likely, (0.75e9 + 0.25e9 / 0.5 + 50e6) / 0.8e12,
              1e-9);
}

TEST(Speed, CacheTypesHaveTheirOwnRates) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  c.inputs.workload.depth = 4000;
  c.inputs.settings.cache_type_k = c.inputs.settings.cache_type_v = "q8_0";
  const double before = 1 / c.plan()->speed.decode_tok_per_s.likely;
  hwdb::SpeedFactorRow slow;
  slow.id = "q8 cache";
  slow.tensor_type = "Q8_0";
  slow.cache_read = 0.25;
  c.factors.push_back(slow);
  // 34 bytes for 32 numbers: 272 bytes a token and layer.
  const double cache = 4000 * 2720.0 / 0.8e12;
  EXPECT_NEAR(1 / c.plan()->speed.decode_tok_per_s.likely - before, 3 * cache, 1e-9);
}

TEST(Speed, AMachineWithItsOwnCalibrationGoesByIt) {
  Case c(dense_model(), host());
  short_context(&c);
  Calibration own;
  own.runtime = "llama.cpp", own.backend = "cpu";
  own.bandwidth_bytes_per_s = 20e9, own.peak_flops_per_s = 1e15;
  own.factors = {};
  own.factors.read = 0.9;
  own.factors.product_s = own.factors.pass_s = 0;
  own.decode_spread = 0.02;
  const std::vector<Calibration> all{own};
  c.inputs.calibrations = all;
  const auto plan = c.plan();
  EXPECT_NEAR(1 / plan->speed.decode_tok_per_s.likely, 1.05e9 / 18e9, 1e-5);
  EXPECT_EQ(plan->speed.decode_tok_per_s.basis, hwdb::Basis::calibrated);
  EXPECT_NEAR(plan->speed.decode_tok_per_s.high / plan->speed.decode_tok_per_s.likely,
              std::exp(1.645 * std::hypot(0.02, 0.055)), 1e-9);
  EXPECT_EQ(plan->speed.decode_accuracy, nullptr);
  // Weights of a type that was not measured: the class's band.
  c.model.role_types.layers = {{hwdb::tensor_type("Q5_K"), 1'000'000'000}};
  EXPECT_NE(c.plan()->speed.decode_accuracy, nullptr);
  // Prefill was not measured: its band is the class's.
  EXPECT_NE(plan->speed.prefill_accuracy, nullptr);
  c.inputs.settings.runtime = hwdb::Runtime::tokwatt;  // another program
  EXPECT_NE(c.plan()->speed.decode_tok_per_s.basis, hwdb::Basis::calibrated);
}

TEST(Speed, DraftedTokensThatAreKeptShareAPass) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 1e15)}));
  short_context(&c);
  const double alone = 1 / c.plan()->speed.decode_tok_per_s.likely;
  auto small = std::make_shared<ResolvedModel>();
  small->name = "small";
  small->costs = dense_model();
  for (auto& layer : small->costs.layers)
    layer.attention_bytes /= 10, layer.dense_ffn_bytes /= 10, layer.dense_flops_per_token /= 10;
  small->costs.output_bytes /= 10;
  Attachments attachments;
  attachments.draft = small;
  c.inputs.attachments = &attachments;
  c.inputs.settings.draft.model = "small";
  c.inputs.settings.draft.n_max = 3;
  c.inputs.settings.draft.acceptance = 0.8;
  // A pass over four tokens reads no more than one over one; three small steps come before it.
  const double kept = 1 + 0.8 + 0.64 + 0.512;
  const auto plan = c.plan();
  EXPECT_NEAR(1 / plan->speed.decode_tok_per_s.likely, 1.3 * alone / kept, 1e-6);
  EXPECT_NEAR(sum_of(plan->speed.decode_terms), 1 / plan->speed.decode_tok_per_s.likely, 1e-9);
  // Nothing accepted: the drafting was for nothing.
  c.inputs.settings.draft.acceptance = 0;
  EXPECT_NEAR(1 / c.plan()->speed.decode_tok_per_s.likely, 1.3 * alone, 1e-6);
}

TEST(Speed, DepthsAreAskedOneByOne) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  const double depths[] = {0, 4000};
  const auto speeds = speed_at_depths(c.inputs, plan->placement, depths);
  ASSERT_TRUE(speeds);
  ASSERT_EQ(speeds->size(), 2u);
  EXPECT_NEAR(1 / (*speeds)[1].decode_tok_per_s.likely - 1 / (*speeds)[0].decode_tok_per_s.likely,
              4000 * 5120 / 0.8e12, 2e-6);
  EXPECT_GT((*speeds)[0].prefill_tok_per_s.likely, (*speeds)[1].prefill_tok_per_s.likely);
}

TEST(Speed, TwoGpusInAChainAreNotFasterInDecodeButInLongPrefill) {
  Case one(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  Case two(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12), card("B", 24e9, 1e12, 10e12)}));
  for (Case* c : {&one, &two}) {
    c->inputs.settings.n_gpu_layers = 11;
    c->inputs.workload.n_prompt = 8192;
    c->inputs.workload.n_gen = 0;
    c->inputs.settings.n_ctx = 16384;
  }
  const auto a = one.plan(), b = two.plan();
  EXPECT_LE(b->speed.decode_tok_per_s.likely, a->speed.decode_tok_per_s.likely);
  EXPECT_GT(b->speed.decode_tok_per_s.likely, 0.9 * a->speed.decode_tok_per_s.likely);
  EXPECT_GT(b->speed.prefill_tok_per_s.likely, 1.4 * a->speed.prefill_tok_per_s.likely);
  two.inputs.settings.split_mode = SplitMode::tensor;
  const auto parallel = two.plan();
  EXPECT_GT(parallel->speed.decode_tok_per_s.likely, 0);
  two.assumptions.link_latency_s = 0;
  EXPECT_GT(two.plan()->speed.decode_tok_per_s.likely, 1.5 * a->speed.decode_tok_per_s.likely);
}

TEST(Speed, UnknownBandwidthIsSaidAndNotGuessed) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  c.machine.gpus[0].bandwidth.reset();
  c.inputs.settings.n_gpu_layers = 11;
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->speed_known);
  EXPECT_EQ(plan->speed.decode_tok_per_s.likely, 0);
  EXPECT_EQ(plan->memory.fits, Fits::gpu);
}

TEST(Speed, SizesOnlyModelsGetMemoryWithoutSpeed) {
  auto model = dense_model();
  model.sizes_only = true;
  Case c(model, with_cards({card("A", 24e9, 1e12, 10e12)}));
  const auto plan = c.plan();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->speed_known);
  EXPECT_EQ(plan->memory.devices[0].kv_cache.value, 0u);
  EXPECT_EQ(plan->memory.devices[0].weights.value, 1'050'000'000u);
  EXPECT_EQ(plan->cost.decode_hours, 0);
}

TEST(Speed, BasisIsTheWeakestInput) {
  Case c(dense_model(), with_cards({card("A", 24e9, 1e12, 10e12)}));
  EXPECT_EQ(c.plan()->speed.decode_tok_per_s.basis, hwdb::Basis::modelled);
  c.machine.gpus[0].bandwidth->basis = hwdb::Basis::unverified;
  EXPECT_EQ(c.plan()->speed.decode_tok_per_s.basis, hwdb::Basis::unverified);
  c.factors.clear();
  EXPECT_EQ(c.plan()->speed.decode_tok_per_s.basis, hwdb::Basis::assumed);
}

TEST(Speed, WithoutMatrixUnitsThe32BitPeakCounts) {
  auto gpu = card("A", 24e9, 1e12, 10e12);
  gpu.peak_fp16.reset();
  gpu.peak_fp32 = {hwdb::FlopsPerSecond(5e12), hwdb::Basis::spec, "test", ""};
  EXPECT_EQ(gpu_peak(gpu).value, 5e12);
}

TEST(VisibleCells, FullAndWindowed) {
  EXPECT_DOUBLE_EQ(visible_cells(0, 4, 0), 1 + 2 + 3 + 4);
  EXPECT_DOUBLE_EQ(visible_cells(10, 3, 0), 11 + 12 + 13);
  EXPECT_DOUBLE_EQ(visible_cells(0, 5, 3), 1 + 2 + 3 + 3 + 3);
  EXPECT_DOUBLE_EQ(visible_cells(2, 4, 4), 3 + 4 + 4 + 4);
  EXPECT_DOUBLE_EQ(visible_cells(100, 4, 4), 16);
}

TEST(ClassFactors, AreTheProductOfAllRowsThatMatch) {
  std::vector<hwdb::SpeedFactorRow> rows(5);
  rows[0].id = "any", rows[0].read = 0.8, rows[0].product_s = 1e-5;
  rows[1].id = "cuda", rows[1].backend = "cuda", rows[1].read = 0.9;
  rows[2].id = "ada", rows[2].backend = "cuda", rows[2].arch = "Ada", rows[2].read = 0.5;
  rows[3].id = "laptop", rows[3].form = "laptop", rows[3].product_s = 2;
  rows[4].id = "q4", rows[4].backend = "cuda", rows[4].tensor_type = "Q4_0", rows[4].matmul = 1.5;
  const DeviceFactors ada = factors_of(rows, {"llama.cpp", "cuda", "NVIDIA", "Ada", "laptop"});
  EXPECT_DOUBLE_EQ(ada.read, 0.8 * 0.9 * 0.5);
  EXPECT_DOUBLE_EQ(ada.product_s, 2e-5);
  EXPECT_DOUBLE_EQ(ada.of(hwdb::tensor_type("Q4_0")).matmul, 1.5);
  EXPECT_DOUBLE_EQ(ada.of(hwdb::tensor_type("Q4_1")).matmul, 1);
  EXPECT_DOUBLE_EQ(ada.matmul, DeviceFactors{}.matmul);  // no row says one
  const DeviceFactors other = factors_of(rows, {"llama.cpp", "vulkan", "AMD", "RDNA", "discrete"});
  EXPECT_DOUBLE_EQ(other.read, 0.8);
  const ClassFactors classes(&rows);
  EXPECT_EQ(&classes.of({"llama.cpp", "cuda", "", "", ""}),
            &classes.of({"llama.cpp", "cuda", "", "", ""}));
  EXPECT_DOUBLE_EQ(classes.of({"llama.cpp", "cuda", "", "", ""}).read, 0.8 * 0.9);
}

TEST(ClassOf, ProcessorsByTheirWidestVectorUnit) {
  auto machine = host();
  EXPECT_EQ(cpu_class_of("tokwatt", machine).arch, "avx2");
  EXPECT_EQ(cpu_class_of("tokwatt", machine).vendor, "Acme");
  machine.cpu.isa.push_back("avx512f");
  EXPECT_EQ(cpu_class_of("tokwatt", machine).arch, "avx512");
  machine.form = "board";
  EXPECT_EQ(cpu_class_of("tokwatt", machine).form, "board");
}

TEST(CpuPeak, FromCoresAndTheWidestUnit) {
  auto machine = host();
  bool assumed = false;
  EXPECT_DOUBLE_EQ(cpu_peak(machine, &assumed).value, 8 * 32 * 3e9);
  EXPECT_TRUE(assumed);
  machine.cpu.isa.push_back("avx512f");
  EXPECT_DOUBLE_EQ(cpu_peak(machine, &assumed).value, 8 * 64 * 3e9);
  machine.cpu.peak_fp32 = {hwdb::FlopsPerSecond(1e12), hwdb::Basis::measured, "test", ""};
  EXPECT_DOUBLE_EQ(cpu_peak(machine, &assumed).value, 1e12);
  EXPECT_FALSE(assumed);
}

}  // namespace
}  // namespace planner
