// SPDX-License-Identifier: MIT
#include "probes/runtime/log_speed.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hwdb/testing/temp_folder.h"

namespace probes {
namespace {

using hwdb::SpeedReading;
using Kind = SpeedReading::Test;

hwdb::Result<ToldSpeeds> told_by(const std::string& text) {
  const hwdb::testing::TempFolder folder;
  return read_log_speeds(folder.write("a.log", text));
}
std::vector<SpeedReading> readings_of(const std::string& text) {
  auto told = told_by(text);
  EXPECT_TRUE(told) << (told ? "" : told.error().what);
  return told ? std::move(told->readings) : std::vector<SpeedReading>();
}

TEST(LogSpeed, TheProgramCountsDecodesAsRuns) {
  const auto readings = readings_of(
      "llama_perf_context_print:        load time =     100.00 ms\n"
      "llama_perf_context_print: prompt eval time =    2000.00 ms /   400 tokens (    5.00 ms per "
      "token,   200.00 tokens per second)\n"
      "llama_perf_context_print:        eval time =    3000.00 ms /    60 runs   (   50.00 ms per "
      "token,    20.00 tokens per second)\n"
      "llama_perf_context_print:       total time =    5000.00 ms /   460 tokens\n");
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_EQ(readings[0].test, Kind::prefill);
  EXPECT_EQ(readings[0].source, SpeedReading::Source::log);
  EXPECT_EQ(readings[0].n_prompt, 400u);
  EXPECT_DOUBLE_EQ(readings[0].tok_per_s, 200);
  EXPECT_EQ(readings[1].test, Kind::decode);
  EXPECT_EQ(readings[1].n_gen, 60u);
  EXPECT_EQ(readings[1].depth, 400u);
  EXPECT_DOUBLE_EQ(readings[1].tok_per_s, 20);
  EXPECT_EQ(readings[1].flaw, "");
}

/// 5 tokens of 8 cells before, 3 of them from the cache; 61 tokens, the first with the prompt.
const std::string kServer =
    "0.00.1 I slot launch_slot_: id  1 | task 7 | processing task, is_child = 0\n"
    "0.00.2 I slot print_timing: id  1 | task 7 | prompt eval time =     500.00 ms /    50 tokens\n"
    "0.00.2 I slot print_timing: id  1 | task 7 |        eval time =    3000.00 ms /    61 tokens "
    "(   49.18 ms per token,    20.00 tokens per second)\n"
    "0.00.2 I slot print_timing: id  1 | task 7 |       total time =    3500.00 ms /   111 "
    "tokens\n";

TEST(LogSpeed, TheServerCountsTheFirstTokenWithTheAnswer) {
  const auto readings = readings_of(
      kServer + "0.00.2 I slot      release: id  1 | task 7 | stop processing: n_tokens = 140\n");
  ASSERT_EQ(readings.size(), 2u);
  // 140 cells at the end less 60 steps: 80 before the answer, 30 of them cached.
  EXPECT_EQ(readings[0].n_prompt, 50u);
  EXPECT_EQ(readings[0].depth, 30u);
  EXPECT_DOUBLE_EQ(readings[0].tok_per_s, 100);
  EXPECT_EQ(readings[1].n_gen, 60u);
  EXPECT_EQ(readings[1].depth, 80u);
  EXPECT_DOUBLE_EQ(readings[1].tok_per_s, 20);
}

TEST(LogSpeed, OlderServersNameTheSlotOnce) {
  const auto readings = readings_of(
      "slot print_timing: id  0 | task 0 | \n"
      "prompt eval time =     500.00 ms /    50 tokens (   10.00 ms per token)\n"
      "       eval time =    1000.00 ms /    21 tokens (   47.62 ms per token)\n"
      "      total time =    1500.00 ms /    71 tokens\n"
      "slot      release: id  0 | task 0 | stop processing: n_past = 70, truncated = 0\n");
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_DOUBLE_EQ(readings[0].tok_per_s, 100);
  EXPECT_DOUBLE_EQ(readings[1].tok_per_s, 20);
  EXPECT_EQ(readings[1].depth, 50u);
  EXPECT_EQ(readings[0].depth, 0u);
  const auto first = readings_of(
      "INFO [ print_timings] prompt eval time     =     500.00 ms /    50 tokens (  ...\n"
      "INFO [ print_timings] generation eval time =    1000.00 ms /    21 runs   (  ...\n");
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[1].n_gen, 20u);
}

TEST(LogSpeed, DraftsMakeTheAnswerSpeculative) {
  const auto readings = readings_of(
      kServer +
      "0.00.2 I slot print_timing: id  1 | task 7 | draft acceptance = 0.57576 (  171 accepted /  "
      " 297 generated), mean len =  3.38\n"
      "0.00.3 I slot release: id  1 | task 7 | stop processing: n_tokens = 110\n");
  ASSERT_EQ(readings.size(), 2u);
  EXPECT_EQ(readings[0].flaw, "");
  EXPECT_EQ(readings[1].flaw, "speculative");
}

TEST(LogSpeed, RequestsSideBySideAreNoMeasure) {
  std::string other = kServer;
  for (std::size_t at = 0; (at = other.find("id  1", at)) != std::string::npos;)
    other.replace(at, 5, "id  2");
  // Slot 2 begins before slot 1 is done; then slot 1 once more, alone.
  const std::string release1 = "slot release: id  1 | task 7 | stop processing: n_tokens = 110\n";
  const std::string release2 = "slot release: id  2 | task 7 | stop processing: n_tokens = 110\n";
  const auto readings =
      readings_of("slot launch_slot_: id  2 | task 6 | processing task, is_child = 0\n" + kServer +
                  release1 + other + release2 + kServer + release1);
  ASSERT_EQ(readings.size(), 6u);
  EXPECT_EQ(readings[0].flaw, "shared");
  EXPECT_EQ(readings[1].flaw, "shared");
  EXPECT_EQ(readings[3].flaw, "shared");
  EXPECT_EQ(readings[4].flaw, "");
  EXPECT_EQ(readings[5].flaw, "");
}

TEST(LogSpeed, ShortOnesAreFlawed) {
  const auto readings = readings_of(
      "x: prompt eval time = 10.00 ms / 31 tokens\nx: eval time = 10.00 ms / 7 runs\n"
      "x: prompt eval time = 10.00 ms / 32 tokens\nx: eval time = 10.00 ms / 8 runs\n");
  ASSERT_EQ(readings.size(), 4u);
  EXPECT_EQ(readings[0].flaw, "short");
  EXPECT_EQ(readings[1].flaw, "short");
  EXPECT_EQ(readings[2].flaw, "");
  EXPECT_EQ(readings[3].flaw, "");
}

TEST(LogSpeed, NonsenseInTheLinesIsPassedOver) {
  for (const char* line :
       {"prompt eval time = 0.00 ms / 31 tokens", "prompt eval time = -5.00 ms / 31 tokens",
        "prompt eval time = nan ms / 31 tokens", "prompt eval time = 5.00 ms / 0 tokens",
        "prompt eval time = 5.00 ms / 99999999999999999999 tokens", "prompt eval time = 5.00 ms",
        "prompt eval time", "eval time = 5.00 ms / 10 runs",
        "prompt eval time is = 3 ms / 4 tokens", "draft acceptance rate = 1",
        "slot release: id 1 | stop processing: n_tokens = 5"}) {
    const auto told = told_by(std::string(line) + "\n");
    ASSERT_FALSE(told) << line;
    EXPECT_EQ(told.error().code, "log.no_speed") << line;
  }
  EXPECT_EQ(told_by("").error().code, "log.no_speed");
  EXPECT_EQ(read_log_speeds("/nonexistent/a.log").error().code, "file.open");
}

TEST(LogSpeed, FromADescriptor) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string text = "x: prompt eval time = 1000.00 ms / 100 tokens\n";
  ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(ends[1]);
  const auto told = read_log_speeds(ends[0], "pipe");
  ::close(ends[0]);
  ASSERT_TRUE(told);
  EXPECT_DOUBLE_EQ(told->readings.front().tok_per_s, 100);
  EXPECT_EQ(told->readings.front().where, "pipe");
}

