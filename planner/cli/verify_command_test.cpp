// SPDX-License-Identifier: MIT
// `tokwatt verify` as a user runs it: logs from files and pipes, live servers, and exit codes.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "hwdb/json.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/program_test.h"
#include "probes/testing/fake_server.h"

namespace cli {
namespace {

using probes::testing::FakeServer;

std::string log_path(const char* name) {
  return std::string(TOKWATT_SOURCE_DIR) + "/tests/fixtures/logs/" + name;
}

std::string code_of(const ProgramRun& run) {
  const std::size_t open = run.err.find('['), close = run.err.find(']');
  if (!run.err.starts_with("error[") || close == std::string::npos) return "";
  return run.err.substr(open + 1, close - open - 1);
}

/// The row of that term and device in the JSON of a run; null when there is none.
const hwdb::Json* row_of(const hwdb::Json& document, std::string_view device,
                         std::string_view term) {
  const hwdb::Json* memory = document.find("memory");
  const hwdb::Json* rows = memory != nullptr ? memory->find("rows") : nullptr;
  const hwdb::Json::Array* list = rows != nullptr ? rows->as_array() : nullptr;
  if (list == nullptr) return nullptr;
  for (const hwdb::Json& row : *list) {
    const hwdb::Json *d = row.find("device"), *t = row.find("term");
    if (d != nullptr && t != nullptr && *d->as_string() == device && *t->as_string() == term) {
      return &row;
    }
  }
  return nullptr;
}

std::string text_at(const hwdb::Json* row, std::string_view key) {
  const hwdb::Json* value = row != nullptr ? row->find(key) : nullptr;
  return value != nullptr && value->as_string() != nullptr ? *value->as_string() : "";
}

TEST(VerifyCommand, TheModelComesFromTheCatalogueAndTheCardFromTheLog) {
  const ProgramRun run = run_program("verify " + log_path("one-gpu-v0.5.log") + " --json");
  EXPECT_EQ(run.status, 0) << run.err;
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document) << run.out;
  EXPECT_EQ(text_at(document->find("settings"), "model"), "llama-3.1-8b");
  EXPECT_EQ(text_at(document->find("settings"), "quant"), "Q4_K_M");
  // 8192 cells x 32 layers x 8 heads x 128 x 2 x 2 bytes.
  const hwdb::Json* cache = row_of(*document, "RTX 4090", "kv_cache");
  ASSERT_NE(cache, nullptr) << run.out;
  EXPECT_EQ(cache->find("predicted_bytes")->as_double(), 8192.0 * 32 * 8 * 128 * 2 * 2);
  EXPECT_EQ(text_at(cache, "verdict"), "equal");
  EXPECT_EQ(text_at(row_of(*document, "RTX 4090", "weights"), "verdict"), "equal");
  EXPECT_EQ(text_at(row_of(*document, "CPU", "weights"), "labels"), "CPU_Mapped");
}

TEST(VerifyCommand, WhatTheUserGivesGoesBeforeTheLog) {
  const ProgramRun run = run_program("verify " + log_path("one-gpu-v0.5.log") + " -c 4096 --json");
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document) << run.err;
  EXPECT_EQ(document->find("settings")->find("n_ctx")->as_uint64(), 4096u);
  const hwdb::Json* cache = row_of(*document, "RTX 4090", "kv_cache");
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(text_at(cache, "verdict"), "differs");
  const hwdb::Json::Array* reasons = cache->find("reasons")->as_array();
  ASSERT_EQ(reasons->size(), 1u);
  EXPECT_EQ(text_at(&reasons->front(), "code"), "settings");
  EXPECT_NE(text_at(&reasons->front(), "text").find("8192 ran, 4096 was planned"),
            std::string::npos);
}

TEST(VerifyCommand, ToleranceBecomesAnExitCode) {
  const std::string log = "verify " + log_path("one-gpu-v0.5.log") + " --quiet";
  const ProgramRun met = run_program(log + " --tolerance 60%");
  EXPECT_EQ(met.status, 0) << met.err;
  const ProgramRun missed = run_program(log + " -c 512 --tolerance 1.5%");
  EXPECT_EQ(missed.status, 7) << missed.err;
  EXPECT_EQ(code_of(missed), "check.not_met");
  EXPECT_NE(missed.err.find("more than 1.5 %"), std::string::npos) << missed.err;
  EXPECT_NE(missed.out.find("RTX 4090"), std::string::npos);
  EXPECT_EQ(run_program(log + " --tolerance lots").status, 2);
  EXPECT_EQ(run_program(log + " --tolerance -1%").status, 2);
}

