// SPDX-License-Identifier: MIT
#include "engine/run/bench.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/run/testing/table_model.h"

namespace engine {
namespace {

using testing::TableModel;

TableModel model_of(std::size_t n_vocab) {
  return TableModel(std::vector<std::vector<float>>(n_vocab, std::vector<float>(n_vocab)));
}

/// Tokens of one call by sequence.
std::vector<TokenId> tokens_of(const std::vector<BatchToken>& call) {
  std::vector<TokenId> out;
  for (const BatchToken& token : call) out.push_back(token.token);
  return out;
}

TEST(Bench, APromptIsWarmedUpOnceAndRunAsOftenAsAsked) {
  TableModel model = model_of(1000);
  BenchOptions options;
  options.repetitions = 3;
  options.bos = 1;
  std::vector<std::uint32_t> told;
  options.on_run = [&](std::uint32_t done, std::uint32_t of) {
    EXPECT_EQ(of, 4u);
    told.push_back(done);
  };
  const BenchTest test{.n_prompt = 100, .n_batch = 64};
  const auto result = run_bench(model, test, options);
  ASSERT_TRUE(result);
  EXPECT_EQ(told, (std::vector<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(result->samples_ns.size(), 3u);
  EXPECT_GT(result->warm_up_ns, 0u);
  EXPECT_FALSE(result->interrupted);
  // 64 and 36 tokens, four times over, the same ones each time.
  ASSERT_EQ(model.calls.size(), 8u);
  EXPECT_EQ(model.calls[0].size(), 64u);
  EXPECT_EQ(model.calls[1].size(), 36u);
  EXPECT_EQ(tokens_of(model.calls[2]), tokens_of(model.calls[0]));
  EXPECT_EQ(tokens_of(model.calls[7]), tokens_of(model.calls[1]));
  EXPECT_EQ(model.calls[0].front().token, 1);
  EXPECT_NE(tokens_of(model.calls[0]), std::vector<TokenId>(64, model.calls[0].front().token));
  // Logits are asked for as llama-bench does: those of the last token of a call.
  EXPECT_TRUE(model.calls[0].back().wants_logits);
  EXPECT_FALSE(model.calls[0].front().wants_logits);
  // Counts are those of one run, without the warm-up.
  EXPECT_DOUBLE_EQ(result->counts.weight_bytes_read, 2000);
  EXPECT_DOUBLE_EQ(result->counts.flops, 100);
}

TEST(Bench, AnAnswerIsOneTokenAStepForEverySequence) {
  TableModel model = model_of(50);
  const BenchTest test{.n_gen = 5, .n_seq = 3};
  BenchOptions options;
  options.repetitions = 2;
  const auto result = run_bench(model, test, options);
  ASSERT_TRUE(result);
  EXPECT_EQ(test.n_tokens(), 15u);
  ASSERT_EQ(model.calls.size(), 11u);  // one step to warm up
  for (const auto& call : model.calls) {
    ASSERT_EQ(call.size(), 3u);
    for (std::uint32_t s = 0; s < 3; ++s) {
      EXPECT_EQ(call[s].sequence, s);
      EXPECT_TRUE(call[s].wants_logits);
    }
  }
  for (const auto& [sequence, tokens] : model.sequences) EXPECT_EQ(tokens.size(), 5u);
}

TEST(Bench, TheDepthIsFilledOnceAndNotTimedOrCounted) {
  for (const bool keeps_past : {true, false}) {
    TableModel model = model_of(50);
    model.keeps_past = keeps_past;
    const BenchTest test{.n_gen = 4, .n_depth = 10};
    BenchOptions options;
    options.repetitions = 3;
    options.warm_up = false;
    options.bos = 2;
    const auto result = run_bench(model, test, options);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->warm_up_ns, 0u);
    EXPECT_DOUBLE_EQ(result->counts.flops, 4);
    EXPECT_EQ(model.sequences[0].size(), 14u);
    EXPECT_EQ(model.sequences[0].front(), 2);
    // With a window that has forgotten the past it is filled each time anew.
    EXPECT_EQ(model.calls.size(), keeps_past ? 1 + 3 * 4u : 3 * 5u);
    // The answer is the same one however the depth came about.
    EXPECT_EQ(model.calls[model.calls.size() - 4].front().token, model.calls[1].front().token);
  }
}

TEST(Bench, AnInterruptKeepsTheRunsThatAreDone) {
  TableModel model = model_of(50);
  model.fail_at_call = 5;  // of: 1 to warm up, then 4 a run
  const BenchTest test{.n_gen = 4};
  const auto result = run_bench(model, test, {});
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->interrupted);
  EXPECT_EQ(result->samples_ns.size(), 1u);
  model = model_of(50);
  model.fail_at_call = 2;
  model.failure = "run.context_full";
  const auto failed = run_bench(model, test, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "run.context_full");
}

}  // namespace
}  // namespace engine
