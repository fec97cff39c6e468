// SPDX-License-Identifier: MIT
#include "engine/run/kernel_bench.h"

#include <gtest/gtest.h>

#include "engine/cpu/mat_mul.h"

namespace {

using engine::KernelBench;

KernelBench::Question question(const char* type, std::uint32_t rows, std::uint32_t ne0,
                               std::uint32_t tokens) {
  return {hwdb::tensor_type(type), rows, ne0, tokens};
}

KernelBench::Options quick() {
  KernelBench::Options options;
  options.windows = 3;
  options.window_seconds = 0.0005;
  return options;
}

TEST(KernelBench, ReadsTheWholeMatrixOnEachCall) {
  engine::ThreadPool pool(2);
  auto bench = KernelBench::make(pool, 4u << 20);
  ASSERT_TRUE(bench);
  for (const char* type : {"Q4_0", "Q6_K", "F16", "IQ3_S"}) {
    for (const std::uint32_t tokens : {1u, 16u}) {
      engine::cpu::take_weight_bytes_read();
      const auto reading = bench->time(question(type, 48, 512, tokens), quick());
      ASSERT_TRUE(reading) << type << reading.error().what;
      const std::uint64_t bytes = hwdb::row_bytes(hwdb::tensor_type(type), 512) * 48;
      const std::uint64_t read = engine::cpu::take_weight_bytes_read();
      EXPECT_EQ(read % bytes, 0u) << type;
      EXPECT_GE(read / bytes, 4u) << type;  // the first one and three windows
      EXPECT_GT(reading->seconds, 0);
      EXPECT_GE(reading->spread, 0);
      EXPECT_EQ(reading->tokens, tokens);
      EXPECT_EQ(reading->ne0, 512u);
    }
  }
}

TEST(KernelBench, MoreTokensTakeLonger) {
  engine::ThreadPool pool(1);
  auto bench = KernelBench::make(pool, 1u << 20);
  ASSERT_TRUE(bench);
  const auto one = bench->time(question("Q8_0", 256, 1024, 1), quick());
  const auto many = bench->time(question("Q8_0", 256, 1024, 256), quick());
  ASSERT_TRUE(one && many);
  // 256 times the arithmetic; anything near 1 would mean that only one column was computed.
  EXPECT_GT(many->seconds, 4 * one->seconds);
}

TEST(KernelBench, RefusesWhatTheEngineDoesNotMultiply) {
  engine::ThreadPool pool(1);
  auto bench = KernelBench::make(pool, 1u << 20);
  ASSERT_TRUE(bench);
  EXPECT_FALSE(bench->can_time(question("Q4_K", 16, 128, 1)));    // half a block
  EXPECT_FALSE(bench->can_time(question("F32", 1024, 1024, 1)));  // more than the memory
  EXPECT_FALSE(bench->can_time(question("Q4_K", 16, 256, 0)));
  const auto refused = bench->time(question("Q4_K", 16, 128, 1), quick());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "quant.unsupported");
}

TEST(KernelBench, StopsWhenItIsTold) {
  engine::ThreadPool pool(1);
  auto bench = KernelBench::make(pool, 1u << 20);
  ASSERT_TRUE(bench);
  const std::atomic<bool> cancel{true};
  KernelBench::Options options = quick();
  options.cancel = &cancel;
  const auto reading = bench->time(question("Q4_0", 16, 256, 1), options);
  ASSERT_FALSE(reading);
  EXPECT_EQ(reading.error().code, "run.interrupted");
}

}  // namespace