TEST(LogSpeed, SettingsComeFromTheSameLog) {
  const hwdb::testing::TempFolder folder;
  const auto readings = readings_of(
      "build: 4748 (38d4ef9a) with cc\n"
      "llama_model_loader: loaded meta data with 25 key-value pairs and 47 tensors from m.gguf "
      "(version GGUF V3)\n"
      "print_info: file type   = Q4_K - Medium\n"
      "load_tensors: offloaded 33/33 layers to GPU\n"
      "load_tensors:        CUDA0 model buffer size =  4403.49 MiB\n"
      "load_tensors:   CPU_Mapped model buffer size =   281.81 MiB\n"
      "llama_context: n_ctx         = 8192\n"
      "llama_context: n_batch       = 2048\n"
      "llama_context: n_ubatch      = 256\n"
      "llama_context: flash_attn    = 1\n"
      "llama_kv_cache_unified: size = 1024.00 MiB (  8192 cells,  32 layers,  1 seqs), K (q8_0): "
      "512.00 MiB, V (f16): 512.00 MiB\n" +
      kServer);
  ASSERT_EQ(readings.size(), 2u);
  const SpeedReading& one = readings.front();
  EXPECT_EQ(one.runtime, "llama.cpp");
  EXPECT_EQ(one.build, "b4748-38d4ef9a");
  EXPECT_EQ(one.model, "m.gguf");
  EXPECT_EQ(one.quant, "Q4_K_M");
  EXPECT_EQ(one.backend, "cuda");
  EXPECT_EQ(one.devices, 1u);
  EXPECT_EQ(one.n_gpu_layers, 33u);
  EXPECT_EQ(one.n_batch, 2048u);
  EXPECT_EQ(one.n_ubatch, 256u);
  EXPECT_EQ(one.flash_attn, true);
  EXPECT_EQ(one.cache_type_k, "q8_0");
  EXPECT_EQ(one.cache_type_v, "f16");
}

TEST(LogSpeed, RecordedLogs) {
  std::string folder;
  for (const char* place :
       {"/../shared/facts/runtime_samples/", "/../../shared/facts/runtime_samples/"}) {
    if (std::filesystem::exists(std::string(TOKWATT_SOURCE_DIR) + place))
      folder = std::string(TOKWATT_SOURCE_DIR) + place;
  }
  if (folder.empty()) GTEST_SKIP() << "no recorded samples beside the repository";
  const auto told = read_log_speeds(folder + "llama-server_requests_default_verbosity.log");
  ASSERT_TRUE(told) << told.error().what;
  ASSERT_GE(told->readings.size(), 8u);
  // 31 steps in 12.36 ms, which the server rounds to 2508.50 by finer figures.
  EXPECT_EQ(told->readings[1].n_gen, 31u);
  EXPECT_NEAR(told->readings[1].tok_per_s, 2508.50, 1.0);
  EXPECT_EQ(told->readings[1].depth, 5u);
  EXPECT_EQ(told->readings[0].depth, 0u);
  // The same prompt again: 4 of its 5 tokens from the cache.
  EXPECT_EQ(told->readings[2].n_prompt, 1u);
  EXPECT_EQ(told->readings[2].depth, 4u);
  EXPECT_EQ(told->notes.size(), 1u);
}

}  // namespace
}  // namespace probes
