// SPDX-License-Identifier: MIT
#include "planner/reading_history.h"

#include <gtest/gtest.h>

namespace {

using hwdb::SpeedReading;
using planner::CalibrationRecord;

SpeedReading reading(double tok_per_s, std::uint32_t depth = 0) {
  SpeedReading r;
  r.runtime = "tokwatt";
  r.backend = "cpu";
  r.model = "tinyllama-1.1b";
  r.quant = "Q4_K_M";
  r.n_gen = 16;
  r.depth = depth;
  r.tok_per_s = tok_per_s;
  r.deviation = 0.02 * tok_per_s;
  return r;
}

hwdb::KernelReading kernel(double seconds) {
  hwdb::KernelReading k;
  k.type = hwdb::tensor_type("Q4_K");
  k.rows = 256;
  k.ne0 = 256;
  k.seconds = seconds;
  k.spread = 0.05;
  return k;
}

std::vector<std::string> flaws(const CalibrationRecord& record) {
  std::vector<std::string> out;
  for (const SpeedReading& r : record.readings) out.push_back(r.flaw);
  return out;
}

TEST(ReadingHistory, WhatIsWithinTheNoiseIsKept) {
  CalibrationRecord record;
  EXPECT_TRUE(planner::add_to_record({reading(100)}, {}, &record).empty());
  EXPECT_TRUE(planner::add_to_record({reading(104)}, {}, &record).empty());
  EXPECT_EQ(flaws(record), (std::vector<std::string>{"", ""}));
  EXPECT_EQ(planner::newest_readings(record).size(), 2u);
}

TEST(ReadingHistory, ADifferentSpeedIsFlaggedAndNotCounted) {
  CalibrationRecord record;
  planner::add_to_record({reading(100)}, {}, &record);
  const auto told = planner::add_to_record({reading(60)}, {}, &record);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("-40 %"), std::string::npos) << told[0];
  EXPECT_EQ(flaws(record), (std::vector<std::string>{"", "outlier"}));
  EXPECT_EQ(planner::newest_readings(record), (std::vector<std::size_t>{0}));
}

TEST(ReadingHistory, TheMajorityDecidesWhichIsTheOutlier) {
  CalibrationRecord record;
  planner::add_to_record({reading(60)}, {}, &record);
  planner::add_to_record({reading(100)}, {}, &record);
  EXPECT_EQ(flaws(record), (std::vector<std::string>{"", "outlier"}));
  planner::add_to_record({reading(101)}, {}, &record);
  EXPECT_EQ(flaws(record), (std::vector<std::string>{"outlier", "", ""}));
}

TEST(ReadingHistory, OtherQuestionsAndOtherFlawsStayAsTheyAre) {
  CalibrationRecord record;
  planner::add_to_record({reading(100)}, {}, &record);
  EXPECT_TRUE(planner::add_to_record({reading(50, 4096)}, {}, &record).empty());
  SpeedReading other_cache = reading(50);
  other_cache.cache_type_k = "q8_0";
  EXPECT_TRUE(planner::add_to_record({other_cache}, {}, &record).empty());
  SpeedReading speculative = reading(300);
  speculative.flaw = "speculative";
  EXPECT_TRUE(planner::add_to_record({speculative}, {}, &record).empty());
  EXPECT_EQ(flaws(record), (std::vector<std::string>{"", "", "", "speculative"}));
  EXPECT_EQ(planner::newest_readings(record).size(), 3u);
}

TEST(ReadingHistory, TheLastThreeOfAQuestionCount) {
  CalibrationRecord record;
  for (const double speed : {100.0, 101.0, 102.0, 103.0, 104.0})
    planner::add_to_record({reading(speed)}, {kernel(1 / speed)}, &record);
  EXPECT_EQ(planner::newest_readings(record), (std::vector<std::size_t>{2, 3, 4}));
  EXPECT_EQ(planner::newest_kernels(record), (std::vector<std::size_t>{2, 3, 4}));
}

TEST(ReadingHistory, KernelsAreJudgedToo) {
  CalibrationRecord record;
  planner::add_to_record({}, {kernel(1.0)}, &record);
  const auto told = planner::add_to_record({}, {kernel(2.0)}, &record);
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(record.kernels[1].flaw, "outlier");
}

TEST(ReadingHistory, TheOldestMakeRoom) {
  CalibrationRecord record;
  std::vector<SpeedReading> many;
  for (std::uint32_t i = 0; i <= planner::kMaxCalibrationReadings; ++i)
    many.push_back(reading(100, i));
  planner::add_to_record(std::move(many), {}, &record);
  ASSERT_EQ(record.readings.size(), planner::kMaxCalibrationReadings);
  EXPECT_EQ(record.readings.front().depth, 1u);
}

}  // namespace
