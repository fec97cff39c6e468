// SPDX-License-Identifier: MIT
#include "engine/run/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/run/testing/table_model.h"

namespace engine {
namespace {

using testing::TableModel;
using Row = std::vector<float>;

Row logs(std::initializer_list<double> probabilities) {
  Row row;
  // Any constant may be added to logits.
  for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p) + 3));
  return row;
}

/// After token 0 come 0 and 1 evenly, after 1 comes 0 in three of four cases.
const std::vector<Row> kTable = {logs({0.5, 0.5}), logs({0.75, 0.25})};
/// The same, but surer of itself after 1.
const std::vector<Row> kSurer = {logs({0.5, 0.5}), logs({0.875, 0.125})};

TEST(Perplexity, OfAModelThatKnowsNothingIsTheSizeOfItsVocabulary) {
  TableModel model(std::vector<Row>(7, Row(7, -2.5f)));
  ThreadPool pool(2);
  const std::vector<TokenId> text = {1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5};
  const auto result = measure_perplexity(model, pool, text, {.n_ctx = 6});
  ASSERT_TRUE(result);
  EXPECT_NEAR(result->perplexity.value, 7, 1e-6);
  EXPECT_NEAR(result->perplexity.error, 0, 1e-6);
  EXPECT_EQ(result->n_chunks, 2u);
  EXPECT_EQ(result->n_run, 12u);
  // Positions 3 and 4 of each chunk predict those after them.
  EXPECT_EQ(result->n_scored, 4u);
}

TEST(Perplexity, OfKnownLogitsIsWorkedOutByHand) {
  TableModel model(kTable);
  ThreadPool pool(1);
  // Chunks of 8: 0 1 0 1 | 1 0 1 1 scores the steps 1->0, 0->1, 1->1.
  const std::vector<TokenId> text = {0, 1, 0, 1, 1, 0, 1, 1};
  const auto result = measure_perplexity(model, pool, text, {.n_ctx = 8});
  ASSERT_TRUE(result);
  const double a = -std::log(0.75), b = -std::log(0.5), c = -std::log(0.25);
  const double mean = (a + b + c) / 3;
  EXPECT_NEAR(result->nll.value, mean, 1e-6);
  EXPECT_NEAR(result->perplexity.value, std::exp(mean), 1e-6);
  const double variance = (a * a + b * b + c * c) / 3 - mean * mean;
  EXPECT_NEAR(result->perplexity.error, std::exp(mean) * std::sqrt(variance / 2), 1e-6);
}

TEST(Perplexity, ChunksBeginWithTheBeginTokenFromAnEmptyCache) {
  TableModel model(kTable);
  ThreadPool pool(1);
  std::vector<TokenId> text(759, 0);
  PerplexityOptions options{.n_ctx = 128, .bos = 1};
  std::vector<std::uint32_t> told;
  options.on_chunk = [&](std::uint32_t done, std::uint32_t of, double nll) {
    EXPECT_EQ(of, 5u);
    EXPECT_NEAR(nll, done == 0 ? 0 : -std::log(0.5), 1e-6);
    told.push_back(done);
  };
  const auto result = measure_perplexity(model, pool, text, options);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->n_scored, 5u * 63);
  EXPECT_EQ(told, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}));
  ASSERT_EQ(model.calls.size(), 5u);
  EXPECT_EQ(model.n_truncates, 5);
  for (const auto& call : model.calls) {
    ASSERT_EQ(call.size(), 128u);
    EXPECT_EQ(call[0].token, 1);
    EXPECT_EQ(call[1].token, 0);
    EXPECT_FALSE(call[63].wants_logits);
    EXPECT_TRUE(call[64].wants_logits);
    EXPECT_TRUE(call[126].wants_logits);
    EXPECT_FALSE(call[127].wants_logits);
  }
  options.n_chunks = 2;
  options.on_chunk = nullptr;
  EXPECT_EQ(measure_perplexity(model, pool, text, options)->n_chunks, 2u);
}

TEST(Perplexity, LargeVocabulariesAreScoredInParts) {
  // 4 MiB a distribution, so that 16 of them are held at a time.
  const std::size_t n_vocab = std::size_t{1} << 20;
  class OneRow final : public TokenModel {
   public:
    explicit OneRow(std::size_t n) : row_(n, 0.0f) {}
    hwdb::Status decode(std::span<const BatchToken> tokens) override {
      std::size_t wanted = 0;
      for (const BatchToken& token : tokens) wanted += token.wants_logits ? 1 : 0;
      most = std::max(most, wanted);
      all += wanted;
      return hwdb::Ok{};
    }
    std::span<const float> logits(std::size_t) const override { return row_; }
    hwdb::Status truncate(std::uint32_t, std::uint32_t) override { return hwdb::Ok{}; }
    const OpCounts& counts() const override { return counts_; }
    void reset_counts() override {}
    std::size_t n_vocab() const override { return row_.size(); }
    std::size_t most = 0, all = 0;

   private:
    Row row_;
    OpCounts counts_;
  } wide(n_vocab);
  ThreadPool pool(2);
  const auto result = measure_perplexity(wide, pool, std::vector<TokenId>(80, 5), {.n_ctx = 80});
  ASSERT_TRUE(result);
  EXPECT_EQ(wide.most, 16u);
  EXPECT_EQ(wide.all, 39u);
  EXPECT_NEAR(result->perplexity.value, static_cast<double>(n_vocab), 10);
}

