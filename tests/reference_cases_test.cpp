// SPDX-License-Identifier: MIT
// Cases whose outcome is known from published figures: what people ask first, and what a planner
// must not get wrong.
#include <gtest/gtest.h>

#include <algorithm>

#include "planner/fit.h"
#include "tests/ask.h"

namespace tests {
namespace {

using planner::Fits;

constexpr double kGB = 1e9;

double file_gb(const std::string& model, const std::string& quant) {
  return ask(model, quant, "RTX 4090")->plan.file_size.as_double() / kGB;
}

bool on_gpu(const Answer& answer) {
  return answer.plan.memory.fits == Fits::gpu || answer.plan.memory.fits == Fits::gpu_tight;
}

TEST(Weights, Llama3) {
  EXPECT_NEAR(file_gb("llama-3-8b", "F16"), 16.1, 0.2);
  EXPECT_NEAR(file_gb("llama-3-8b", "Q8_0") / file_gb("llama-3-8b", "F16"), 0.53, 0.02);
  EXPECT_NEAR(file_gb("llama-3-70b", "F16"), 141, 1);
}

TEST(Weights, DeepSeekR1) {
  EXPECT_NEAR(file_gb("deepseek-r1-671b", "Q4_K_M"), 404, 4);
  EXPECT_NEAR(file_gb("deepseek-r1-671b", "Q6_K"), 551, 5);
  EXPECT_NEAR(file_gb("deepseek-r1-671b", "Q8_0"), 713, 7);
}

TEST(Fit, Llama3With70BNeedsTwoLargeCards) {
  EXPECT_FALSE(on_gpu(*ask("llama-3-70b", "F16", "H100 80GB")));
  EXPECT_TRUE(on_gpu(*ask("llama-3-70b", "F16", "2x H100 80GB")));
}

TEST(Fit, Llama3With70BFitsNo24GBCardAtFourBits) {
  for (const char* quant : {"Q4_0", "Q4_1", "Q4_K_S", "Q4_K_M", "IQ4_XS", "IQ4_NL"}) {
    EXPECT_FALSE(on_gpu(*ask("llama-3-70b", quant, "RTX 4090"))) << quant;
  }
}

TEST(Fit, WhatTheSmallestFourBitPresetTakesOnOneCard) {
  const auto needed_gib = [](const char* model, std::uint64_t n_ctx) {
    const auto answer =
        ask(model, "IQ4_XS", "gpu:vram=512GiB,bw=1000GB/s,fp16=100T,tdp=400W", n_ctx);
    const hwdb::Bytes card = answer->plan.memory.devices[0].total() + answer->plan.memory.margin;
    return card.as_double() / hwdb::kGiB;
  };
  EXPECT_GT(needed_gib("llama-3-70b", 4096), 36);
  EXPECT_LT(needed_gib("llama-3-70b", 4096), 48);
  EXPECT_GT(needed_gib("gpt3-175b", 2048), 85);
  EXPECT_LT(needed_gib("gpt3-175b", 2048), 120);
  EXPECT_TRUE(on_gpu(*ask("llama-3-70b", "IQ4_XS", "2x RTX 4090")));
}

TEST(Fit, A7900XtxHoldsGemma27BAndQwenCoder32B) {
  const auto gemma = ask("gemma-3-27b", "Q4_0", "RX 7900 XTX");
  EXPECT_TRUE(on_gpu(*gemma));
  EXPECT_GT(gemma->plan.speed.decode_tok_per_s.likely, 30);
  EXPECT_GE(planner::largest_context(inputs_of(*gemma), Fits::gpu, 131072), 8192u);
  const auto coder = ask("qwen2.5-coder-32b", "Q4_K_M", "RX 7900 XTX");
  EXPECT_TRUE(on_gpu(*coder));
  EXPECT_GE(planner::largest_context(inputs_of(*coder), Fits::gpu_tight, 131072), 8192u);
}

TEST(Fit, RanksBothOnA7900Xtx) {
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  const auto machine = planner::machine_from_words(catalog, "RX 7900 XTX");
  ASSERT_TRUE(machine);
  planner::FitRequest request;
  request.workload = *planner::workload_for("code");
  const planner::FitResult result = planner::rank_models(catalog, *machine, nullptr, request);
  const auto listed = [&](std::string_view id) {
    return std::ranges::any_of(result.rows,
                               [&](const planner::FitRow& row) { return row.model->id == id; });
  };
  EXPECT_TRUE(listed("gemma-3-27b"));
  EXPECT_TRUE(listed("qwen2.5-coder-32b"));
}

TEST(Speed, ReadingAllWeightsOnceTakesBytesOverBandwidth) {
  // 140 GB at the 120 GB/s of a Core Ultra 7 165H is more than a second; an RTX 4090 reads about
  // eight times faster.
  const auto laptop = ask("llama-3-70b", "F16", "Core Ultra 7 165H + 192GB");
  double seconds = 0;
  for (const auto& term : laptop->plan.speed.decode_terms) seconds += term.seconds;
  EXPECT_GT(seconds, 1.0);
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  const double ratio = *(*catalog.find_gpu("RTX 4090"))->mem_bw_bytes_per_s /
                       *(*catalog.find_cpu("Core Ultra 7 165H"))->mem_bw_bytes_per_s;
  EXPECT_NEAR(ratio, 8.4, 0.5);
}

TEST(Speed, ThreeGenerationsOfTheLargestGeForce) {
  const auto decode = [](const char* card) {
    return ask("llama-3.1-8b", "Q4_K_M", card)->plan.speed.decode_tok_per_s.likely;
  };
  const double rtx3090 = decode("RTX 3090"), rtx4090 = decode("RTX 4090"),
               rtx5090 = decode("RTX 5090");
  EXPECT_GT(rtx4090 / rtx3090, 1.0);
  EXPECT_LT(rtx4090 / rtx3090, 1.35);  // bandwidth 1008 against 936 GB/s
  EXPECT_GT(rtx5090 / rtx3090, 1.5);
  EXPECT_LT(rtx5090 / rtx3090, 3.0);
}

TEST(Sizes, OldAndSmallModels) {
  EXPECT_NEAR(file_gb("gpt2-xl", "F16"), 3.2, 0.3);  // 1.56 G parameters
  EXPECT_NEAR(file_gb("gpt3-175b", "F16"), 350, 5);  // 175 G parameters
  const auto phone = ask("openelm-3b", "Q4_K_M", "iPhone 15 Pro");
  EXPECT_NE(phone->plan.memory.fits, Fits::no);
  EXPECT_EQ(ask("gpt3-175b", "Q4_K_M", "RTX 4090, 64GB")->plan.memory.fits, Fits::no);
}

}  // namespace
}  // namespace tests
