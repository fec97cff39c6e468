// SPDX-License-Identifier: MIT
#include "engine/runtime/mapped_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace engine {
namespace {

std::string temporary_file(std::size_t bytes) {
  const std::string path = ::testing::TempDir() + "mapped_file_test." + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary) << std::string(bytes, 'x');
  return path;
}

TEST(MappedFile, ReadsTheFile) {
  const std::string path = temporary_file(10'000);
  auto file = MappedFile::open(path, 10'000);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(static_cast<char>(file->data()[9'999]), 'x');
  EXPECT_FALSE(file->lost());
  std::filesystem::remove(path);
}

TEST(MappedFile, GivesZerosAndSaysSoWhenTheFileIsCut) {
  const std::string path = temporary_file(20'000);
  auto file = MappedFile::open(path, 20'000);
  ASSERT_TRUE(file.has_value());
  std::filesystem::resize_file(path, 4096);
  EXPECT_EQ(static_cast<char>(file->data()[0]), 'x');
  EXPECT_FALSE(file->lost());
  EXPECT_EQ(static_cast<int>(file->data()[16'000]), 0);
  EXPECT_TRUE(file->lost());
  std::filesystem::remove(path);
}

TEST(MappedFile, RefusesAnotherSizeAndAMissingFile) {
  const std::string path = temporary_file(100);
  const auto changed = MappedFile::open(path, 101);
  ASSERT_FALSE(changed.has_value());
  EXPECT_EQ(changed.error().code, "file.changed");
  std::filesystem::remove(path);
  const auto missing = MappedFile::open(path, 100);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "file.open");
}

}  // namespace
}  // namespace engine
