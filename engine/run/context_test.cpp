// SPDX-License-Identifier: MIT
#include "engine/run/context.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/model/run_traits.h"
#include "engine/synth/testing/tiny_model.h"
#include "hwdb/testing/temp_folder.h"

namespace engine {
namespace {

/// Tokens that repeat nowhere soon.
std::vector<BatchToken> prompt(std::uint32_t n, std::uint32_t sequence = 0) {
  std::vector<BatchToken> batch;
  for (std::uint32_t i = 0; i < n; ++i) {
    batch.push_back({static_cast<TokenId>((37 * i + 11 * sequence + 5) % 500), sequence, true});
  }
  return batch;
}

struct Setting {
  unsigned n_threads = 2;
  std::uint32_t n_ubatch = 512;
  WeightStorage storage = WeightStorage::repacked;
};

class ContextTest : public ::testing::Test {
 protected:
  void write(const std::string& model, const std::string& preset) {
    path_ = folder_.file(model + "-" + preset + ".gguf");
    testing::write_tiny_model(model, preset, path_);
  }
  void open(const Setting& setting, std::uint32_t n_ctx, std::uint32_t n_seq = 1) {
    context_.reset();
    model_.reset();
    pool_ = std::make_unique<ThreadPool>(setting.n_threads);
    ModelOptions how;
    how.storage = setting.storage;
    auto model = Model::open(path_, *pool_, how);
    ASSERT_TRUE(model) << model.error().code << ": " << model.error().what;
    model_ = *std::move(model);
    ContextOptions options;
    options.n_ctx = n_ctx;
    options.n_seq = n_seq;
    options.n_ubatch = setting.n_ubatch;
    auto context = Context::make(*model_, *pool_, options);
    ASSERT_TRUE(context) << context.error().code << ": " << context.error().what;
    context_ = *std::move(context);
  }
  std::vector<float> logits_of(std::span<const BatchToken> batch) {
    const auto status = context_->decode(batch);
    EXPECT_TRUE(status) << status.error().code << ": " << status.error().what;
    std::vector<float> all;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto row = context_->logits(i);
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  }
  /// The largest difference in units of the largest logit.
  static double distance(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      difference = std::max<double>(difference, std::fabs(a[i] - b[i]));
      largest = std::max<double>(largest, std::fabs(a[i]));
    }
    EXPECT_GT(largest, 1) << "these logits say nothing";
    return difference / largest;
  }

  hwdb::testing::TempFolder folder_;
  std::string path_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Context> context_;
};

struct Case {
  const char* model;
  const char* preset;
};

class ContextOf : public ContextTest, public ::testing::WithParamInterface<Case> {};

// 90 tokens are more than three windows of the tiny models, so rings wrap.
TEST_P(ContextOf, DoesNotDependOnThreadsPassesOrStorage) {
  write(GetParam().model, GetParam().preset);
  const auto batch = prompt(90);
  open({}, 128);
  const std::vector<float> expected = logits_of(batch);
  for (const Setting& setting :
       {Setting{.n_threads = 1}, Setting{.n_threads = 3}, Setting{.n_ubatch = 7},
        Setting{.n_ubatch = 1}, Setting{.storage = WeightStorage::mapped}}) {
    open(setting, 128);
    EXPECT_LE(distance(expected, logits_of(batch)), 1e-5)
        << setting.n_threads << " threads, passes of " << setting.n_ubatch;
  }
}

TEST_P(ContextOf, SequencesSideBySideAreAsAlone) {
  write(GetParam().model, GetParam().preset);
  open({}, 96, 3);
  std::vector<std::vector<float>> alone;
  for (std::uint32_t s = 0; s < 3; ++s) {
    alone.push_back(logits_of(prompt(30 + 20 * s, s)));
  }
  for (std::uint32_t s = 0; s < 3; ++s) ASSERT_TRUE(context_->truncate(s, 0));
  // Mixed: first what differs in length, then one token of each in turn.
  std::vector<std::vector<BatchToken>> prompts;
  for (std::uint32_t s = 0; s < 3; ++s) prompts.push_back(prompt(30 + 20 * s, s));
  std::vector<std::vector<float>> mixed(3);
  std::vector<BatchToken> batch;
  for (std::uint32_t s = 0; s < 3; ++s) {
    batch.insert(batch.end(), prompts[s].begin(), prompts[s].begin() + 10 + 20 * s);
  }
  const auto keep = [&](const std::vector<float>& logits) {
    const std::size_t n_vocab = logits.size() / batch.size();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      auto& to = mixed[batch[i].sequence];
      to.insert(to.end(), logits.begin() + static_cast<std::ptrdiff_t>(i * n_vocab),
                logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * n_vocab));
    }
  };
  keep(logits_of(batch));
  for (std::uint32_t i = 0; i < 20; ++i) {
    batch.clear();
    for (std::uint32_t s = 0; s < 3; ++s) batch.push_back(prompts[s][10 + 20 * s + i]);
    keep(logits_of(batch));
  }
  for (std::uint32_t s = 0; s < 3; ++s) EXPECT_LE(distance(alone[s], mixed[s]), 1e-5) << s;
}

