// SPDX-License-Identifier: MIT
#include "planner/rig/rig_text.h"

#include <gtest/gtest.h>

#include <random>

#include "hwdb/units.h"

namespace planner {
namespace {

using hwdb::kGiB;

RigText parsed(std::string_view words) {
  auto rig = parse_rig_text(words);
  EXPECT_TRUE(rig) << words << ": " << (rig ? "" : rig.error().what);
  return rig ? *rig : RigText{};
}

std::string code_of(std::string_view words) {
  const auto rig = parse_rig_text(words);
  return rig ? "ok" : rig.error().code;
}

TEST(RigText, OneName) {
  const RigText rig = parsed("RTX 4090");
  ASSERT_EQ(rig.items.size(), 1u);
  EXPECT_EQ(rig.items[0].name, "RTX 4090");
  EXPECT_EQ(rig.items[0].count, 1u);
  EXPECT_TRUE(rig.items[0].memory.empty());
}

TEST(RigText, CountsInEveryWriting) {
  for (const char* words : {"2x RTX 3090", "2 x RTX 3090", "2X RTX 3090", "2\xc3\x97 RTX 3090",
                            "2\xc3\x97RTX 3090", "2* RTX 3090", "2xRTX 3090", "RTX 3090 x2"}) {
    const RigText rig = parsed(words);
    ASSERT_EQ(rig.items.size(), 1u) << words;
    EXPECT_EQ(rig.items[0].count, 2u) << words;
    EXPECT_EQ(rig.items[0].name, "RTX 3090") << words;
  }
  for (const char* words : {"3090", "7900 XTX", "7900XTX", "7900 XT 20GB", "5700 XT"})
    EXPECT_EQ(parsed(words).items[0].count, 1u) << words;
  EXPECT_EQ(parsed("2x 7900 XTX").items[0].name, "7900 XTX");
}

TEST(RigText, MemoryInEveryWriting) {
  for (const char* words : {"64GB DDR4-3200", "64 GB DDR4-3200", "DDR4-3200 64GB",
                            "64GiB ddr4-3200", "2x32GB DDR4-3200", "64GB DDR4 3200MT/s"}) {
    const RigText rig = parsed(words);
    ASSERT_EQ(rig.items.size(), 1u) << words;
    EXPECT_EQ(rig.items[0].kind, RigItem::Kind::memory) << words;
    EXPECT_EQ(rig.items[0].memory.bytes, 64 * kGiB) << words;
    EXPECT_EQ(rig.items[0].memory.type, "DDR4") << words;
    EXPECT_EQ(rig.items[0].memory.rate_mt_per_s, 3200u) << words;
  }
}

TEST(RigText, MemoryWordsAfterAName) {
  const RigText server = parsed("EPYC 9554 12ch DDR5-4800");
  ASSERT_EQ(server.items.size(), 1u);
  EXPECT_EQ(server.items[0].name, "EPYC 9554");
  EXPECT_EQ(server.items[0].memory.channels, 12u);
  EXPECT_EQ(server.items[0].memory.rate_mt_per_s, 4800u);
  EXPECT_FALSE(server.items[0].memory.bytes);

  const RigText mac = parsed("Mac Studio M3 Ultra 512GB");
  EXPECT_EQ(mac.items[0].name, "Mac Studio M3 Ultra");
  EXPECT_EQ(mac.items[0].text, "Mac Studio M3 Ultra 512GB");
  EXPECT_EQ(mac.items[0].memory.bytes, 512 * kGiB);

  EXPECT_EQ(parsed("EPYC 9554, 2 channels DDR5-4800").items[1].memory.channels, 2u);
  EXPECT_EQ(parsed("i7-8700, dual channel DDR4-2666").items[1].memory.channels, 2u);
}

TEST(RigText, PartsAndPluses) {
  const RigText rig = parsed("RX 7900 XTX + Ryzen 9 7950X + 96GB DDR5-6000");
  ASSERT_EQ(rig.items.size(), 3u);
  EXPECT_EQ(rig.items[1].name, "Ryzen 9 7950X");
  EXPECT_EQ(rig.items[2].memory.bytes, 96 * kGiB);
  EXPECT_EQ(parsed("RTX 4090+64GB").items.size(), 2u);

  EXPECT_EQ(parsed("AMD Ryzen AI Max+ 395 (Strix Halo)").items.size(), 1u);
  EXPECT_EQ(parsed("Ryzen AI Max+ PRO 395 + RTX 4090").items.size(), 2u);
  EXPECT_EQ(parsed("Ryzen AI Max+ 395 128GB").items[0].name, "Ryzen AI Max+ 395");
  EXPECT_EQ(parsed("Xeon Gold 6548Y+, 512GB").items[0].name, "Xeon Gold 6548Y+");
  EXPECT_EQ(parsed("Raspberry Pi 500+ 16GB").items[0].name, "Raspberry Pi 500+");
  EXPECT_EQ(parsed("Ryzen 7 8700G").items[0].name, "Ryzen 7 8700G");
  EXPECT_EQ(parsed("M2 Max 96G").items[0].memory.bytes, 96 * kGiB);
  EXPECT_EQ(parsed("M3 Max+64GB").items.size(), 2u);
  EXPECT_EQ(parsed("Intel Arc Graphics (Meteor Lake-H, 8 Xe cores)").items.size(), 1u);
}

TEST(RigText, CustomGpuKeepsItsCommas) {
  const RigText rig =
      parsed("2x gpu:vram=24GiB,bw=1008GB/s,fp16=165T,tdp=450W,name=My card, 64GB DDR5-5600");
  ASSERT_EQ(rig.items.size(), 2u);
  EXPECT_EQ(rig.items[0].kind, RigItem::Kind::custom_gpu);
  EXPECT_EQ(rig.items[0].count, 2u);
  ASSERT_EQ(rig.items[0].values.size(), 5u);
  EXPECT_EQ(rig.items[0].values[1].second, "1008GB/s");
  EXPECT_EQ(rig.items[0].values[4].second, "My card");
  EXPECT_EQ(rig.items[1].memory.bytes, 64 * kGiB);
}

TEST(RigText, Limits) {
  const RigText rig = parsed("RTX 3090 x2, NVLink, power=300W");
  EXPECT_TRUE(rig.nvlink);
  ASSERT_TRUE(rig.power_limit_watts);
  EXPECT_EQ(*rig.power_limit_watts, 300);
}

TEST(RigText, Malformed) {
  EXPECT_EQ(code_of(""), "rig.syntax");
  EXPECT_EQ(code_of(" , "), "rig.syntax");
  EXPECT_EQ(code_of("RTX 4090,"), "rig.syntax");
  EXPECT_EQ(code_of("RTX 4090 ++ 64GB"), "rig.syntax");
  EXPECT_EQ(code_of("2x"), "rig.syntax");
  EXPECT_EQ(code_of("(RTX 4090"), "rig.syntax");
  EXPECT_EQ(code_of("RTX 4090)"), "rig.syntax");
  EXPECT_EQ(code_of("gpu:"), "rig.syntax");
  EXPECT_EQ(code_of("gpu:24GiB"), "rig.syntax");
  EXPECT_EQ(code_of("gpu:vram=24GiB,vram=12GiB"), "rig.syntax");
  EXPECT_EQ(code_of("bw=3GB/s"), "rig.syntax");
  EXPECT_EQ(code_of("64GB 32GB"), "rig.syntax");
  EXPECT_EQ(code_of("64GB DDR5-fast"), "rig.syntax");
  EXPECT_EQ(code_of("RTX 4090, power=lots"), "rig.syntax");
  EXPECT_EQ(code_of("RTX\n4090"), "rig.syntax");
  EXPECT_EQ(code_of("0x RTX 4090"), "rig.range");
  EXPECT_EQ(code_of("65x RTX 4090"), "rig.range");
  EXPECT_EQ(code_of("99999999999999999999x RTX 4090"), "rig.range");
  EXPECT_EQ(code_of("64GB DDR5-99999"), "rig.range");
  EXPECT_EQ(code_of("100000TB"), "rig.range");
  EXPECT_EQ(code_of("0GB"), "rig.range");
  EXPECT_EQ(code_of("EPYC 9554 99ch"), "rig.range");
  EXPECT_EQ(code_of("RTX 4090, power=0W"), "rig.range");
  EXPECT_EQ(code_of(std::string(1001, 'a')), "rig.range");
  EXPECT_EQ(code_of("64x RTX 4090"), "ok");
}

TEST(RigText, RandomTextEndsInAnAnswer) {
  const std::vector<std::string> pieces = {
      "RTX",    "4090", " ",        ",",   "+",    "(",     ")",    "2x",   "\xc3\x97",
      "GB",     "64",   "DDR5",     "-",   "gpu:", "vram=", "=",    "cpu:", "power=",
      "NVLink", "ch",   "channels", "1e9", ".",    "x",     "Max+", "\xff", "99999999999999999999",
      "W",      "name="};
  std::mt19937 random(7);
  std::size_t ok = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string words;
    for (std::uint32_t n = random() % 12; n > 0; --n) words += pieces[random() % pieces.size()];
    const auto rig = parse_rig_text(words);
    if (rig) {
      ++ok;
      for (const RigItem& item : rig->items) {
        EXPECT_GE(item.count, 1u);
        EXPECT_LE(item.count, 64u);
      }
    } else {
      ++refused;
      EXPECT_EQ(rig.error().code.rfind("rig.", 0), 0u) << words;
    }
  }
  EXPECT_GT(ok, 1000u);
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace planner
