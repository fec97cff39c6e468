// SPDX-License-Identifier: MIT
// The commands that run the engine, on models with random weights.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "engine/synth/testing/tiny_model.h"
#include "hwdb/json.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/program_test.h"
#include "planner/cli/sample_text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;
using engine::testing::write_tiny_model;

class EngineCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new hwdb::testing::TempFolder;
    write_tiny_model("llama-3.2-1b", "F16", file("f16.gguf"));
    write_tiny_model("llama-3.2-1b", "F16", file("other.gguf"), 640);
    std::ofstream(file("text.txt")) << sample_text();
  }
  static void TearDownTestSuite() { delete folder_; }
  static std::string file(const std::string& name) { return folder_->file(name); }

  static hwdb::testing::TempFolder* folder_;
};
hwdb::testing::TempFolder* EngineCommands::folder_ = nullptr;

hwdb::Json document(const ProgramRun& run) {
  auto json = hwdb::parse_json(run.out, "stdout");
  EXPECT_TRUE(json) << run.out << run.err;
  return json ? *std::move(json) : hwdb::Json();
}

double number(const hwdb::Json& json, std::string_view key) {
  const hwdb::Json* value = json.find(key);
  EXPECT_NE(value, nullptr) << key;
  return value != nullptr ? value->as_double().value_or(-1e9) : -1e9;
}

TEST_F(EngineCommands, BenchMeasuresEveryTestAndCountsWhatItMoved) {
  const ProgramRun run =
      run_program("bench " + file("f16.gguf") + " -p 16 -n 4 -d 0,8 -npl 1,2 -r 3 -t 2 --json");
  ASSERT_EQ(run.status, 0) << run.err;
  const hwdb::Json json = document(run);
  const hwdb::Json::Array& tests = *json.find("tests")->as_array();
  ASSERT_EQ(tests.size(), 6u);
  EXPECT_EQ(*tests[0].find("test")->as_string(), "pp16");
  EXPECT_EQ(*tests[5].find("test")->as_string(), "tg4 x2 @ d8");
  for (const hwdb::Json& test : tests) {
    EXPECT_EQ(test.find("samples_ns")->as_array()->size(), 3u);
    EXPECT_GT(number(test, "avg_ts"), 0);
    EXPECT_GT(number(test, "median_ts"), 0);
    EXPECT_EQ(number(test, "n_threads"), 2);
    EXPECT_EQ(*test.find("storage")->as_string(), "repacked");
  }
  // Two sequences share the weights of a step, and each has its own cache.
  EXPECT_NEAR(number(tests[2], "weight_bytes_read"), number(tests[1], "weight_bytes_read"),
              0.01 * number(tests[1], "weight_bytes_read"));
  EXPECT_EQ(number(tests[2], "cache_bytes_read"), 2 * number(tests[1], "cache_bytes_read"));
  // Four layers, keys and values of two heads of 64 in F16, of 1 + 2 + 3 + 4 cells.
  EXPECT_EQ(number(tests[1], "cache_bytes_read"), 4 * 2 * 2 * 64 * 2 * 10);
  EXPECT_EQ(number(tests[4], "cache_bytes_read"), 4 * 2 * 2 * 64 * 2 * (10 + 4 * 8));
}

TEST_F(EngineCommands, BenchPrintsAsLlamaBenchDoes) {
  const std::string bench = "bench -m " + file("f16.gguf") + " -p 8 -n 0 -r 2";
  const hwdb::Json json = document(run_program(bench + " -o json"));
  ASSERT_TRUE(json.is_array());
  EXPECT_EQ(json.as_array()->size(), 1u);
  const ProgramRun md = run_program(bench + " -o md");
  EXPECT_TRUE(md.out.starts_with("| model  ")) << md.out;
  EXPECT_NE(md.out.find(" pp8 |"), std::string::npos) << md.out;
  EXPECT_TRUE(run_program(bench + " -o csv").out.starts_with("build_commit,build_number,"));
  const ProgramRun mapped = run_program(bench + " --storage mapped");
  EXPECT_EQ(mapped.status, 0) << mapped.err;
  EXPECT_NE(mapped.out.find("file's pages"), std::string::npos) << mapped.out;
}