INSTANTIATE_TEST_SUITE_P(Architectures, ContextOf,
                         ::testing::Values(Case{"llama-3.2-1b", "Q4_K_M"},
                                           Case{"qwen2.5-0.5b", "Q8_0"}, Case{"gemma-2-2b", "Q4_0"},
                                           Case{"gemma-3-1b", "Q6_K"},
                                           Case{"gpt-oss-20b", "MXFP4_MOE"},
                                           Case{"mixtral-8x7b", "Q3_K_M"},
                                           Case{"deepseek-v2-lite", "Q5_K_M"}, Case{"gpt2", "F16"}),
                         [](const ::testing::TestParamInfo<Case>& tested) {
                           std::string name = tested.param.model;
                           std::ranges::replace_if(
                               name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
                           return name;
                         });

TEST_F(ContextTest, RefusesWhatDoesNotFitAndGoesOn) {
  write("llama-3.2-1b", "Q8_0");
  open({}, 256);
  const auto full = context_->decode(prompt(257));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, "run.context_full");
  EXPECT_EQ(context_->length(0), 0u);
  const BatchToken outside{512, 0, true}, negative{-1, 0, true}, elsewhere{1, 1, true};
  for (const BatchToken& token : {outside, negative, elsewhere}) {
    const auto refused = context_->decode({&token, 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "run.token");
  }
  ASSERT_TRUE(context_->decode(prompt(256)));
  EXPECT_EQ(context_->length(0), 256u);
  const auto one_more = context_->decode(prompt(1));
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, "run.context_full");
}

TEST_F(ContextTest, TakesUpATruncatedSequence) {
  write("llama-3.2-1b", "Q8_0");
  open({}, 128);
  const auto batch = prompt(40);
  const std::vector<float> expected = logits_of(batch);
  ASSERT_TRUE(context_->truncate(0, 25));
  EXPECT_EQ(context_->length(0), 25u);
  const std::vector<float> again = logits_of(std::span(batch).subspan(25));
  const std::size_t n = again.size();
  EXPECT_LE(distance({expected.end() - static_cast<std::ptrdiff_t>(n), expected.end()}, again),
            1e-5);
}

TEST_F(ContextTest, DoesNotTakeUpWhatAWindowForgot) {
  write("gemma-3-1b", "Q8_0");
  open({}, 128);
  ASSERT_TRUE(context_->decode(prompt(60)));
  const auto refused = context_->truncate(0, 50);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "run.window");
  EXPECT_TRUE(context_->truncate(0, 0));
}

TEST_F(ContextTest, StopsWhenTold) {
  write("llama-3.2-1b", "Q8_0");
  open({}, 128);
  std::atomic<bool> cancel = true;
  ContextOptions options;
  options.n_ctx = 128;
  options.cancel = &cancel;
  auto context = Context::make(*model_, *pool_, options);
  ASSERT_TRUE(context);
  const auto stopped = (*context)->decode(prompt(10));
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, "run.interrupted");
  EXPECT_EQ((*context)->length(0), 0u);
}

// A cache of fewer bits moves logits a little, in the order of its bits.
TEST_F(ContextTest, CacheTypesDifferByTheirRounding) {
  write("llama-3.2-1b", "F16");
  open({}, 128);
  const auto batch = prompt(60);
  std::vector<double> distances;
  std::vector<float> exact;
  for (const char* type : {"F32", "F16", "BF16", "Q8_0", "Q4_0"}) {
    ContextOptions options;
    options.n_ctx = 128;
    options.type_k = options.type_v = hwdb::tensor_type(type);
    auto context = Context::make(*model_, *pool_, options);
    ASSERT_TRUE(context) << type << ": " << context.error().what;
    context_ = *std::move(context);
    const std::vector<float> logits = logits_of(batch);
    if (exact.empty()) exact = logits;
    distances.push_back(distance(exact, logits));
  }
  EXPECT_LT(distances[1], 2e-3);
  EXPECT_LT(distances[1], distances[2]);
  EXPECT_LT(distances[2], 0.02);
  EXPECT_LT(distances[3], 0.05);
  EXPECT_LT(distances[3], distances[4]);
  EXPECT_LT(distances[4], 0.5);
  ContextOptions odd;
  odd.type_k = hwdb::tensor_type("Q5_1");
  const auto refused = Context::make(*model_, *pool_, odd);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "cache.type");
}

// One model of the catalogue for each architecture that has a row of traits.
TEST_F(ContextTest, EveryArchitectureRuns) {
  std::set<std::string> seen;
  for (const hwdb::ModelRow& row : hwdb::Catalog::builtin().models()) {
    const std::string& architecture = row.shape.architecture;
    if (find_run_traits(architecture) == nullptr || !seen.insert(architecture).second) continue;
    SCOPED_TRACE(row.id + " (" + architecture + ")");
    write(row.id, "F16");
    open({}, 64);
    if (::testing::Test::HasFatalFailure()) return;
    const std::vector<float> logits = logits_of(prompt(5));
    EXPECT_TRUE(std::ranges::all_of(logits, [](float x) { return std::isfinite(x); }));
  }
  EXPECT_GT(seen.size(), 40u);
}

}  // namespace
}  // namespace engine