TEST(VerifyCommand, LogsThatAreNone) {
  const hwdb::testing::TempFolder folder;
  const auto status_and_code = [&](const std::string& arguments) {
    const ProgramRun run = run_program("verify " + arguments);
    return std::to_string(run.status) + " " + code_of(run);
  };
  EXPECT_EQ(status_and_code(folder.file("none.log")), "3 file.open");
  EXPECT_EQ(status_and_code(folder.path().string()), "3 file.not_regular");
  EXPECT_EQ(status_and_code("/dev/zero"), "3 file.not_regular");
  EXPECT_EQ(status_and_code(folder.write("a.txt", "hello\n")), "3 log.unrecognized");
  EXPECT_EQ(status_and_code("- < /dev/null"), "3 log.unrecognized");
  EXPECT_EQ(status_and_code(folder.write("b.log", "load_model: loading model 'a.gguf'\n")),
            "3 log.no_memory");
  const std::string unknown =
      folder.write("c.log", "load_tensors: CPU model buffer size = 5.00 MiB\n");
  EXPECT_EQ(status_and_code(unknown), "2 name.unknown");
  EXPECT_EQ(status_and_code(unknown + " --model no-such-model-at-all"), "2 name.unknown");
  const std::string card =
      folder.write("d.log", "load_tensors: CUDA0 model buffer size = 5.00 MiB\n");
  EXPECT_EQ(status_and_code(card + " --model llama-3.1-8b"), "2 usage.arguments");
  EXPECT_EQ(status_and_code("file:///etc/passwd"), "2 usage.url");
}

/// A file of its own beside its log, found by the relative name in the log.
TEST(VerifyCommand, TheModelIsReadFromTheFileBesideTheLog) {
  const hwdb::testing::TempFolder folder;
  hwdb::testing::GgufBuilder builder;
  hwdb::testing::TinyLlama tiny;
  tiny.add_keys(&builder);
  tiny.add_tensors(&builder);
  folder.write("tiny.gguf", builder.build());
  const std::string log = folder.write(
      "server.log",
      "llama_model_loader: loaded meta data with 9 key-value pairs and 9 tensors from tiny.gguf "
      "(version GGUF V3 (latest))\nload_tensors:  CPU model buffer size =  0.05 MiB\n"
      "llama_context: n_ctx = 256\n");
  const ProgramRun run = run_program("verify " + log + " --json");
  EXPECT_EQ(run.status, 0) << run.err;
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document);
  EXPECT_EQ(text_at(document->find("settings"), "model"), "tiny.gguf");
  EXPECT_EQ(document->find("settings")->find("n_ctx")->as_uint64(), 256u);
}

TEST(VerifyCommand, LiveServers) {
  const FakeServer server(
      [](const std::string& request, const std::string&, const FakeServer::Send& send) {
        if (request.starts_with("GET /props ")) {
          send(FakeServer::ok(R"({"default_generation_settings":{"n_ctx":8192},"total_slots":1,
        "model_path":"/models/Llama-3.2-3B-Instruct-Q4_K_M.gguf","build_info":"b1-de3ff81",
        "model_ftype":"Q4_K - Medium"})"));
        } else if (request.starts_with("GET /v1/models ")) {
          send(FakeServer::ok(R"({"data":[{"id":"x","meta":{"size":1,"n_params":3212749888}}]})"));
        } else {
          send(FakeServer::status("404 Not Found"));
        }
      });
  const ProgramRun run =
      run_program("verify " + server.url() + " --on 'Raspberry Pi 5 16GB' --json --tolerance 5%");
  const auto document = hwdb::parse_json(run.out, "verify");
  ASSERT_TRUE(document) << run.err;
  EXPECT_EQ(text_at(document->find("settings"), "model"), "llama-3.2-3b");
  EXPECT_EQ(document->find("settings")->find("n_ctx")->as_uint64(), 8192u);
  EXPECT_EQ(text_at(row_of(*document, "all", "tensors"), "verdict"), "differs");
  EXPECT_EQ(text_at(row_of(*document, "CPU", "compute"), "verdict"), "not_told");
  // A size of one byte is beyond any tolerance.
  EXPECT_EQ(run.status, 7) << run.err;
  const ProgramRun nobody = run_program("verify http://127.0.0.1:1 --json");
  EXPECT_EQ(nobody.status, 5);
  EXPECT_EQ(code_of(nobody), "endpoint.unreachable");
  EXPECT_NE(nobody.out.find("endpoint.unreachable"), std::string::npos);
}

TEST(VerifyCommand, TextOfALogIsEscaped) {
  const hwdb::testing::TempFolder folder;
  const std::string log = folder.write(
      "e.log",
      "print_info: file type = a\x07\xff<b>\nload_tensors: X\x1b]0;evil\x07Y model buffer size = "
      "5.00 MiB\nload_tensors: CPU model buffer size = 5.00 MiB\n");
  const ProgramRun run =
      run_program("verify " + log + " --model llama-3.1-8b --quant Q4_K_M --on 'RTX 4090'");
  EXPECT_EQ(run.status, 0) << run.err;
  for (const char c : run.out) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  }
  EXPECT_NE(run.out.find("\\x07"), std::string::npos);
}

}  // namespace
}  // namespace cli
