// SPDX-License-Identifier: MIT
#include "probes/sys_root.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace probes {
namespace {

namespace fs = std::filesystem;

class SysRootTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tokwatt-root-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    fs::create_directories(base_ / "root" / "sys");
    write("outside", "secret");
  }
  void TearDown() override { fs::remove_all(base_); }
  void write(const std::string& path, const std::string& text) {
    std::ofstream(base_ / path, std::ios::binary) << text;
  }
  SysRoot root() const { return SysRoot((base_ / "root").string()); }

  fs::path base_;
};

TEST_F(SysRootTest, TextAndNumbers) {
  write("root/sys/a", "  1234 \r\n");
  write("root/sys/hex", "0x030000\n");
  write("root/sys/word", "max\n");
  write("root/sys/mixed", "12 34\n");
  write("root/sys/negative", "-1\n");
  write("root/sys/huge", "99999999999999999999999\n");
  write("root/sys/empty", "");
  write("root/sys/blank", " \r\n\n");
  write("root/sys/zero", std::string("Raspberry Pi 5\0", 15));
  const SysRoot sys = root();
  EXPECT_EQ(sys.read_number("/sys/a"), 1234u);
  EXPECT_EQ(sys.read_number("/sys/hex"), 0x030000u);
  for (const char* name : {"word", "mixed", "negative", "huge", "empty", "blank", "missing"})
    EXPECT_FALSE(sys.read_number("/sys/" + std::string(name)).has_value()) << name;
  EXPECT_FALSE(sys.read_text("/sys/empty").has_value());
  EXPECT_FALSE(sys.read_text("/sys/blank").has_value());
  EXPECT_EQ(sys.read_text("/sys/zero"), "Raspberry Pi 5");
  EXPECT_FALSE(sys.read_text("/sys").has_value());
}

TEST_F(SysRootTest, LengthsAreLimited) {
  write("root/sys/long", std::string(101, 'x'));
  EXPECT_FALSE(root().read_text("/sys/long", 100).has_value());
  EXPECT_EQ(root().read_text("/sys/long", 101)->size(), 101u);
  EXPECT_EQ(root().read_head("/sys/long", 10), std::string(10, 'x'));
}

TEST_F(SysRootTest, LinesLoseTheirCarriageReturns) {
  write("root/sys/lines", "one\r\n\r\nthree\r\n");
  EXPECT_EQ(root().read_lines("/sys/lines"), (std::vector<std::string>{"one", "", "three"}));
  EXPECT_TRUE(root().read_lines("/sys/missing").empty());
}

TEST_F(SysRootTest, NothingOutsideIsRead) {
  fs::create_symlink("../../outside", base_ / "root/sys/up");
  fs::create_symlink(base_ / "outside", base_ / "root/sys/absolute");
  fs::create_symlink("loop", base_ / "root/sys/loop");
  fs::create_symlink("../sys/good", base_ / "root/sys/inside");
  write("root/sys/good", "fine");
  write("root2", "a neighbour whose name begins alike");
  const SysRoot sys = root();
  EXPECT_FALSE(sys.read_text("/sys/up").has_value());
  EXPECT_FALSE(sys.read_text("/sys/absolute").has_value());
  EXPECT_FALSE(sys.read_text("/sys/loop").has_value());
  EXPECT_FALSE(sys.read_text("/../outside").has_value());
  EXPECT_FALSE(sys.read_text("/../root2").has_value());
  EXPECT_EQ(sys.resolve("/sys/up"), "");
  EXPECT_EQ(sys.read_text("/sys/inside"), "fine");
  EXPECT_EQ(sys.resolve("/sys/inside"), "/sys/good");
  EXPECT_EQ(sys.link_name("/sys/up"), "outside");  // the name alone, not what it leads to
  EXPECT_EQ(sys.link_name("/sys/good"), "");
}

TEST_F(SysRootTest, PipesDoNotHang) {
  ASSERT_EQ(::mkfifo((base_ / "root/sys/pipe").c_str(), 0600), 0);
  EXPECT_FALSE(root().read_text("/sys/pipe").has_value());
  EXPECT_FALSE(root().read_head("/sys/pipe", 10).has_value());
}

TEST_F(SysRootTest, AMissingRootIsEmptyNotTheRunningSystem) {
  const SysRoot sys((base_ / "nowhere").string());
  EXPECT_FALSE(sys.is_live());
  EXPECT_FALSE(sys.read_text("/proc/meminfo").has_value());
  EXPECT_TRUE(sys.list("/proc").empty());
  EXPECT_TRUE(SysRoot("/").is_live());
  EXPECT_TRUE(SysRoot("").is_live());
}

TEST(ParseCpuList, AcceptsWhatTheKernelWrites) {
  EXPECT_EQ(parse_cpu_list("0-3,8,10-11\n"), (std::vector<std::uint32_t>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(parse_cpu_list("0-1,1-2"), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_TRUE(parse_cpu_list("")->empty());
  for (const char* bad : {"x", "3-1", "0-", "-1", "0-99999999", "1,,2", "0 1"})
    EXPECT_FALSE(parse_cpu_list(bad).has_value()) << bad;
}

}  // namespace
}  // namespace probes
