// SPDX-License-Identifier: MIT
// A real trained model of 260 thousand parameters in six formats, against what llama.cpp says of
// it. The files are no part of the repository: see hwdb/testing/shared_facts.h.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "engine/run/context.h"
#include "engine/run/perplexity.h"
#include "engine/run/sampler.h"
#include "hwdb/testing/shared_facts.h"

namespace {

using Tokens = std::vector<engine::TokenId>;

const Tokens kPrompt = {1, 403, 407, 261, 378};
const Tokens kGreedy = {432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401,
                        396, 267, 337, 410, 408, 419, 292, 411, 322, 265, 282, 295, 433,
                        426, 385, 328, 432, 358, 394, 261, 370, 432, 352, 266, 268, 388,
                        426, 338, 391, 266, 267, 337, 335, 312, 432, 398, 312, 286, 267,
                        414, 270, 333, 415, 426, 13,  438, 310, 439, 419, 357, 336};
// With Q4_0 the story takes another turn at the 24th token.
const Tokens kGreedyQ4 = {432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426, 338, 401,
                          396, 267, 337, 410, 408, 419, 292, 411, 322, 265, 262, 379, 426,
                          385, 328, 432, 358, 263, 377, 267, 265, 282, 295, 433, 335, 311,
                          357, 343, 269, 279, 380, 418, 422, 432, 398, 358, 286, 399, 393,
                          426, 13,  438, 310, 439, 419, 357, 343, 267, 341, 311, 267};

/// One file and what llama.cpp says of it. In quantized files both programs round activations to 8
/// bits, in a model so narrow that the last bit of a cached key moves a logit by a tenth:
/// llama.cpp's own variants are 0.3 % of perplexity apart.
struct Story {
  const char* name;
  bool floats;        // weights that are computed with as they are
  double first_ln_p;  // of the first new token
  double sum_ln_p;    // of all 64
  double perplexity;  // of tiny_models_text.txt, chunks of 128
  double exact;       // the same when the weights are decoded to F32 first, so that only their
                      // rounding counts and not that of activations
};
constexpr Story kStories[] = {
    {"stories260K.gguf", true, -0.03175, -28.61429, 3.9403, 3.9403},
    {"stories260K-f16.gguf", true, -0.03180, -28.61591, 3.9393, 3.9393},
    {"stories260K-Q8_0.gguf", false, -0.03057, -28.81029, 3.9531, 3.9406},
    {"stories260K-Q5_0.gguf", false, -0.03640, -28.86721, 4.0341, 4.0274},
    {"stories260K-Q4_0.gguf", false, -0.04622, -26.24080, 4.1287, 4.1336},
    {"stories260K-Q4_K_M.gguf", false, -0.03666, -28.82061, 4.0176, 4.0069},
};

class Stories : public testing::TestWithParam<Story> {
 protected:
  void SetUp() override {
    const std::string path = hwdb::testing::shared_fact(GetParam().name);
    if (path.empty()) GTEST_SKIP() << "the model files are not here";
    auto opened = engine::Model::open(path, pool_, {});
    ASSERT_TRUE(opened) << opened.error().what;
    model_ = *std::move(opened);
  }
  std::unique_ptr<engine::Context> context(const char* cache) {
    engine::ContextOptions how;
    how.n_ctx = 128;
    how.type_k = how.type_v = hwdb::tensor_type(cache);
    auto made = engine::Context::make(*model_, pool_, how);
    EXPECT_TRUE(made) << made.error().what;
    return made ? *std::move(made) : nullptr;
  }

  engine::ThreadPool pool_{2};
  std::unique_ptr<engine::Model> model_;
};

TEST_P(Stories, TellsTheSameStory) {
  const Story& story = GetParam();
  ASSERT_NE(model_->tokenizer(), nullptr);
  const Tokens prompt = model_->tokenizer()->encode("Once upon a time", {});
  EXPECT_EQ(prompt, kPrompt);
  const auto run = context("F16");
  std::vector<engine::BatchToken> batch;
  for (const engine::TokenId token : prompt) batch.push_back({token, 0, false});
  batch.back().wants_logits = true;
  const bool q4 = std::string(story.name).find("Q4_0") != std::string::npos;
  double sum = 0;
  int others = 0;
  // Along llama.cpp's story, so that one close call does not make all that follows another one.
  for (const engine::TokenId expected : q4 ? kGreedyQ4 : kGreedy) {
    ASSERT_TRUE(run->decode(batch));
    const auto logits = run->logits(0);
    const double ln_p = engine::log_probability(logits, expected);
    if (batch.size() > 1) {
      EXPECT_NEAR(ln_p, story.first_ln_p, story.floats ? 2e-4 : 5e-3);
    }
    sum += ln_p;
    const engine::TokenId chosen = engine::greedy_token(logits);
    if (chosen != expected) {
      ++others;
      EXPECT_LT(engine::log_probability(logits, chosen) - ln_p, 0.25) << chosen;
    }
    batch = {{expected, 0, true}};
  }
  // With the weights of Q4_0 decoded to F32 there is one, too: it is llama.cpp that rounds to the
  // other side.
  EXPECT_LE(others, q4 ? 1 : 0);
  EXPECT_NEAR(sum, story.sum_ln_p, story.floats ? 0.02 : 0.005 * 64);
}

TEST_P(Stories, IsAsGoodAtATextAsItShouldBe) {
  const Story& story = GetParam();
  const std::string path = hwdb::testing::shared_fact("tiny_models_text.txt");
  ASSERT_FALSE(path.empty());
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::string whole = text.str();
  if (whole.ends_with('\n')) whole.pop_back();
  const Tokens tokens = model_->tokenizer()->encode(whole, {});
  EXPECT_EQ(tokens.size(), 759u);
  const auto run = context("F32");
  engine::ContextModel scored(*model_, *run);
  const auto result = engine::measure_perplexity(scored, pool_, tokens,
                                                 {.n_ctx = 128, .bos = model_->tokenizer()->bos()});
  ASSERT_TRUE(result) << result.error().what;
  EXPECT_EQ(result->n_scored, 315u);
  const double got = result->perplexity.value;
  const double tolerance = story.floats ? 0.002 : 0.005 * story.perplexity;
  EXPECT_NEAR(got, story.perplexity, tolerance);
  EXPECT_NEAR(got, story.exact, tolerance);
  // llama-perplexity says 0.40967 of the first.
  if (std::string(story.name) == "stories260K.gguf") {
    EXPECT_NEAR(result->perplexity.error, 0.40967, 5e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Stories, testing::ValuesIn(kStories), [](const auto& test) {
  std::string name = test.param.name;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
});

}  // namespace
