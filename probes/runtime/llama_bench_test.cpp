// SPDX-License-Identifier: MIT
#include "probes/runtime/llama_bench.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hwdb/testing/temp_folder.h"
#include "probes/runtime/csv_rows.h"
#include "probes/runtime/speed_samples.h"

namespace probes {
namespace {

using hwdb::SpeedReading;
using Kind = SpeedReading::Test;

/// A row as a recent llama-bench writes it, with members before and instead.
std::string row(const std::string& members) {
  return R"({"build_commit":"de3ff81","build_number":9209,"cpu_info":"Acme CPU",)" + members +
         R"(,"model_filename":"/m/a.gguf","model_type":"llama 8B Q4_K - Medium",
         "model_size":4920000000,"model_n_params":8030000000,"n_batch":2048,"n_ubatch":512,
         "n_threads":8,"type_k":"f16","type_v":"q8_0","test_time":"2026-11-20T09:48:05Z"})";
}
const std::string kCpu = R"("gpu_info":"","backends":"CPU","n_gpu_layers":-1,"flash_attn":-1,)";
const std::string kPrompt = R"("n_prompt":512,"n_gen":0,"n_depth":0,"avg_ts":100.0)";

std::string code_of(std::string_view text) {
  const auto told = read_llama_bench(text, "x");
  return told ? "ok" : told.error().code;
}
SpeedReading only(const std::string& text) {
  const auto told = read_llama_bench(text, "x");
  EXPECT_TRUE(told) << (told ? "" : told.error().what);
  if (!told || told->readings.size() != 1) return {};
  return told->readings.front();
}

TEST(LlamaBench, ARowOfARecentBuild) {
  const SpeedReading reading = only(
      "[" + row(R"("gpu_info":"NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090","backends":"CUDA",
      "n_gpu_layers":99,"n_cpu_moe":4,"split_mode":"layer","flash_attn":1,"tensor_split":"3.00/1.00",
      "tensor_buft_overrides":"exps=CPU;out=CUDA0","n_prompt":0,"n_gen":128,"n_depth":4096,
      "avg_ts":33.5,"stddev_ts":9.0,"samples_ts":[30.0,34.0,29.0])") +
      "]");
  EXPECT_EQ(reading.source, SpeedReading::Source::llama_bench);
  EXPECT_EQ(reading.test, Kind::decode);
  EXPECT_EQ(reading.where, "x");
  EXPECT_EQ(reading.runtime, "llama.cpp");
  EXPECT_EQ(reading.build, "b9209-de3ff81");
  EXPECT_EQ(reading.measured_at, "2026-11-20T09:48:05Z");
  EXPECT_EQ(reading.model, "/m/a.gguf");
  EXPECT_EQ(reading.quant, "Q4_K_M");
  EXPECT_EQ(reading.model_bytes, 4920000000u);
  EXPECT_EQ(reading.n_params, 8030000000u);
  EXPECT_EQ(reading.device, "NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090");
  EXPECT_EQ(reading.devices, 2u);
  EXPECT_EQ(reading.backend, "cuda");
  EXPECT_EQ(reading.n_prompt, 0u);
  EXPECT_EQ(reading.n_gen, 128u);
  EXPECT_EQ(reading.depth, 4096u);
  EXPECT_EQ(reading.n_batch, 2048u);
  EXPECT_EQ(reading.n_ubatch, 512u);
  EXPECT_EQ(reading.n_threads, 8u);
  EXPECT_EQ(reading.n_gpu_layers, 99u);
  EXPECT_EQ(reading.n_cpu_moe, 4u);
  EXPECT_EQ(reading.flash_attn, true);
  EXPECT_EQ(reading.cache_type_k, "f16");
  EXPECT_EQ(reading.cache_type_v, "q8_0");
  EXPECT_EQ(reading.tensor_split, (std::vector<double>{3, 1}));
  EXPECT_EQ(reading.override_tensor, "exps=CPU,out=CUDA0");
  // The median, not the mean; deviation of 30, 34 and 29 is the square root of 7.
  EXPECT_DOUBLE_EQ(reading.tok_per_s, 30);
  EXPECT_NEAR(reading.deviation * reading.deviation, 7, 1e-9);
  EXPECT_EQ(reading.flaw, "");
}

