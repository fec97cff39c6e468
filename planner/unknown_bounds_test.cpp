// SPDX-License-Identifier: MIT
#include "planner/unknown_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "planner/test_inputs.h"

namespace planner {
namespace {

using testing::Case;
using testing::dense_model;
using testing::host;

TEST(UnknownBounds, TheRealModelLiesBetweenThem) {
  Case known(dense_model(), host());
  const auto plan = make_plan(known.inputs);
  ASSERT_TRUE(plan);
  const DeviceMemory& cpu = plan->memory.devices.back();
  EXPECT_FALSE(plan->bounds);

  auto model = dense_model();
  model.sizes_only = true;
  model.shape.known_architecture = false;
  model.shape.architecture = "nobody-knows";
  Case c(model, host());
  const auto bounded = make_plan(c.inputs);
  ASSERT_TRUE(bounded);
  ASSERT_TRUE(bounded->bounds);
  const MemoryBounds& bounds = *bounded->bounds;
  EXPECT_EQ(bounds.cache_low.value, 0u);
  EXPECT_EQ(bounds.cache_high, cpu.kv_cache);  // full attention in every block
  EXPECT_LE(bounds.compute_low, cpu.compute);
  EXPECT_GE(bounds.compute_high, cpu.compute);
  EXPECT_LT(bounds.compute_low, bounds.compute_high);
  EXPECT_EQ(bounded->memory.devices.back().weights, cpu.weights);
  EXPECT_NE(std::ranges::find(bounds.missing, "recurrent state"), bounds.missing.end());
}

TEST(UnknownBounds, WhatIsNotStatedIsTakenAtItsLargest) {
  auto model = dense_model();
  model.sizes_only = true;
  Case full(model, host());
  const auto with_heads = bounds_of_unknown(full.inputs);
  model.shape.n_heads = model.shape.n_kv_heads = {};
  model.shape.n_ff = {};
  Case less(model, host());
  const auto without = bounds_of_unknown(less.inputs);
  ASSERT_TRUE(with_heads && without);
  EXPECT_GT(without->cache_high, with_heads->cache_high);
  EXPECT_EQ(without->cache_high.value, 10ull * 4096 * 2 * 512 * 2);  // the width itself, K and V
  EXPECT_NE(std::ranges::find(without->missing, "FFN width"), without->missing.end());
  model.shape.n_layers = 0;
  Case none(model, host());
  EXPECT_FALSE(bounds_of_unknown(none.inputs));
}

}  // namespace
}  // namespace planner