TEST(Divergence, OfHandWorkedDistributions) {
  EXPECT_NEAR(divergence_of(logs({0.5, 0.5}), logs({0.5, 0.5})), 0, 1e-7);
  EXPECT_NEAR(divergence_of(logs({0.5, 0.5}), logs({0.25, 0.75})),
              0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-6);
  // It is not the same the other way round.
  EXPECT_NEAR(divergence_of(logs({0.25, 0.75}), logs({0.5, 0.5})),
              0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-6);
  // What the reference rules out adds nothing.
  EXPECT_NEAR(divergence_of(Row{0, -1e30f}, Row{0, 0}), std::log(2.0), 1e-6);
  EXPECT_NEAR(log_probability(logs({0.2, 0.8}), 1), std::log(0.8), 1e-6);
}

TEST(Divergence, OfTwoModelsOnOneText) {
  TableModel reference(kTable), model(kSurer);
  ThreadPool pool(2);
  const std::vector<TokenId> text = {0, 1, 0, 1, 1, 0, 1, 1};
  const auto result = measure_divergence(reference, model, pool, text, {.n_ctx = 8});
  ASSERT_TRUE(result);
  // Two of the three predictions are made after a 1.
  const double d = 0.75 * std::log(0.75 / 0.875) + 0.25 * std::log(0.25 / 0.125);
  EXPECT_NEAR(result->kld.value, 2 * d / 3, 1e-6);
  EXPECT_NEAR(result->kld_median, d, 1e-6);
  EXPECT_NEAR(result->kld_max, d, 1e-6);
  EXPECT_DOUBLE_EQ(result->same_top.value, 1);
  EXPECT_NEAR(result->reference.nll.value, -(std::log(0.75) + std::log(0.5) + std::log(0.25)) / 3,
              1e-6);
  EXPECT_NEAR(result->ln_ppl_ratio.value, result->model.nll.value - result->reference.nll.value,
              1e-9);
  EXPECT_NEAR(result->p_change.value, (0.125 + 0 - 0.125) / 3, 1e-6);
  EXPECT_NEAR(result->p_change_rms, std::sqrt(2 * 0.125 * 0.125 / 3), 1e-6);
  EXPECT_NEAR(std::fabs(result->p_change_max), 0.125, 1e-6);

  // The other top token after a 1, and after a 0 the lower of two equal ones in both.
  TableModel contrary({logs({0.5, 0.5}), logs({0.25, 0.75})});
  const auto other = measure_divergence(reference, contrary, pool, text, {.n_ctx = 8});
  ASSERT_TRUE(other);
  EXPECT_NEAR(other->same_top.value, 1.0 / 3, 1e-9);
  EXPECT_NEAR(other->same_top.error, std::sqrt(2.0 / 9 / 2), 1e-9);
}

TEST(Divergence, RefusesWhatCannotBeScored) {
  TableModel model(kTable), other(std::vector<Row>(3, Row(3)));
  ThreadPool pool(1);
  const std::vector<TokenId> text(10);
  const auto differ = measure_divergence(model, other, pool, text, {.n_ctx = 8});
  ASSERT_FALSE(differ);
  EXPECT_EQ(differ.error().code, "usage.text");
  const auto too_short = measure_perplexity(model, pool, text, {.n_ctx = 11});
  ASSERT_FALSE(too_short);
  EXPECT_EQ(too_short.error().code, "usage.text");
  EXPECT_FALSE(measure_perplexity(model, pool, text, {.n_ctx = 3}));
  // A token that the model has no logit for.
  const std::vector<TokenId> strange(8, 9);
  const auto outside = measure_perplexity(model, pool, strange, {.n_ctx = 8});
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().code, "run.token");
}

TEST(Divergence, AnInterruptKeepsTheChunksThatAreDone) {
  TableModel model(kTable);
  ThreadPool pool(1);
  model.fail_at_call = 2;
  const auto result = measure_perplexity(model, pool, std::vector<TokenId>(40), {.n_ctx = 8});
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->interrupted);
  EXPECT_EQ(result->n_chunks, 2u);
  EXPECT_EQ(result->n_chunks_planned, 5u);
  EXPECT_EQ(result->n_scored, 6u);
}

}  // namespace
}  // namespace engine
