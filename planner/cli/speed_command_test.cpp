// SPDX-License-Identifier: MIT
// `tokwatt verify --speed` and `bench --against-plan` as a user runs them.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "hwdb/json.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/program_test.h"
#include "probes/testing/fake_server.h"

namespace cli {
namespace {

using hwdb::Json;
using hwdb::testing::TempFolder;
using probes::testing::FakeServer;

std::string code_of(const ProgramRun& run) {
  const std::size_t open = run.err.find("error["), close = run.err.find(']', open);
  if (open == std::string::npos || close == std::string::npos) return "";
  return run.err.substr(open + 6, close - open - 6);
}

/// A llama-bench document of a catalogue model on one card.
std::string bench_document(double prefill, double decode) {
  const std::string shared =
      R"({"build_commit":"abc","build_number":9000,"cpu_info":"Some CPU",
      "gpu_info":"NVIDIA GeForce RTX 4090","backends":"CUDA","n_gpu_layers":99,"flash_attn":1,
      "type_k":"f16","type_v":"f16","n_batch":2048,"n_ubatch":512,
      "model_filename":"/m/Llama-3.1-8B-Q4_K_M.gguf","model_type":"llama 8B Q4_K - Medium",)";
  return "[" + shared + R"("n_prompt":512,"n_gen":0,"avg_ts":)" + std::to_string(prefill) + "}," +
         shared + R"("n_prompt":0,"n_gen":128,"n_depth":4096,"avg_ts":)" + std::to_string(decode) +
         "}," + shared + R"("n_prompt":512,"n_gen":128,"avg_ts":1}])";
}

const Json* row_of(const Json& document, std::size_t index) {
  const Json* speed = document.find("speed");
  const Json* rows = speed != nullptr ? speed->find("rows") : nullptr;
  const Json::Array* list = rows != nullptr ? rows->as_array() : nullptr;
  return list != nullptr && index < list->size() ? &(*list)[index] : nullptr;
}
double number_at(const Json* row, std::string_view key) {
  const Json* value = row != nullptr ? row->find(key) : nullptr;
  return value != nullptr ? value->as_double().value_or(-1) : -1;
}

TEST(VerifySpeed, ALlamaBenchDocumentBesideThePlanOfItsOwnSettings) {
  const TempFolder folder;
  const std::string path = folder.write("bench.json", bench_document(9000, 100));
  const ProgramRun run = run_program("verify --speed " + path + " --json");
  ASSERT_EQ(run.status, 0) << run.err;
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document) << run.out;
  const Json *prefill = row_of(*document, 0), *decode = row_of(*document, 1);
  ASSERT_NE(decode, nullptr) << run.out;
  EXPECT_EQ(row_of(*document, 2), nullptr);
  EXPECT_EQ(*prefill->find("test")->as_string(), "pp512");
  EXPECT_EQ(*decode->find("test")->as_string(), "tg128 @ d4096");
  EXPECT_EQ(number_at(decode, "measured_tok_per_s"), 100);
  const double likely = number_at(decode->find("predicted_tok_per_s"), "likely");
  EXPECT_NEAR(number_at(decode, "error"), likely / 100 - 1, 1e-5);
  const bool inside = number_at(decode->find("predicted_tok_per_s"), "low") <= 100 &&
                      number_at(decode->find("predicted_tok_per_s"), "high") >= 100;
  EXPECT_EQ(decode->find("inside_band")->as_bool(), inside);
  EXPECT_NE(run.out.find("prompt and answer timed as one"), std::string::npos);

  // The same figures as plan gives for the same question: one estimator.
  const ProgramRun plan = run_shell(
      R"(echo '{"model":"llama-3.1-8b","quant":"Q4_K_M","on":"RTX 4090","backend":"cuda",)"
      R"("n_gpu_layers":99,"n_ctx":4352,"n_prompt":1,"n_gen":126,"depth":4096}' | )" +
      std::string(kProgram) + " batch -");
  const auto planned = hwdb::parse_json(plan.out, "plan");
  ASSERT_TRUE(planned) << plan.out << plan.err;
  EXPECT_NEAR(number_at(planned->find("decode_tok_per_s"), "likely") / likely, 1, 1e-9);
}

