// SPDX-License-Identifier: MIT
#include "engine/run/generation.h"

#include <gtest/gtest.h>

#include "engine/run/testing/table_model.h"
#include "engine/tokenizer/testing/tiny_vocab.h"

namespace engine {
namespace {

/// A tokenizer and a model in which each token is followed by the one that the table says.
class GenerationTest : public ::testing::Test {
 protected:
  GenerationTest() : tokenizer_(*testing::open_bytes(build_file(testing::tiny_bpe()))) {}

  testing::TableModel model_of(const std::vector<std::pair<TokenId, TokenId>>& next) const {
    const std::size_t n = tokenizer_.n_tokens();
    std::vector<std::vector<float>> rows(n, std::vector<float>(n, 0.0f));
    for (const auto& [token, follower] : next) {
      rows[static_cast<std::size_t>(token)][static_cast<std::size_t>(follower)] = 5.0f;
    }
    return testing::TableModel(std::move(rows));
  }
  std::vector<TokenId> tokens_of(std::string_view text) const {
    return tokenizer_.encode(text, {.add_special = false});
  }
  static GenerationOptions greedy() {
    GenerationOptions options;
    options.sampler.temperature = 0;
    return options;
  }

  Tokenizer tokenizer_;
};

TEST_F(GenerationTest, AnswersUntilTheEndToken) {
  auto model = model_of({{'?', 'a'}, {'a', 'b'}, {'b', *tokenizer_.eos()}});
  GenerationOptions options = greedy();
  options.n_batch = 2;
  std::string streamed;
  std::vector<std::size_t> done;
  options.on_text = [&](std::string_view text) { streamed += text; };
  options.on_prompt = [&](std::size_t n) { done.push_back(n); };
  const auto answer = generate(model, tokenizer_, tokens_of("xyz!?"), options);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "ab");
  EXPECT_EQ(streamed, "ab");
  EXPECT_EQ(answer->tokens, (std::vector<TokenId>{'a', 'b'}));
  EXPECT_EQ(answer->stop, StopReason::answer_ended);
  EXPECT_EQ(answer->n_prefill, 5u);
  EXPECT_EQ(answer->n_decode, 2u);
  EXPECT_EQ(done, (std::vector<std::size_t>{2, 4, 5}));
  // Three calls for the prompt, of which only the last wants logits, then one for each token.
  ASSERT_EQ(model.calls.size(), 5u);
  EXPECT_FALSE(model.calls[0][1].wants_logits);
  EXPECT_FALSE(model.calls[1][1].wants_logits);
  EXPECT_TRUE(model.calls[2][0].wants_logits);
  EXPECT_EQ(answer->prefill.weight_bytes_read, 3000);
  EXPECT_EQ(answer->decode.weight_bytes_read, 2000);
}

TEST_F(GenerationTest, StopsAtTheLimitWithoutRunningTheLastToken) {
  auto model = model_of({{'a', 'a'}});
  GenerationOptions options = greedy();
  options.n_tokens = 3;
  const auto answer = generate(model, tokenizer_, tokens_of("a"), options);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "aaa");
  EXPECT_EQ(answer->stop, StopReason::token_limit);
  EXPECT_EQ(answer->n_decode, 2u);
  options.n_tokens = 0;
  auto again = model_of({{'a', 'a'}});
  EXPECT_EQ(generate(again, tokenizer_, tokens_of("a"), options)->text, "");
  EXPECT_EQ(again.n_calls, 1);
}

TEST_F(GenerationTest, KeepsWhatThereIsWhenTheContextIsFullOrAskedToEnd) {
  for (const auto& [code, reason] : {std::pair{"run.context_full", StopReason::context_full},
                                     std::pair{"run.interrupted", StopReason::interrupted}}) {
    auto model = model_of({{'a', 'a'}});
    model.failure = code;
    model.fail_at_call = 3;
    const auto answer = generate(model, tokenizer_, tokens_of("a"), greedy());
    ASSERT_TRUE(answer) << code;
    EXPECT_EQ(answer->text, "aaa");
    EXPECT_EQ(answer->stop, reason);
    EXPECT_EQ(answer->full.has_value(), reason == StopReason::context_full);
    EXPECT_EQ(to_string(answer->stop), std::string_view(code).substr(4));
  }
}

TEST_F(GenerationTest, FailuresOfThePrompt) {
  auto model = model_of({});
  model.failure = "run.context_full";
  model.fail_at_call = 0;
  EXPECT_EQ(generate(model, tokenizer_, tokens_of("a"), {}).error().code, "run.context_full");
  auto interrupted = model_of({});
  interrupted.fail_at_call = 0;
  const auto answer = generate(interrupted, tokenizer_, tokens_of("a"), {});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->stop, StopReason::interrupted);
  EXPECT_EQ(answer->n_prefill, 0u);
  auto broken = model_of({{'a', 'a'}});
  broken.failure = "run.token";
  broken.fail_at_call = 1;
  EXPECT_EQ(generate(broken, tokenizer_, tokens_of("a"), greedy()).error().code, "run.token");
  EXPECT_EQ(generate(broken, tokenizer_, {}, greedy()).error().code, "usage.text");
}

TEST_F(GenerationTest, CutCharactersComeAtTheEnd) {
  // The first byte of a character, then the answer ends.
  auto model = model_of({{'a', 0xE6}, {0xE6, *tokenizer_.eos()}});
  std::string streamed;
  GenerationOptions options = greedy();
  options.on_text = [&](std::string_view text) { streamed += text; };
  const auto answer = generate(model, tokenizer_, tokens_of("a"), options);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "\xEF\xBF\xBD");
  EXPECT_EQ(streamed, answer->text);
}

TEST_F(GenerationTest, RepetitionCountsThePromptAndTheAnswer) {
  std::vector<float> row(tokenizer_.n_tokens(), -50.0f);
  row['a'] = row['b'] = 5.0f;
  row['c'] = 4.0f;
  testing::TableModel model(std::vector<std::vector<float>>(tokenizer_.n_tokens(), row));
  GenerationOptions options = greedy();
  options.sampler.repeat_penalty = 2;
  options.n_tokens = 3;
  // a stood in the prompt and counts 2.5, as b does once it was chosen; then c counts 2.
  EXPECT_EQ(generate(model, tokenizer_, tokens_of("a"), options)->text, "bca");
}

}  // namespace
}  // namespace engine
