// SPDX-License-Identifier: MIT
// What the built program says about speed: behind a context, of whole requests, of several
// sequences, and why.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "hwdb/json.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/program_test.h"
#include "planner/cli/speed_sections.h"

namespace cli {
namespace {

hwdb::Json json_of(const std::string& arguments) {
  const ProgramRun run = run_program(arguments);
  EXPECT_EQ(run.status, 0) << arguments << ": " << run.err;
  auto json = hwdb::parse_json(run.out, "stdout");
  EXPECT_TRUE(json) << run.out.substr(0, 200);
  return json ? std::move(*json) : hwdb::Json();
}

double likely(const hwdb::Json& parent, std::string_view key) {
  const hwdb::Json* estimate = parent.find(key);
  const hwdb::Json* value = estimate ? estimate->find("likely") : nullptr;
  return value ? value->as_double().value_or(-1) : -1;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

const std::string kPlan = "plan llama-3.1-8b --on 'RTX 3090' ";

TEST(SpeedByContext, PlanHasNoneHalfAndAllOfIt) {
  const hwdb::Json plan = json_of(kPlan + "-c 16k --json");
  const hwdb::Json::Array& depths = *plan.find("speed_by_depth")->as_array();
  ASSERT_EQ(depths.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(depths[i].find("depth")->as_uint64(), i * 8192);
    EXPECT_GT(likely(depths[i], "decode_tok_per_s"), 0);
    if (i == 0) continue;
    EXPECT_LT(likely(depths[i], "decode_tok_per_s"), likely(depths[i - 1], "decode_tok_per_s"));
    EXPECT_LT(likely(depths[i], "prefill_tok_per_s"), likely(depths[i - 1], "prefill_tok_per_s"));
  }
  const std::string text = run_program(kPlan + "-c 16k").out;
  EXPECT_TRUE(contains(text, "Speed by context")) << text;
  EXPECT_TRUE(contains(text, "8192 (half of the context)")) << text;
  EXPECT_TRUE(contains(text, "16384 (all of it)")) << text;
}

TEST(SpeedByContext, ABatchAsksForItByDepths) {
  const auto answer = [](const std::string& more) {
    const ProgramRun run =
        run_shell("echo '{\"model\":\"llama-3.1-8b\",\"on\":\"RTX 3090\",\"n_ctx\":16384" + more +
                  "}' | " + kProgram + " batch");
    EXPECT_EQ(run.status, 0) << run.out;
    return *hwdb::parse_json(run.out, "line");
  };
  EXPECT_EQ(answer("").find("speed_by_depth"), nullptr);
  const hwdb::Json asked = answer(",\"depths\":[16384,0]");
  const hwdb::Json::Array& depths = *asked.find("speed_by_depth")->as_array();
  ASSERT_EQ(depths.size(), 2u);
  // The same estimator as plan's.
  const hwdb::Json plan = json_of(kPlan + "-c 16k --json");
  EXPECT_EQ(hwdb::write_json(depths[0]),
            hwdb::write_json(plan.find("speed_by_depth")->as_array()->back()));
  EXPECT_EQ(depths[1].find("depth")->as_uint64(), 0u);
}

TEST(Request, IsTypedAsPeopleTypeIt) {
  const std::string session = kPlan + "--json --prompt 30000 --gen 800 --cached ";
  const ProgramRun percent = run_program(session + "90%");
  EXPECT_EQ(percent.status, 0) << percent.err;
  EXPECT_EQ(percent.out, run_program(session + "0.9").out);
  EXPECT_EQ(percent.out, run_program(session + "90%" + " -c 30976").out)
      << "the context grows with the request when nobody chose one";
  EXPECT_EQ(run_program(kPlan + "--prompt 32k --json").out,
            run_program(kPlan + "--prompt 32768 --json").out);
  const hwdb::Json cached = *hwdb::parse_json(percent.out, "");
  const hwdb::Json none = json_of(session + "0");
  // 3000 of the 30000 tokens are computed; the answer takes as long.
  EXPECT_LT(likely(cached, "ttft_s"), likely(none, "ttft_s") / 4);
  EXPECT_EQ(likely(cached, "decode_tok_per_s"), likely(none, "decode_tok_per_s"));
  EXPECT_NEAR(likely(cached, "request_s"),
              likely(cached, "ttft_s") + 800 / likely(cached, "decode_tok_per_s"), 1e-3);
  const std::string text = run_program(kPlan + "--prompt 30000 --gen 800 --cached 90%").out;
  EXPECT_TRUE(contains(text, "30000 + 800 tokens, 90 % of the prompt cached")) << text;
  EXPECT_TRUE(contains(text, "prefill of 3000 of 30000 tokens")) << text;
  EXPECT_TRUE(contains(run_program(kPlan + "--prompt 30000 -c 4k").out,
                       "A request of 30128 tokens does not fit the 4096"));
}

TEST(Request, CanBeChecked) {
  EXPECT_EQ(run_program(kPlan + "--quiet --check 'request<=3600'").status, 0);
  const ProgramRun late = run_program(kPlan + "--quiet --check 'request<=0.001'");
  EXPECT_EQ(late.status, 7);
  EXPECT_TRUE(contains(late.err, "request<=0.001 (is ")) << late.err;
}

TEST(Sequences, TogetherAndEach) {
  const hwdb::Json plan = json_of(kPlan + "-c 16k -np 6 --json");
  const hwdb::Json::Array& batches = *plan.find("speed_by_batch")->as_array();
  std::vector<std::uint64_t> counts;
  for (const hwdb::Json& at : batches) {
    counts.push_back(*at.find("n_seq")->as_uint64());
    EXPECT_NEAR(likely(at, "each_tok_per_s") * static_cast<double>(counts.back()) /
                    likely(at, "decode_tok_per_s"),
                1, 1e-4);
  }
  EXPECT_EQ(counts, (std::vector<std::uint64_t>{1, 2, 4, 6}));
  EXPECT_EQ(likely(batches.front(), "decode_tok_per_s"), likely(plan, "decode_tok_per_s"));
  EXPECT_GT(likely(batches.back(), "decode_tok_per_s"), likely(plan, "decode_tok_per_s"));
  EXPECT_LT(likely(batches.back(), "each_tok_per_s"), likely(plan, "decode_tok_per_s"));
  // The context is that of one of them.
  EXPECT_EQ(plan.find("speed_by_depth")->as_array()->back().find("depth")->as_uint64(), 16384u / 6);
  EXPECT_FALSE(contains(run_program(kPlan).out, "Several at once"));
  const std::string users = run_program(kPlan + "-np 2 --users 5").out;
  EXPECT_TRUE(contains(users, "Several at once")) << users;
  EXPECT_TRUE(contains(users, "2 sequences are kept: whoever comes while all are busy")) << users;
  EXPECT_TRUE(contains(run_program(kPlan + "-np 8 --users 5").out, "nobody waits for another"));
}

TEST(Sequences, ABatchIsOfAllAndOfEach) {
  const ProgramRun run = run_shell(
      "echo '{\"model\":\"llama-3.1-8b\",\"on\":\"RTX 3090\",\"n_seq\":4,\"batch\":4}' | " +
      std::string(kProgram) + " batch");
  const auto json = hwdb::parse_json(run.out, "line");
  ASSERT_TRUE(json) << run.out;
  EXPECT_NEAR(likely(*json, "each_decode_tok_per_s") * 4 / likely(*json, "decode_tok_per_s"), 1,
              1e-4);
}

TEST(Why, MillisecondsAddUp) {
  const std::string text = run_program(kPlan + "-c 16k --depth 12000 --prompt 1300 --why").out;
  for (const char* title : {"Why: one decode step", "Why: one prefill"}) {
    const std::size_t at = text.find(title);
    ASSERT_NE(at, std::string::npos) << text;
    std::istringstream lines(text.substr(at));
    double sum = 0, shares = 0;
    bool found = false;
    for (std::string line; std::getline(lines, line) && !found;) {
      // "... 5.96    35 %": the last figures of a row.
      if (!line.ends_with('%')) continue;
      std::istringstream words(line);
      std::vector<std::string> all;
      for (std::string word; words >> word;) all.push_back(word);
      ASSERT_GE(all.size(), 4u) << line;
      const bool tiny = all[all.size() - 3] == "<";
      const double ms = std::stod(all[all.size() - (tiny ? 4 : 3)]);
      found = all.front() == "together";
      if (found) {
        EXPECT_NEAR(sum, ms, 0.01 * ms + 0.01) << text;
        EXPECT_NEAR(shares, 100, 3) << text;
      } else {
        sum += ms;
        shares += tiny ? 0 : std::stod(all[all.size() - 2]);
      }
    }
    EXPECT_TRUE(found) << text;
  }
  EXPECT_TRUE(contains(text, "1 token / ")) << text;
}

TEST(Tables, FitAndQuantsSaySpeedByContext) {
  for (const char* arguments :
       {"fit --on 'RTX 3090' --top 3 ", "quants llama-3.1-8b --on 'RTX 3060' "}) {
    const std::string command = arguments;
    const hwdb::Json json = json_of(command + "--json");
    const hwdb::Json* rows = json.find(command.starts_with("fit") ? "models" : "quants");
    ASSERT_NE(rows, nullptr);
    std::size_t known = 0;
    for (const hwdb::Json& row : *rows->as_array()) {
      if (row.find("decode_tok_per_s")->is_null()) continue;
      ++known;
      const hwdb::Json::Array& depths = *row.find("speed_by_depth")->as_array();
      ASSERT_EQ(depths.size(), 3u);
      EXPECT_GE(likely(depths[0], "decode_tok_per_s"), likely(depths[2], "decode_tok_per_s"));
      EXPECT_GT(likely(row, "request_s"), likely(row, "ttft_s"));
      EXPECT_EQ(row.find("decode_full_tok_per_s"), nullptr) << "said by speed_by_depth";
    }
    EXPECT_GE(known, 3u);
    const std::string csv = run_program(command + "--format csv").out;
    const std::string head = csv.substr(0, csv.find("\r\n"));
    for (const char* key : {"prefill_empty_tok_per_s", "prefill_half_tok_per_s",
                            "decode_half_tok_per_s", "decode_full_tok_per_s", "request_s_low"})
      EXPECT_TRUE(contains(head, key)) << head;
    EXPECT_FALSE(contains(head, "speed_by_depth"));
    const std::string text = run_program(command).out;
    for (const char* title : {"prefill", "decode", "full", "first", "whole", "Letters: "})
      EXPECT_TRUE(contains(text, title)) << title << "\n" << text;
  }
}

TEST(Tables, TheFirstRowOfFitIsWhatPlanSays) {
  const hwdb::Json fit = json_of("fit --on 'RTX 3090' --top 1 --use code --json");
  const hwdb::Json& row = fit.find("models")->as_array()->front();
  const hwdb::Json plan =
      json_of("plan " + *row.find("model")->as_string() + " --quant " +
              *row.find("quant")->as_string() + " --on 'RTX 3090' --use code --json");
  for (const char* key : {"decode_tok_per_s", "ttft_s", "request_s"})
    EXPECT_EQ(likely(row, key), likely(plan, key)) << key;
  EXPECT_EQ(hwdb::write_json(*row.find("speed_by_depth")),
            hwdb::write_json(*plan.find("speed_by_depth")));
}

TEST(Tables, TheNextCommandAsksTheSame) {
  const std::string out =
      run_program("fit --on 'RTX 3090' --top 1 --use agent --prompt 30k --cached 90% -np 2").out;
  EXPECT_TRUE(contains(out, "--use agent --parallel 2 --prompt 30k --cached 90%")) << out;
}

TEST(ListAccuracy, ShowsWhatEachRowSays) {
  const hwdb::testing::TempFolder folder;
  folder.write("speed/accuracy.json",
               R"([{"id":"test-row","phase":"decode","backend":"sycl","situation":"several_gpus",
    "rows":40,"devices":7,"median_error":0.1,"p90_error":0.3,"device_median_error":0.09,
    "low":0.65,"high":1.4,"coverage":0.91,"naive_median_error":0.26,"source":["s"],
    "as_of":"2026-11-20"}])");
  const std::string with = " --hwdb " + folder.path().string();
  const ProgramRun run = run_program("list accuracy sycl several" + with);
  EXPECT_EQ(run.status, 2) << "a filter of two words is one argument";
  const std::string text = run_program("list accuracy 'test-row'" + with).out;
  for (const char* part : {"several_gpus", "sycl", "40/7", "10 %", "30 %", "9.0 %", "0.65-1.40",
                           "91 %", "26 %", "1 row\n"})
    EXPECT_TRUE(contains(text, part)) << part << "\n" << text;
  const hwdb::Json json = json_of("list accuracy test-row --json" + with);
  const hwdb::Json& row = json.find("accuracy")->as_array()->front();
  EXPECT_EQ(row.find("low")->as_double(), 0.65);
  EXPECT_EQ(row.find("devices")->as_uint64(), 7u);
  EXPECT_TRUE(row.find("naive_p90_error")->is_null());
  const std::string plain = run_program("list accuracy").out;
  EXPECT_TRUE(contains(plain, "left out of the fit") || contains(plain, "has not been judged"))
      << plain;
  EXPECT_TRUE(contains(run_program("list accuracy no-such-row").out, "No accuracy match"));
}

TEST(Bands, SayWhatTheyAreMadeOf) {
  hwdb::SpeedAccuracyRow row;
  row.rows = 4000, row.devices = 77, row.median_error = 0.123;
  row.situation = "plain", row.backend = "cuda";
  const planner::Estimate modelled{1, 2, 3, hwdb::Basis::modelled};
  EXPECT_EQ(band_words(&row, modelled),
            "4000 rows of 77 devices left out of the fit (dense models on one GPU, cuda): median "
            "error 12 %");
  row.situation = row.backend = "";
  EXPECT_TRUE(contains(band_words(&row, modelled), "(of any kind)"));
  EXPECT_TRUE(contains(band_words(nullptr, {1, 2, 3, hwdb::Basis::calibrated}), "calibrating"));
  EXPECT_TRUE(contains(band_words(nullptr, modelled), "a judgement"));
}

TEST(PowerAndDrafts, AreTakenAndChecked) {
  EXPECT_EQ(run_program(kPlan + "--power-limit 250 --quiet").status, 0);
  EXPECT_EQ(run_program(kPlan + "--power-limit 250 --json").out,
            run_program(kPlan + "--power-limit 250W --json").out);
  EXPECT_EQ(run_program(kPlan + "--draft llama-3.2-1b --acceptance 0.7 --json").out,
            run_program(kPlan + "--draft llama-3.2-1b --acceptance 70% --json").out);
  for (const char* wrong : {"--power-limit 0", "--power-limit 5000", "--acceptance -0.1"})
    EXPECT_EQ(run_program(kPlan + wrong).status, 2) << wrong;
}

}  // namespace
}  // namespace cli
