// SPDX-License-Identifier: MIT
#include "hwdb/units.h"

#include <gtest/gtest.h>

#include "hwdb/quant_format.h"

namespace hwdb {
namespace {

TEST(Units, EveryPrefix) {
  const std::pair<const char*, double> cases[] = {{"1KiB", 1024.0},
                                                  {"1MiB", 1048576.0},
                                                  {"24GiB", 25769803776.0},
                                                  {"2TiB", 2.199023255552e12},
                                                  {"1kB", 1e3},
                                                  {"1KB", 1e3},
                                                  {"1MB", 1e6},
                                                  {"1GB", 1e9},
                                                  {"0.5 TB", 5e11},
                                                  {"1PB", 1e15},
                                                  {"7", 7},
                                                  {"7B", 7}};
  for (const auto& [text, want] : cases) {
    auto got = parse_quantity(text, "B");
    ASSERT_TRUE(got) << text;
    EXPECT_DOUBLE_EQ(*got, want) << text;
  }
  EXPECT_DOUBLE_EQ(*parse_quantity("1008GB/s", "B/s"), 1008e9);
  EXPECT_DOUBLE_EQ(*parse_quantity("165T", "FLOPS"), 165e12);
  EXPECT_EQ(parse_quantity("GB", "B").error().code, "units.number");
  EXPECT_EQ(parse_quantity("nan", "B").error().code, "units.number");
  EXPECT_EQ(parse_quantity("1XB", "B").error().code, "units.prefix");
  EXPECT_EQ(parse_quantity("1GW", "B").error().code, "units.prefix");
}

TEST(Units, Formats) {
  EXPECT_EQ(format_bytes(Bytes(0)), "0 B");
  EXPECT_EQ(format_bytes(Bytes(1023 * 1024 * 1024ull)), "1023 MiB");
  EXPECT_EQ(format_bytes(Bytes(4920734976)), "4.58 GiB");
  EXPECT_EQ(format_bytes(Bytes(24 * kGiB)), "24.0 GiB");
  EXPECT_EQ(format_bandwidth(BytesPerSecond(1792e9)), "1792 GB/s");
  EXPECT_EQ(format_bandwidth(BytesPerSecond(51.2e9)), "51.2 GB/s");
  EXPECT_EQ(format_flops_rate(FlopsPerSecond(165.2e12)), "165 TFLOPS");
}

TEST(Units, CheckedArithmetic) {
  std::uint64_t out = 0;
  EXPECT_FALSE(checked_mul(1ull << 32, 1ull << 32, &out));
  EXPECT_FALSE(checked_add(UINT64_MAX, 1, &out));
  EXPECT_FALSE(checked_pad(UINT64_MAX - 3, 32, &out));
  ASSERT_TRUE(checked_pad(33, 32, &out));
  EXPECT_EQ(out, 64u);
}

TEST(QuantFormat, KnownBlocks) {
  EXPECT_DOUBLE_EQ(find_tensor_format("Q4_K")->bits_per_weight(), 4.5);
  EXPECT_DOUBLE_EQ(find_tensor_format("Q6_K")->bits_per_weight(), 6.5625);
  EXPECT_EQ(find_tensor_format(std::uint32_t{2})->name, "Q4_0");
  EXPECT_EQ(find_tensor_format(std::uint32_t{999}), nullptr);
  EXPECT_EQ(*tensor_bytes(*find_tensor_format("Q4_0"), 4096, 4096), 4096ull * 128 * 18);
  EXPECT_EQ(tensor_bytes(*find_tensor_format("Q4_0"), 31, 1).error().code, "gguf.block");
  EXPECT_EQ(tensor_bytes(*find_tensor_format("F32"), 1ull << 40, 1ull << 40).error().code,
            "gguf.size");
}

}  // namespace
}  // namespace hwdb
