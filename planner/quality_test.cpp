// SPDX-License-Identifier: MIT
#include "planner/quality.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace planner {
namespace {

hwdb::ScoreTableRow table(std::string benchmark, std::string source, std::string unit,
                          std::string reported_by, std::vector<hwdb::ScoreEntry> scores,
                          std::string mode = "") {
  hwdb::ScoreTableRow row;
  row.benchmark = std::move(benchmark);
  row.source = std::move(source);
  row.unit = std::move(unit);
  row.reported_by = std::move(reported_by);
  row.scores = std::move(scores);
  row.reasoning_mode = std::move(mode);
  return row;
}

hwdb::ModelRow model(std::vector<std::string> ids) {
  hwdb::ModelRow row;
  row.id = ids.empty() ? "none" : ids.front();
  row.quality_ids = std::move(ids);
  return row;
}

/// Ten models a .. j, 100 points apart.
hwdb::ScoreTableRow board() {
  std::vector<hwdb::ScoreEntry> scores;
  for (int i = 0; i < 10; ++i)
    scores.push_back({std::string(1, static_cast<char>('a' + i)), 1000.0 + 100 * i});
  return table("arena_elo", "Board", "elo", "independent", scores);
}

TEST(Quality, PercentileInsideTheAnchor) {
  const std::vector tables = {board()};
  const QualityIndex index(tables, "chat");
  const Quality top = index.find(model({"j"}));
  ASSERT_TRUE(top.percentile);
  EXPECT_DOUBLE_EQ(*top.percentile, 0.95);
  EXPECT_TRUE(top.direct);
  EXPECT_EQ(top.reported_by, "independent");
  EXPECT_DOUBLE_EQ(*index.find(model({"a"})).percentile, 0.05);
  EXPECT_EQ(top.tables, 1u);
  EXPECT_NE(describe(top).find("one published figure only"), std::string::npos);
}

TEST(Quality, NoEvidenceIsAbsent) {
  const std::vector tables = {board()};
  const QualityIndex index(tables, "chat");
  EXPECT_FALSE(index.find(model({"unheard-of"})).percentile);
  EXPECT_FALSE(index.find(model({})).percentile);
  EXPECT_EQ(describe(index.find(model({}))), "no published score for this use");
  const QualityIndex other(tables, "rag");  // no table of that use at all
  EXPECT_FALSE(other.find(model({"j"})).percentile);
}

TEST(Quality, RatingsInsideTheIntervalTie) {
  auto rows = board();
  rows.scores.push_back({"k", 1904});  // 4 points above j: inside the interval
  const std::vector tables = {rows};
  const QualityIndex index(tables, "chat");
  EXPECT_DOUBLE_EQ(*index.find(model({"k"})).percentile, *index.find(model({"j"})).percentile);
  EXPECT_GT(*index.find(model({"j"})).percentile, *index.find(model({"i"})).percentile);
}

std::vector<hwdb::ScoreEntry> agreeing(int n) {
  std::vector<hwdb::ScoreEntry> scores;
  for (int i = 0; i < n; ++i)
    scores.push_back({std::string(1, static_cast<char>('a' + i)), 30.0 + 5 * i});
  return scores;
}

TEST(Quality, AnotherTableIsMappedOverTheModelsInBoth) {
  auto scores = agreeing(10);
  scores.push_back({"new", 57.5});  // between f and g, where the board would put it
  const std::vector tables = {board(), table("wildbench", "Lab", "percent", "independent", scores)};
  const QualityIndex index(tables, "chat");
  const Quality q = index.find(model({"new"}));
  ASSERT_TRUE(q.percentile);
  EXPECT_FALSE(q.direct);
  EXPECT_EQ(q.models_in_common, 10u);
  EXPECT_GT(q.correlation, 0.99);
  EXPECT_GT(*q.percentile, *index.find(model({"f"})).percentile);
  EXPECT_LT(*q.percentile, *index.find(model({"g"})).percentile);
  EXPECT_NEAR(*q.percentile, q.intercept + q.slope * q.table_percentile, 1e-12);
  EXPECT_NE(describe(q).find("10 models in both"), std::string::npos);
}

TEST(Quality, TooFewInCommonOrNoAgreementIsNotUsed) {
  auto few = agreeing(7);
  few.push_back({"new", 90});
  std::vector tables = {board(), table("wildbench", "Lab", "percent", "independent", few)};
  EXPECT_FALSE(QualityIndex(tables, "chat").find(model({"new"})).percentile);

  auto scattered = agreeing(10);
  for (std::size_t i = 0; i < scattered.size(); ++i)
    scattered[i].score = 30.0 + 7 * static_cast<double>((i * 7) % 10);
  scattered.push_back({"new", 95});
  tables[1] = table("wildbench", "Lab", "percent", "independent", scattered);
  EXPECT_FALSE(QualityIndex(tables, "chat").find(model({"new"})).percentile);
}

TEST(Quality, WeakerAgreementPullsToTheMiddle) {
  auto noisy = agreeing(10);
  std::swap(noisy[0].score, noisy[3].score);
  std::swap(noisy[6].score, noisy[9].score);
  noisy.push_back({"new", 99});
  auto exact = agreeing(10);
  exact.push_back({"new", 99});
  const std::vector a = {board(), table("wildbench", "Lab", "percent", "independent", noisy)};
  const std::vector b = {board(), table("wildbench", "Lab", "percent", "independent", exact)};
  const Quality weak = QualityIndex(a, "chat").find(model({"new"}));
  const Quality strong = QualityIndex(b, "chat").find(model({"new"}));
  ASSERT_TRUE(weak.percentile && strong.percentile);
  EXPECT_LT(*weak.percentile, *strong.percentile);
}

TEST(Quality, OutsideTheModelsInBothTheLineIsNotTrusted) {
  // Only the better half of the board is in the other table.
  std::vector<hwdb::ScoreEntry> scores;
  auto rows = board();
  for (int i = 0; i < 8; ++i) {
    rows.scores.push_back({fmt::format("s{}", i), 2000.0 + 100 * i});
    scores.push_back({fmt::format("s{}", i), 50.0 + 5 * i});
  }
  scores.push_back({"weak", 20});
  scores.push_back({"weaker", 10});
  scores.push_back({"stronger", 99});
  const std::vector tables = {rows, table("wildbench", "Lab", "percent", "independent", scores)};
  const QualityIndex index(tables, "chat");
  const Quality weak = index.find(model({"weak"})), weaker = index.find(model({"weaker"})),
                stronger = index.find(model({"stronger"}));
  ASSERT_TRUE(weak.percentile && weaker.percentile && stronger.percentile);
  EXPECT_TRUE(weak.beyond_common && weaker.beyond_common && stronger.beyond_common);
  EXPECT_LT(*weak.percentile, weak.intercept + weak.slope * weak.table_percentile);
  EXPECT_LT(*weaker.percentile, *weak.percentile);
  EXPECT_LT(*stronger.percentile, stronger.intercept + stronger.slope * stronger.table_percentile);
  EXPECT_NE(describe(weak).find("with caution"), std::string::npos);
}

TEST(Quality, IndependentBeforeVendor) {
  auto vendor = agreeing(10);
  vendor.push_back({"new", 99});
  auto independent = agreeing(10);
  independent.push_back({"new", 42});
  const std::vector tables = {
      board(),
      // The vendor's benchmark is preferred by the use, the independent one is a last resort.
      table("wildbench", "Maker", "percent", "vendor", vendor),
      table("mmlu_pro", "Lab", "percent", "independent", independent)};
  const Quality q = QualityIndex(tables, "chat").find(model({"new"}));
  EXPECT_EQ(q.source, "Lab");
  EXPECT_EQ(q.reported_by, "independent");
  EXPECT_EQ(q.tables, 2u);
}

TEST(Quality, ReasoningModeAndBoardsThatMisjudgeIt) {
  auto board_rows = agreeing(10);
  board_rows.push_back({"thinker", 40});
  const std::vector tables = {
      board(), table("ollb2_average", "Old board", "index", "independent", board_rows),
      table("aime25", "Maker", "percent", "vendor", {{"thinker", 80}}, "on")};
  EXPECT_FALSE(QualityIndex(tables, "chat").find(model({"thinker"})).percentile);

  auto both = board();
  auto on = table("arena_elo", "Board", "elo", "independent", {{"c", 1890}}, "on");
  const std::vector two = {both, on};
  const Quality q = QualityIndex(two, "chat").find(model({"c"}));
  EXPECT_EQ(q.score, 1200) << "without reasoning where there is a choice";
}

TEST(Quality, LowerIsBetterForHallucinations) {
  std::vector<hwdb::ScoreEntry> rates;
  for (int i = 0; i < 10; ++i)
    rates.push_back({std::string(1, static_cast<char>('a' + i)), 3.0 * i});
  const std::vector tables = {
      table("hhem_hallucination_rate", "HHEM", "percent", "independent", rates)};
  const QualityIndex index(tables, "rag");
  EXPECT_GT(*index.find(model({"a"})).percentile, *index.find(model({"j"})).percentile);
  EXPECT_EQ(index.find(model({"b"})).score, 3);
}

TEST(Quality, BaseModelScoreIsALastResortAndSaysSo) {
  auto rows = board();
  rows.scores.push_back({"m-base", 1850});
  const std::vector tables = {rows};
  const QualityIndex index(tables, "chat");
  EXPECT_EQ(index.find(model({"m-base", "a"})).scored_as, "a");
  const Quality q = index.find(model({"m", "m-base"}));
  EXPECT_TRUE(q.of_base_model);
  EXPECT_NE(describe(q).find("un-tuned"), std::string::npos);
}

}  // namespace
}  // namespace planner
