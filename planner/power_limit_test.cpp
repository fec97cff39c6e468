// SPDX-License-Identifier: MIT
#include "planner/power_limit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "planner/test_inputs.h"

namespace planner {
namespace {

TEST(PowerLimit, LittleIsLostAtFirstAndMoreOfArithmetic) {
  EXPECT_EQ(reading_at_power(1), 1);
  EXPECT_EQ(computing_at_power(1.3), 1);
  EXPECT_NEAR(reading_at_power(0.8), 1 - 2.1 * 0.008, 1e-12);
  EXPECT_NEAR(computing_at_power(0.8), 1 - 2.1 * 0.04, 1e-12);
  EXPECT_NEAR(reading_at_power(0.1), 0.1, 1e-12);
}

// The sweeps of one card over its caps, each against its highest cap.
TEST(PowerLimit, AgreesWithMeasuredSweeps) {
  struct Point {
    double share, speed;
  };
  std::map<std::string, std::vector<Point>> sweeps;
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  for (const hwdb::PowerPointRow& row : catalog.power_points()) {
    if (!row.cap_watts || !row.tokens_per_s || row.gpu_id.empty()) continue;
    const std::size_t cap = row.id.rfind("-cap");
    if (cap == std::string::npos) continue;
    for (const hwdb::GpuRow& gpu : catalog.gpus()) {
      if (gpu.id != row.gpu_id || !gpu.tdp_watts) continue;
      const std::string name =
          (row.phase.starts_with("prefill") ? "p " : "d ") + row.id.substr(0, cap);
      sweeps[name].push_back({std::min(1.0, *row.cap_watts / *gpu.tdp_watts), *row.tokens_per_s});
    }
  }
  std::vector<double> errors;
  for (const auto& [name, points] : sweeps) {
    const auto full = std::ranges::max_element(points, {}, &Point::share);
    if (full->share < 0.95) continue;
    for (const Point& point : points) {
      // Below two fifths a card hardly runs at all, and nobody sets that.
      if (point.share >= full->share || point.share < 0.4) continue;
      const auto left = name.starts_with("p ") ? computing_at_power : reading_at_power;
      errors.push_back(std::abs(left(point.share) * full->speed / point.speed - 1));
    }
  }
  ASSERT_GE(errors.size(), 20u);
  std::ranges::sort(errors);
  EXPECT_LT(errors[errors.size() / 2], 0.05);
  EXPECT_LT(errors[errors.size() * 9 / 10], 0.25);
}

TEST(PowerLimit, ReachesTheSpeedsOfAPlan) {
  testing::Case c(testing::dense_model(),
                  testing::with_cards({testing::card("A", 24e9, 1e12, 10e12)}));
  const auto free = c.plan();
  c.inputs.settings.power_limit_w = 210;  // of 300
  const auto held = c.plan();
  EXPECT_NEAR(held->speed.decode_tok_per_s.likely / free->speed.decode_tok_per_s.likely,
              reading_at_power(0.7), 0.01);
  EXPECT_NEAR(held->speed.prefill_tok_per_s.likely / free->speed.prefill_tok_per_s.likely,
              computing_at_power(0.7), 0.03);
  EXPECT_LT(held->energy.prefill_w.likely, 0.8 * free->energy.prefill_w.likely);
  c.inputs.settings.power_limit_w = 500;  // above its own limit
  EXPECT_DOUBLE_EQ(c.plan()->speed.decode_tok_per_s.likely, free->speed.decode_tok_per_s.likely);
}

}  // namespace
}  // namespace planner