TEST_F(EngineCommands, RefusesWhatItCannotRun) {
  struct Case {
    std::string arguments;
    int status;
    const char* code;
  };
  const std::string good = file("f16.gguf"), text = " -f " + file("text.txt");
  std::ofstream(file("short.txt")) << "Too short.";
  for (const Case& c : {
           Case{"bench llama-3.1-8b", 3, "file.open"},
           Case{"bench /not/there.gguf", 3, "file.open"},
           Case{"bench " + file("text.txt"), 3, "gguf.magic"},
           Case{"bench " + good + " -ctk q3_k", 2, "cache.type"},
           Case{"bench " + good + " -ctk none", 2, "cache.type"},
           Case{"bench " + good + " -p 0 -n 0", 2, "usage.value"},
           Case{"perplexity " + good, 2, "usage.arguments"},
           Case{"perplexity " + good + " -f /not/there.txt", 3, "file.open"},
           Case{"perplexity " + good + " -f " + file("short.txt"), 2, "usage.text"},
           Case{"perplexity " + good + text + " --kl-divergence " + file("other.gguf"), 2,
                "usage.vocabulary"},
           Case{"quants " + good, 2, "usage.arguments"},
           Case{"quants llama-3.1-8b --against " + good, 2, "usage.arguments"},
           Case{"quants llama-3.1-8b --measure", 3, "file.open"},
           Case{"quants " + good + " --measure --quant Q99", 2, "quant.unknown"},
           Case{"quants " + good + " --measure --against " + file("other.gguf"), 2,
                "usage.vocabulary"},
       }) {
    const ProgramRun run = run_program(c.arguments);
    EXPECT_EQ(run.status, c.status) << c.arguments << run.err;
    EXPECT_NE(run.err.find(std::string("error[") + c.code + "]"), std::string::npos)
        << c.arguments << ": " << run.err;
  }
}

TEST_F(EngineCommands, PerplexityOfRandomWeightsAndDivergenceFromItself) {
  const std::string run_on = file("f16.gguf") + " -f " + file("text.txt") + " -c 64 --chunks 3";
  const ProgramRun one = run_program("perplexity " + run_on + " --json");
  ASSERT_EQ(one.status, 0) << one.err;
  const hwdb::Json scored = document(one);
  EXPECT_EQ(number(scored, "chunks"), 3);
  EXPECT_EQ(number(scored, "tokens_scored"), 3 * 31);
  EXPECT_GT(number(scored, "perplexity"), 1);
  EXPECT_GT(number(scored, "perplexity_error"), 0);
  EXPECT_GT(number(scored, "tok_per_s"), 0);
  const hwdb::Json same = document(
      run_program("perplexity " + run_on + " --kl-divergence " + file("f16.gguf") + " --json"));
  EXPECT_NEAR(number(same, "kld"), 0, 1e-9);
  EXPECT_EQ(number(same, "same_top"), 1);
  EXPECT_EQ(number(same, "perplexity"), number(scored, "perplexity"));
  EXPECT_EQ(number(same, "ln_perplexity_ratio"), 0);
}

TEST_F(EngineCommands, QuantsMeasuresPresetsThatItMakesAndRemoves) {
  const fs::path temp = file("temp");
  fs::create_directory(temp);
  const ProgramRun run =
      run_shell("export XDG_STATE_HOME=/nonexistent TMPDIR=" + temp.string() + "; " + kProgram +
                " quants " + file("f16.gguf") + " --measure --quant Q8_0,Q4_0,Q2_K --json");
  ASSERT_EQ(run.status, 0) << run.err;
  const hwdb::Json json = document(run);
  const hwdb::Json::Array& rows = *json.find("quants")->as_array();
  ASSERT_EQ(rows.size(), 3u);
  double before = 0;
  for (const hwdb::Json& row : rows) {
    EXPECT_GT(number(row, "kld"), before) << *row.find("name")->as_string();
    before = number(row, "kld");
    EXPECT_EQ(*row.find("basis")->as_string(), "measured");
  }
  EXPECT_LT(number(rows[0], "kld"), 1e-2);
  EXPECT_TRUE(fs::is_empty(temp));
  // The short sample says that it is short.
  EXPECT_NE(json.find("notes")->as_array()->front().as_string()->find("short"), std::string::npos);
}

TEST_F(EngineCommands, AnInterruptKeepsTheTestsThatAreDone) {
  const ProgramRun run =
      run_shell("cd " + folder_->path().string() +
                " || exit 9\nexport XDG_STATE_HOME=/nonexistent\n" + kProgram +
                " bench f16.gguf -p 8 -n 2000 -r 500 --json 2>err & child=$!\n"
                "for i in $(seq 300); do grep -q 'running tg' err && break; sleep 0.1; done\n"
                "sleep 0.3; kill -INT $child; wait $child; status=$?; cat err >&2; exit $status");
  EXPECT_EQ(run.status, 130) << run.err;
  EXPECT_NE(run.err.find("interrupted"), std::string::npos);
  const hwdb::Json json = document(run);
  const hwdb::Json::Array& tests = *json.find("tests")->as_array();
  ASSERT_GE(tests.size(), 1u);
  EXPECT_EQ(tests[0].find("samples_ns")->as_array()->size(), 500u);
}

}  // namespace
}  // namespace cli
