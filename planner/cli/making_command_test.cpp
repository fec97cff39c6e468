// SPDX-License-Identifier: MIT
// synth and quantize as a shell sees them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hwdb/json.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/program_test.h"

namespace cli {
namespace {

using hwdb::testing::TempFolder;

std::string code_of(const ProgramRun& run) {
  const std::size_t open = run.err.find("error["), close = run.err.find(']');
  return open == std::string::npos ? "" : run.err.substr(open + 6, close - open - 6);
}

hwdb::Json document(const ProgramRun& run) {
  auto json = hwdb::parse_json(run.out, "stdout");
  EXPECT_TRUE(json) << run.out << run.err;
  return json ? *json : hwdb::Json();
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(SynthCommand, MakesAFileThatTheOtherCommandsRead) {
  const TempFolder folder;
  const std::string file = folder.file("small.gguf");
  const std::string make =
      "synth gpt2 --layers 2 --vocab 300 --quant Q8_0 --seed 3 --json -o " + file;
  const ProgramRun made = run_program(make);
  ASSERT_EQ(made.status, 0) << made.err;
  const hwdb::Json json = document(made);
  EXPECT_EQ(json.find("file_bytes")->as_uint64(), std::filesystem::file_size(file));
  EXPECT_EQ(json.find("layers")->as_uint64(), 2u);
  EXPECT_EQ(*json.find("architecture")->as_string(), "gpt2");
  const ProgramRun inspected = run_program("inspect " + file);
  EXPECT_EQ(inspected.status, 0) << inspected.err;
  EXPECT_NE(inspected.out.find("GPT-2"), std::string::npos);

  const ProgramRun again = run_program(make);
  EXPECT_EQ(code_of(again), "output.exists");
  EXPECT_EQ(again.status, 1);
  const std::string before = contents(file);
  EXPECT_EQ(run_program(make + " --force --threads 1").status, 0);
  EXPECT_TRUE(contents(file) == before);

  // A file as the model: its own tokenizer and habits, other weights.
  const std::string copy = folder.file("copy.gguf");
  const ProgramRun from_file = run_program("synth " + file + " --quant F16 -o " + copy);
  EXPECT_EQ(from_file.status, 0) << from_file.err;
  EXPECT_NE(run_program("inspect " + copy).out.find("300"), std::string::npos);
}

TEST(SynthCommand, SaysWhatIsMissing) {
  const TempFolder folder;
  const std::string out = " -o " + folder.file("x.gguf");
  EXPECT_EQ(run_program("synth gpt2").status, 2);
  EXPECT_EQ(code_of(run_program("synth no-such-model" + out)), "name.unknown");
  EXPECT_EQ(code_of(run_program("synth gpt2 --quant Q9" + out)), "quant.unknown");
  EXPECT_EQ(code_of(run_program("synth gpt2 --vocab 100" + out)), "synth.vocabulary");
  EXPECT_EQ(code_of(run_program("synth gpt2 --layers 0" + out)), "usage.value");
  EXPECT_EQ(code_of(run_program("synth ./none.gguf" + out)), "file.open");
  EXPECT_EQ(code_of(run_program("synth gpt2 --layers 1 --vocab 300 -o /no/such/folder/x.gguf")),
            "output.write");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(QuantizeCommand, WritesASmallerFileAndADryRunWritesNone) {
  const TempFolder folder;
  const std::string source = folder.file("f16.gguf"), out = folder.file("q.gguf");
  ASSERT_EQ(run_program("synth gpt2 --layers 2 --vocab 300 --quant F16 -o " + source).status, 0);
  const std::string words = "quantize " + source + " " + out + " q4_k_m --json";
  const ProgramRun dry = run_program(words + " --dry-run");
  ASSERT_EQ(dry.status, 0) << dry.err;
  EXPECT_FALSE(std::filesystem::exists(out));
  const ProgramRun made = run_program(words);
  ASSERT_EQ(made.status, 0) << made.err;
  const hwdb::Json planned = document(dry), written = document(made);
  EXPECT_EQ(planned.find("weight_bytes")->as_double(), written.find("weight_bytes")->as_double());
  EXPECT_EQ(written.find("file_bytes")->as_uint64(), std::filesystem::file_size(out));
  EXPECT_LT(std::filesystem::file_size(out) * 2, std::filesystem::file_size(source));
  EXPECT_EQ(*written.find("quant")->as_string(), "Q4_K_M");
  EXPECT_EQ(run_program("inspect " + out).status, 0);

  EXPECT_EQ(code_of(run_program(words)), "output.exists");
  const ProgramRun in_place = run_program("quantize " + source + " " + source + " Q8_0 --force");
  EXPECT_EQ(code_of(in_place), "usage.value");
  EXPECT_EQ(in_place.status, 2);
  EXPECT_EQ(code_of(run_program("quantize " + source + " " + out)), "usage.arguments");
  EXPECT_EQ(code_of(run_program("quantize " + source + " " + out + " Q9")), "quant.unknown");
  EXPECT_EQ(code_of(run_program("quantize " + source + " x.gguf Q8_0 --output-tensor-type zz")),
            "usage.value");
}

TEST(MakingCommands, AnInterruptLeavesNoFile) {
  const TempFolder folder;
  // Large enough not to be done at once.
  const ProgramRun run = run_shell(
      "export XDG_STATE_HOME=/nonexistent HOME=/nonexistent; timeout --preserve-status -s INT "
      "0.4 " +
      std::string(kProgram) + " synth llama-3.1-8b --layers 8 --quant F16 --vocab 4096 -o " +
      folder.file("x.gguf"));
  EXPECT_EQ(run.status, 130) << run.err;
  EXPECT_EQ(code_of(run), "run.interrupted");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace cli
