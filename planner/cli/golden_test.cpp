// SPDX-License-Identifier: MIT
// Every folder of tests/golden holds a `command` (arguments of the program, in the shell's quoting;
// it runs in that folder) and the `expected` standard output, byte for byte. With
// TOKWATT_UPDATE_GOLDEN=1 in the environment the expectations are written anew: look at the diff
// before committing it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "planner/cli/program_test.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> cases() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(fs::path(TOKWATT_SOURCE_DIR) / "tests/golden")) {
    if (fs::exists(entry.path() / "command")) folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class Golden : public testing::TestWithParam<fs::path> {};

TEST_P(Golden, PrintsWhatIsExpected) {
  std::string command = text_of(GetParam() / "command");
  ASSERT_FALSE(command.empty());
  if (command.back() == '\n') command.pop_back();
  const ProgramRun run = run_shell("cd " + GetParam().string() +
                                   " && export HOME=/nonexistent XDG_STATE_HOME=/nonexistent && " +
                                   kProgram + " " + command);
  const fs::path expected = GetParam() / "expected";
  if (std::getenv("TOKWATT_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(expected, std::ios::binary) << run.out;
    GTEST_SKIP() << "written anew: " << expected.string();
  }
  EXPECT_EQ(run.out, text_of(expected)) << "tokwatt " << command << "\n" << run.err;
  EXPECT_EQ(run.err, "");
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(cases()), [](const auto& test) {
  std::string name = test.param.filename().string();
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace cli