TEST(LlamaBench, WhatIsLeftToTheProgramIsNotTold) {
  const SpeedReading reading = only(row(kCpu + R"("tensor_split":"0.00",
    "tensor_buft_overrides":"none",)" + kPrompt));
  EXPECT_EQ(reading.backend, "cpu");
  EXPECT_EQ(reading.device, "Acme CPU");
  EXPECT_EQ(reading.n_gpu_layers, std::nullopt);
  EXPECT_EQ(reading.flash_attn, std::nullopt);
  EXPECT_TRUE(reading.tensor_split.empty());
  EXPECT_EQ(reading.override_tensor, "");
  EXPECT_DOUBLE_EQ(reading.tok_per_s, 100);
  EXPECT_EQ(reading.test, Kind::prefill);
  EXPECT_EQ(reading.n_prompt, 512u);
}

TEST(LlamaBench, OlderBackendsAndFlashAttention) {
  const auto with = [](const std::string& members) { return only(row(members + kPrompt)); };
  EXPECT_EQ(with(R"("cuda":true,"gpu_info":"NVIDIA A","n_gpu_layers":99,)").backend, "cuda");
  EXPECT_EQ(with(R"("cuda":true,"gpu_info":"AMD Radeon RX 7900 XTX",)").backend, "rocm");
  EXPECT_EQ(with(R"("cuda":false,"metal":true,"gpu_info":"",)").backend, "metal");
  EXPECT_EQ(with(R"("cuda":false,"vulkan":"0","gpu_info":"",)").backend, "cpu");
  EXPECT_EQ(with(R"("backends":"Metal,BLAS",)").backend, "metal");
  EXPECT_EQ(with(R"("backends":"ROCm",)").backend, "rocm");
  EXPECT_EQ(with(R"("backends":"Vulkan,RPC",)").backend, "vulkan");
  EXPECT_EQ(with(R"("backends":"OpenCL",)").backend, "");
  EXPECT_EQ(with(R"("flash_attn":true,)").flash_attn, true);
  EXPECT_EQ(with(R"("flash_attn":0,)").flash_attn, false);
  EXPECT_EQ(with(R"("flash_attn":"on",)").flash_attn, true);
  EXPECT_EQ(with(R"("flash_attn":"auto",)").flash_attn, std::nullopt);
  EXPECT_EQ(with(R"("fused_moe":true,)").runtime, "ik_llama.cpp");
  // Nothing on the GPU: the processor's name, and the build's backend.
  const SpeedReading none = with(R"("backends":"CUDA","gpu_info":"A","n_gpu_layers":0,)");
  EXPECT_EQ(none.device, "Acme CPU");
  EXPECT_EQ(none.n_gpu_layers, 0u);
  EXPECT_EQ(with(R"("backends":"CUDA","gpu_info":"A","no_kv_offload":true,)").flaw, "cache in RAM");
}

TEST(LlamaBench, LinesAndCsvTellTheSame) {
  const std::string line =
      R"({"build_commit":"tokwatt 0.1.0","model_filename":"a.gguf","n_prompt":0,"n_gen":16,
      "n_parallel":4,"avg_ts":12.5})";
  std::string one_line = line;
  std::erase(one_line, '\n');
  const auto lines = read_llama_bench(one_line + "\r\n\n" + one_line + "\n", "x");
  ASSERT_TRUE(lines) << lines.error().what;
  ASSERT_EQ(lines->readings.size(), 2u);
  EXPECT_EQ(lines->readings[1].runtime, "tokwatt");
  EXPECT_EQ(lines->readings[1].build, "0.1.0");
  EXPECT_EQ(lines->readings[1].batch, 4u);
  const SpeedReading csv = only(
      "build_commit,model_filename,n_prompt,n_gen,n_parallel,flash_attn,avg_ts,stddev_ts\r\n"
      "\"tokwatt 0.1.0\",\"a, \"\"b\"\".gguf\",\"0\",\"16\",4,\"1\",\"12.5\",\"0.5\"\r\n");
  EXPECT_EQ(csv.model, "a, \"b\".gguf");
  EXPECT_EQ(csv.n_gen, 16u);
  EXPECT_EQ(csv.batch, 4u);
  EXPECT_EQ(csv.flash_attn, true);
  EXPECT_DOUBLE_EQ(csv.tok_per_s, 12.5);
  EXPECT_DOUBLE_EQ(csv.deviation, 0.5);
  // Our own report has its rows in a member.
  EXPECT_EQ(only(R"({"schema":"1.0","command":"bench","tests":[)" + line + "]}").n_gen, 16u);
}

