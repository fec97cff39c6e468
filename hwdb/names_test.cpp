// SPDX-License-Identifier: MIT
#include "hwdb/names.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hwdb {
namespace {

TEST(Names, SpellingsOfOneNameBecomeOneKey) {
  for (const char* text : {"RTX 4090", "rtx-4090", "RTX4090", " RTX  4090 ", "RTX(TM) 4090"}) {
    EXPECT_EQ(normalise_name(text), "rtx4090") << text;
  }
  EXPECT_EQ(normalise_name("Command R+"), normalise_name("command-r-plus"));
  EXPECT_TRUE(same_letters("GeForce RTX-4090", "geforce rtx4090"));
  EXPECT_FALSE(same_letters("Llama 3.1 8B", "Llama 318B"));
  EXPECT_FALSE(same_letters("RTX 4090", "RTX 4090 D"));
  EXPECT_FALSE(same_letters("Command R+", "Command R"));
}

TEST(Names, WordsSplitBeforeNumbersButNotInsideShortLabels) {
  EXPECT_EQ(name_words("Qwen2.5-Coder 32B"),
            (std::vector<std::string>{"qwen", "2.5", "coder", "32b"}));
  EXPECT_EQ(name_words("qwen3-30b-a3b"), (std::vector<std::string>{"qwen", "3", "30b", "a3b"}));
  EXPECT_EQ(name_words("Intel(R) Core(TM) i7-2600"),
            (std::vector<std::string>{"intel", "core", "i7", "2600"}));
  EXPECT_TRUE(name_words("...").empty());
  EXPECT_EQ(name_words("v0.3."), (std::vector<std::string>{"v0.3"}));
}

TEST(Names, EditDistanceCountsSwapsOnce) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("4090", "4009"), 1u);
}

TEST(Names, NearestComesFirstAndStrangersAreLeftOut) {
  const std::vector<std::string> known = {"GeForce RTX 4080", "GeForce RTX 4090",
                                          "Radeon RX 7900 XT", "GeForce RTX 4090",
                                          "Raspberry Pi 5"};
  const auto nearest = nearest_names("GeForce RTX 4091", known);
  ASSERT_GE(nearest.size(), 2u);
  EXPECT_EQ(nearest[0], "GeForce RTX 4090");
  EXPECT_EQ(nearest[1], "GeForce RTX 4080");
  EXPECT_EQ(std::ranges::count(nearest, "Raspberry Pi 5"), 0);
  EXPECT_EQ(nearest_names("GeForce RTX 4091", known, 1).size(), 1u);
  EXPECT_EQ(nearest_hint("zzzzzz", known), "");
  EXPECT_EQ(nearest_hint("--promt", std::vector<std::string>{"--prompt", "--users"}),
            "did you mean --prompt?");
  EXPECT_EQ(list_names(std::vector<std::string>{"a", "b", "c"}), "a, b or c");
}

TEST(Names, LongInputIsCutNotComparedInFull) {
  const std::string longest(1 << 20, 'x');
  EXPECT_TRUE(nearest_names(longest, std::vector<std::string>{"RTX 4090"}).empty());
}

}  // namespace
}  // namespace hwdb