TEST(VerifySpeed, ToleranceBecomesAnExitCode) {
  const TempFolder folder;
  const std::string path = folder.write("bench.json", bench_document(9000, 1));
  const ProgramRun missed = run_program("verify --speed " + path + " --tolerance 20%");
  EXPECT_EQ(missed.status, 7) << missed.err;
  EXPECT_EQ(code_of(missed), "check.not_met");
  EXPECT_NE(missed.out.find("outside"), std::string::npos);
  EXPECT_NE(missed.out.find("which term is off"), std::string::npos) << missed.out;
  EXPECT_EQ(run_program("verify --speed " + path).status, 0);
}

TEST(VerifySpeed, EveryFormatIsRendered) {
  const TempFolder folder;
  const std::string path = folder.write("bench.json", bench_document(9000, 100));
  const ProgramRun csv = run_program("verify --speed --format csv " + path);
  EXPECT_EQ(csv.status, 0) << csv.err;
  EXPECT_NE(csv.out.find("test,measured_tok_per_s,predicted_tok_per_s_low"), std::string::npos)
      << csv.out;
  const ProgramRun markdown = run_program("verify --speed --format md " + path);
  EXPECT_NE(markdown.out.find("tg128 @ d4096 |"), std::string::npos) << markdown.out;
}

TEST(VerifySpeed, WhatCannotBeReadOrFound) {
  const TempFolder folder;
  const auto status_and_code = [](const std::string& arguments) {
    const ProgramRun run = run_program("verify --speed " + arguments);
    return std::to_string(run.status) + " " + code_of(run);
  };
  EXPECT_EQ(status_and_code(folder.file("none.json")), "3 file.open");
  EXPECT_EQ(status_and_code(folder.path().string()), "3 file.not_regular");
  EXPECT_EQ(status_and_code(folder.write("a.json", "[")), "3 json.syntax");
  EXPECT_EQ(status_and_code(folder.write("b.json", "[{}]")), "3 llama_bench.format");
  EXPECT_EQ(status_and_code(folder.write("c.log", "nothing\n")), "3 log.no_speed");
  EXPECT_EQ(status_and_code("- < /dev/null"), "3 log.no_speed");
  EXPECT_EQ(status_and_code("http://127.0.0.1:1"), "5 endpoint.unreachable");
  EXPECT_EQ(status_and_code("http://user:secret@127.0.0.1"), "2 usage.url");
  const std::string row = R"({"build_commit":"a","model_filename":"no-such-model.gguf",)";
  EXPECT_EQ(status_and_code(folder.write("d.json", row + R"("n_prompt":1,"n_gen":0,"avg_ts":0}")")),
            "3 json.syntax");
  EXPECT_EQ(status_and_code(folder.write("e.json", row + R"("n_prompt":1,"n_gen":0,"avg_ts":0})")),
            "3 llama_bench.row");
  EXPECT_EQ(status_and_code(folder.write("f.json", row + R"("n_prompt":1,"n_gen":0,"avg_ts":5})")),
            "2 name.unknown");
  EXPECT_EQ(status_and_code(folder.write("g.json", row + R"("n_prompt":1,"n_gen":1,"avg_ts":5})")),
            "3 llama_bench.no_speed");
  EXPECT_EQ(status_and_code(folder.write("h.json", row + R"("gpu_info":"Nobody's Card",
    "backends":"CUDA","n_prompt":1,"n_gen":0,"avg_ts":5})") +
                            " --model llama-3.1-8b"),
            "2 usage.arguments");
}