TEST(LlamaBench, RowsOfSomethingElseAreLeftOutWithANote) {
  const auto told = read_llama_bench("[" + row(kCpu + R"("n_prompt":512,"n_gen":128,"avg_ts":1)") +
                                         "," + row(kCpu + R"("n_prompt":0,"n_gen":0,"avg_ts":1)") +
                                         "," + row(kCpu + R"("embeddings":true,)" + kPrompt) + "," +
                                         row(kCpu + kPrompt) + "]",
                                     "x");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->readings.size(), 1u);
  EXPECT_EQ(told->notes.size(), 3u);
  EXPECT_EQ(told->notes[0], "1 row is left out: prompt and answer timed as one.");
}

TEST(LlamaBench, SpeedsFromTimesWhereOnlyTheyAreTold) {
  // 512 tokens in 2 s and in 4 s: 256 and 128 tok/s.
  const SpeedReading reading = only(
      row(kCpu + R"("n_prompt":512,"n_gen":0,"samples_ns":[2000000000,4000000000],"avg_ts":1)"));
  EXPECT_EQ(reading.samples, (std::vector<double>{256, 128}));
  EXPECT_DOUBLE_EQ(reading.tok_per_s, 192);
}

TEST(LlamaBench, MalformedDocuments) {
  EXPECT_EQ(code_of(""), "llama_bench.format");
  EXPECT_EQ(code_of(" \n"), "llama_bench.format");
  EXPECT_EQ(code_of("hello"), "llama_bench.format");
  EXPECT_EQ(code_of("| model | size |"), "llama_bench.format");
  EXPECT_EQ(code_of("[]"), "llama_bench.format");
  EXPECT_EQ(code_of("{}"), "llama_bench.format");
  EXPECT_EQ(code_of(R"([{"a":1}])"), "llama_bench.format");
  EXPECT_EQ(code_of("[1]"), "llama_bench.row");
  EXPECT_EQ(code_of("[" + row(kCpu + kPrompt)), "json.syntax");
  EXPECT_EQ(code_of("[" + std::string(100, '[')), "json.limit");
  EXPECT_EQ(code_of(R"({"avg_ts":1,"avg_ts":2})"), "json.duplicate");
  const auto row_code = [](const std::string& members) {
    return code_of("[" + row(kCpu + members) + "]");
  };
  EXPECT_EQ(row_code(kPrompt), "ok");
  EXPECT_EQ(row_code(R"("n_prompt":-1,"n_gen":0,"avg_ts":1)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1.5,"n_gen":0,"avg_ts":1)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1e12,"n_gen":0,"avg_ts":1)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":[],"n_gen":0,"avg_ts":1)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":"12x","n_gen":0,"avg_ts":1)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1,"n_gen":0,"avg_ts":0)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1,"n_gen":0,"avg_ts":-3)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1,"n_gen":0,"avg_ts":1e300)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1,"n_gen":0)"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1,"n_gen":0,"samples_ts":[1,0])"), "llama_bench.row");
  EXPECT_EQ(row_code(R"("n_prompt":1,"n_gen":0,"samples_ns":["a"],"avg_ts":1)"), "llama_bench.row");
  const auto error = read_llama_bench(
      "[" + row(kCpu + kPrompt) + "," + row(kCpu + R"("n_prompt":1,"n_gen":0)") + "]", "x");
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().what, "row 2: avg_ts is no number");
}

TEST(LlamaBench, MalformedCsv) {
  const std::string head = "build_commit,model_filename,n_prompt,n_gen,avg_ts\n";
  EXPECT_EQ(code_of(head), "llama_bench.format");
  EXPECT_EQ(code_of(head + "a,b,1,0,2\n"), "ok");
  EXPECT_EQ(code_of(head + "a,b,1,0\n"), "llama_bench.row");
  EXPECT_EQ(code_of(head + "a,b,1,0,2,3\n"), "llama_bench.row");
  EXPECT_EQ(code_of(head + "a,\"b,1,0,2\n"), "llama_bench.row");
  EXPECT_EQ(code_of("build_commit,build_commit\n1,2\n"), "llama_bench.format");
  EXPECT_EQ(code_of("build_commit," + std::string(2000, ',') + "\n"), "llama_bench.format");
}

TEST(LlamaBench, Limits) {
  std::string rows = "build_commit,model_filename,n_prompt,n_gen,avg_ts\n";
  for (std::size_t i = 0; i + 1 < kMaxBenchRows; ++i) rows += "a,b,1,0,2\n";
  EXPECT_EQ(code_of(rows), "ok");
  EXPECT_EQ(code_of(rows + "a,b,1,0,2\n"), "llama_bench.limit");
  EXPECT_EQ(code_of(std::string(kMaxBenchBytes + 1, ' ')), "llama_bench.limit");
}

TEST(LlamaBench, EveryCutOfADocumentIsReadOrRefused) {
  const std::string text = "[" + row(kCpu + kPrompt) + "]";
  for (std::size_t n = 0; n < text.size(); ++n) {
    EXPECT_NE(code_of(text.substr(0, n)), "ok") << n;
  }
}

TEST(LlamaBench, Files) {
  const hwdb::testing::TempFolder folder;
  const auto told = read_llama_bench_file(folder.write("a.json", row(kCpu + kPrompt)));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->readings.front().where, folder.file("a.json"));
  EXPECT_EQ(read_llama_bench_file(folder.file("none")).error().code, "file.open");
  EXPECT_EQ(read_llama_bench_file(folder.path().string()).error().code, "file.not_regular");
}

TEST(LlamaBench, TellsItsDocumentsFromLogs) {
  EXPECT_TRUE(looks_like_llama_bench("[\n  {"));
  EXPECT_TRUE(looks_like_llama_bench("\"build_commit\",\"x\""));
  EXPECT_TRUE(looks_like_llama_bench(R"({"build_commit":"a"})"));
  EXPECT_FALSE(looks_like_llama_bench(R"({"type":"log","msg":"load"})"));
  EXPECT_FALSE(looks_like_llama_bench("llama_print_timings: eval time"));
  EXPECT_FALSE(looks_like_llama_bench(""));
}

TEST(SpeedSamples, TheMiddleOne) {
  EXPECT_EQ(median_of({}), 0);
  EXPECT_EQ(median_of({3, 1, 2}), 2);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
  EXPECT_FALSE(is_speed(0));
  EXPECT_FALSE(is_speed(1e9));
  EXPECT_FALSE(is_speed(-1));
  EXPECT_TRUE(is_speed(0.01));
}

/// Documents as the programs wrote them.
TEST(LlamaBench, RecordedDocuments) {
  std::string folder;
  for (const char* place :
       {"/../shared/facts/runtime_samples/", "/../../shared/facts/runtime_samples/"}) {
    if (std::filesystem::exists(std::string(TOKWATT_SOURCE_DIR) + place))
      folder = std::string(TOKWATT_SOURCE_DIR) + place;
  }
  if (folder.empty()) GTEST_SKIP() << "no recorded samples beside the repository";
  for (const char* name : {"llama-bench.json", "llama-bench.jsonl", "llama-bench.csv"}) {
    const auto told = read_llama_bench_file(folder + name);
    ASSERT_TRUE(told) << name << ": " << told.error().what;
    ASSERT_EQ(told->readings.size(), 4u) << name;
    EXPECT_EQ(told->readings[0].n_prompt, 64u);
    EXPECT_EQ(told->readings[1].n_gen, 32u);
    EXPECT_EQ(told->readings[3].depth, 128u);
    EXPECT_EQ(told->readings[3].quant, "F32");
    EXPECT_EQ(told->readings[3].backend, "cpu");
    EXPECT_EQ(told->readings[3].build, "b1-de3ff81");
  }
  const auto ik = read_llama_bench_file(folder + "ik_llama-bench_older_columns.json");
  ASSERT_TRUE(ik) << ik.error().what;
  EXPECT_EQ(ik->readings.front().runtime, "ik_llama.cpp");
  EXPECT_EQ(ik->readings.front().backend, "cpu");
  EXPECT_DOUBLE_EQ(ik->readings.front().tok_per_s, (7046.64 + 7126.7) / 2);
}

}  // namespace
}  // namespace probes