TEST(VerifySpeed, ALogWithTimes) {
  const TempFolder folder;
  const std::string path =
      folder.write("a.log",
                   "llama_perf_context_print: prompt eval time =    1000.00 ms /   500 tokens\n"
                   "llama_perf_context_print:        eval time =    1000.00 ms /    50 runs\n");
  const ProgramRun run =
      run_program("verify --speed " + path + " --model llama-3.1-8b --on \"RTX 4090\" --json");
  ASSERT_EQ(run.status, 0) << run.err;
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document);
  EXPECT_EQ(number_at(row_of(*document, 0), "measured_tok_per_s"), 500);
  EXPECT_EQ(number_at(row_of(*document, 1), "measured_tok_per_s"), 50);
  EXPECT_EQ(number_at(row_of(*document, 1), "depth"), 500);
  EXPECT_EQ(run_program("verify --speed " + path).status, 2);
}

/// A llama-server of 2 ms a token of the prompt and 5 ms a step.
void answer(const std::string& request, const std::string&, const FakeServer::Send& send) {
  if (request.find("/props") != std::string::npos) {
    send(FakeServer::ok(R"({"default_generation_settings":{"n_ctx":4096},"total_slots":1,
      "model_path":"/m/Llama-3.1-8B-Q4_K_M.gguf","model_ftype":"Q4_K - Medium"})"));
  } else if (request.find("/completion") != std::string::npos) {
    send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 11; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      send("data: {\"content\":\"a\"}\n\n");
    }
    send(
        R"(data: {"stop":true,"tokens_evaluated":100,"tokens_predicted":11,"timings":{"prompt_n":100,)"
        R"("prompt_ms":200,"predicted_n":11,"predicted_ms":50}})"
        "\n\n");
  } else {
    send(FakeServer::status("404 Not Found", "{}"));
  }
}

TEST(VerifySpeed, ALiveServerIsMeasured) {
  FakeServer server(answer);
  ASSERT_TRUE(server.ready());
  const ProgramRun run =
      run_program("verify --speed " + server.url() + " --on \"RTX 4090\" -p 64 -n 11 -r 4 --json");
  ASSERT_EQ(run.status, 0) << run.err;
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document) << run.out;
  EXPECT_EQ(number_at(row_of(*document, 0), "measured_tok_per_s"), 500);
  EXPECT_EQ(number_at(row_of(*document, 1), "measured_tok_per_s"), 200);
  EXPECT_EQ(number_at(row_of(*document, 1), "n_gen"), 10);
  EXPECT_EQ(row_of(*document, 0)->find("samples_tok_per_s")->as_array()->size(), 4u);
  EXPECT_NE(document->find("clocks"), nullptr);
  EXPECT_NE(run.err.find("asking prompt of 64 tokens (4 of 4)"), std::string::npos) << run.err;
}

TEST(BenchAgainstPlan, PredictedStandsBesideEachTest) {
  const TempFolder folder;
  const std::string file = folder.file("small.gguf");
  ASSERT_EQ(
      run_program("synth tinyllama-1.1b --layers 1 --vocab 512 --quant Q8_0 -o " + file).status, 0);
  // The machine's bandwidth must be known, so that there is a plan.
  const std::string command = "bench " + file + " -p 32 -n 8 -d 0,64 -pg 16,4 -r 1 --against-plan";
  const ProgramRun run = run_program(command + " --json");
  if (code_of(run) == "speed.unknown") GTEST_SKIP() << "this machine's memory is not known";
  ASSERT_EQ(run.status, 0) << run.err;
  const auto document = hwdb::parse_json(run.out, "bench");
  ASSERT_TRUE(document) << run.out;
  const Json* row = row_of(*document, 0);
  ASSERT_NE(row, nullptr) << run.out;
  // Prompts and answers at two depths; a prompt with its answer is no row.
  ASSERT_NE(row_of(*document, 3), nullptr);
  EXPECT_EQ(row_of(*document, 4), nullptr);
  EXPECT_EQ(*row->find("runtime")->as_string(), "tokwatt");
  EXPECT_EQ(number_at(row, "n_prompt"), 32);
  EXPECT_GT(number_at(row, "predicted_s"), 0);
  EXPECT_GT(row->find("terms")->as_array()->size(), 0u);
  EXPECT_EQ(run_program(command + " -o json").status, 2);
}

}  // namespace
}  // namespace cli
