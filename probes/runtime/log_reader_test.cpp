// SPDX-License-Identifier: MIT
#include "probes/runtime/log_reader.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "hwdb/json.h"
#include "hwdb/testing/shared_facts.h"
#include "hwdb/testing/temp_folder.h"
#include "probes/runtime/log_lines.h"
#include "probes/runtime/log_state.h"

namespace probes {
namespace {

using hwdb::RuntimeBuffer;
using hwdb::RuntimeLoad;
using hwdb::RuntimeReport;
using Kind = RuntimeBuffer::Kind;
using Role = RuntimeLoad::Role;

constexpr double kMiB = 1024 * 1024;

std::string fixture(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(std::string(TOKWATT_SOURCE_DIR) + "/tests/fixtures/logs/" + name,
                        std::ios::binary)
              .rdbuf();
  return text.str();
}

hwdb::Result<RuntimeReport> read(std::string_view text, std::size_t chunk = std::string::npos) {
  LogReader reader;
  for (std::size_t at = 0; at < text.size(); at += std::min(chunk, text.size() - at)) {
    reader.feed(text.substr(at, chunk));
  }
  return reader.finish("log");
}

/// Sum of a kind on a device in MiB; -1 when there is none.
double mib(const RuntimeLoad& load, Kind kind, std::string_view device) {
  double sum = -1;
  for (const RuntimeBuffer& buffer : load.buffers) {
    if (buffer.kind != kind || buffer.device != device) continue;
    sum = std::max(sum, 0.0) + buffer.size.bytes / kMiB;
  }
  return sum;
}

/// Everything that a report says, for comparing two of them.
std::string summary(const RuntimeReport& report) {
  std::ostringstream out;
  out << report.runtime << ' ' << report.build << '\n';
  for (const RuntimeLoad& load : report.loads) {
    out << to_string(load.role) << ' ' << load.path << ' ' << load.architecture << ' '
        << load.file_type << ' ' << load.n_ctx.value_or(0) << ' ' << load.n_ubatch.value_or(0)
        << ' ' << load.cache_type_k << ' ' << load.offloaded_layers.value_or(0) << '\n';
    for (const RuntimeBuffer& b : load.buffers) {
      out << to_string(b.kind) << ' ' << b.device << ' ' << b.size.bytes << '\n';
    }
  }
  for (const auto& row : report.table) out << row.name << ' ' << row.model.bytes << '\n';
  return out.str();
}

TEST(LogReader, OneGpu) {
  const auto report = read(fixture("one-gpu-v0.5.log"));
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->runtime, "llama.cpp");
  EXPECT_EQ(report->build, "b1-de3ff81");
  ASSERT_EQ(report->loads.size(), 1u);
  const RuntimeLoad& load = *report->main_load();
  EXPECT_EQ(load.path, "/models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf");
  EXPECT_EQ(load.architecture, "llama");
  EXPECT_EQ(load.name, "Meta Llama 3.1 8B Instruct");
  EXPECT_EQ(hwdb::preset_of_file_type(load.file_type), "Q4_K_M");
  EXPECT_EQ(load.n_tensors, 292u);
  EXPECT_EQ(load.n_layers, 32u);
  EXPECT_NEAR(*load.n_params, 8.03e9, 1);
  EXPECT_NEAR(load.tensor_bytes->bytes, 4.58 * 1024 * kMiB, 1);
  EXPECT_NEAR(load.tensor_bytes->rounding_bytes, 0.005 * 1024 * kMiB, 1);
  EXPECT_DOUBLE_EQ(*load.bits_per_weight, 4.89);
  EXPECT_EQ(load.load_mode, "mmap");
  EXPECT_EQ(load.offloaded_layers, 33u);
  EXPECT_EQ(load.n_ctx, 8192u);
  EXPECT_EQ(load.n_ubatch, 512u);
  EXPECT_EQ(load.n_seq_max, 1u);
  EXPECT_EQ(load.flash_attn, true);  // "auto", and resolved afterwards
  EXPECT_EQ(load.kv_unified, false);
  EXPECT_EQ(load.cache_type_v, "f16");
  EXPECT_EQ(load.sched_copies, 1u);
  EXPECT_DOUBLE_EQ(mib(load, Kind::model, "CUDA0"), 4403.49);
  EXPECT_DOUBLE_EQ(mib(load, Kind::model, "CPU_Mapped"), 281.81);
  EXPECT_DOUBLE_EQ(mib(load, Kind::kv_cache, "CUDA0"), 1024);
  EXPECT_DOUBLE_EQ(mib(load, Kind::compute, "CUDA_Host"), 30);
  EXPECT_DOUBLE_EQ(mib(load, Kind::output, "CUDA_Host"), 0.49);
  EXPECT_EQ(load.buffers.size(), 6u);
  EXPECT_DOUBLE_EQ(load.buffers[0].size.rounding_bytes, 0.005 * kMiB);
  ASSERT_EQ(load.caches.size(), 1u);
  EXPECT_EQ(load.caches[0].cells, 8192u);
  EXPECT_EQ(load.caches[0].layers, 32u);
  EXPECT_EQ(load.caches[0].sequences, 1u);
  EXPECT_EQ(load.caches[0].streams, 1u);
  ASSERT_EQ(report->devices.size(), 2u);
  EXPECT_EQ(report->devices[0].name, "CUDA0");
  EXPECT_EQ(report->devices[0].description, "NVIDIA GeForce RTX 4090");
  EXPECT_DOUBLE_EQ(report->devices[0].total->bytes, 24080 * kMiB);
  EXPECT_DOUBLE_EQ(report->devices[0].free->bytes, 23500 * kMiB);
  // The table at the end, not the one of the fitting. Whole MiB, cut off.
  ASSERT_EQ(report->table.size(), 2u);
  EXPECT_EQ(report->table[0].description, "RTX 4090");
  EXPECT_DOUBLE_EQ(report->table[0].model.bytes, 4403.5 * kMiB);
  EXPECT_DOUBLE_EQ(report->table[0].unaccounted->bytes, 652.5 * kMiB);
  EXPECT_TRUE(report->table[1].is_host);
  EXPECT_DOUBLE_EQ(report->table[1].compute.bytes, 30.5 * kMiB);
  EXPECT_EQ(report->n_ctx_slot, 8192u);
  EXPECT_TRUE(report->untold.empty());
}

TEST(LogReader, FormsOf2024) {
  const auto report = read(fixture("one-gpu-2024.log"));
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->build_number, 2029u);
  const RuntimeLoad& load = *report->main_load();
  EXPECT_EQ(load.path, "/models/mistral-7b-instruct-v0.2.Q4_0.gguf");
  EXPECT_EQ(load.file_type, "Q4_0");
  EXPECT_DOUBLE_EQ(mib(load, Kind::model, "CPU"), 70.31);
  EXPECT_DOUBLE_EQ(mib(load, Kind::model, "CUDA0"), 3847.55);
  EXPECT_DOUBLE_EQ(mib(load, Kind::kv_cache, "CUDA0"), 512);
  EXPECT_DOUBLE_EQ(mib(load, Kind::compute, "CUDA0"), 290);
  EXPECT_EQ(load.n_ctx, 4096u);
  EXPECT_EQ(load.cache_type_k, "f16");
  // The build has no such setting yet.
  EXPECT_EQ(load.flash_attn, false);
  ASSERT_EQ(report->devices.size(), 1u);
  EXPECT_EQ(report->devices[0].description, "NVIDIA GeForce RTX 3090");
}

TEST(LogReader, TwoGpusAndAWindow) {
  const auto report = read(fixture("two-gpus-window.jsonl"));
  ASSERT_TRUE(report) << report.error().what;
  const RuntimeLoad& load = *report->main_load();
  EXPECT_EQ(load.architecture, "gemma3");
  ASSERT_EQ(load.layer_devices.size(), 35u);
  EXPECT_EQ(load.layer_devices[17], "CUDA0");
  EXPECT_EQ(load.layer_devices[34], "CUDA1");
  // The cache of the whole context and the one of the window.
  EXPECT_DOUBLE_EQ(mib(load, Kind::kv_cache, "CUDA0"), 96 + 90);
  EXPECT_DOUBLE_EQ(mib(load, Kind::kv_cache, "CUDA1"), 64 + 84);
  ASSERT_EQ(load.caches.size(), 2u);
  EXPECT_EQ(load.caches[1].cells, 1536u);
  EXPECT_EQ(load.sched_copies, 4u);
  EXPECT_DOUBLE_EQ(mib(load, Kind::compute, "CUDA1"), 222) << "a line in two messages";
}

TEST(LogReader, AnyChunksPrefixesAndEndsReadTheSame) {
  const std::string plain = fixture("one-gpu-v0.5.log");
  const std::string expected = summary(*read(plain));
  EXPECT_GT(expected.size(), 300u);
  EXPECT_EQ(summary(*read(plain, 1)), expected);
  EXPECT_EQ(summary(*read(plain, 7)), expected);
  std::string json, prefixed, bare;
  std::istringstream lines(plain);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t mark = line.find(" I ");
    const std::string message = mark == std::string::npos ? line : line.substr(mark + 3);
    json += "{\"type\":\"log\",\"time\":1,\"level\":\"info\",\"msg\":";
    hwdb::append_json_string(&json, message + "\n");
    json += "}\n";
    prefixed += "Nov 20 10:00:00 host llama-server[17]: \x1b[0m" + line + "\x1b[0m\r\n";
    bare += message + "\n";
  }
  EXPECT_EQ(summary(*read(json)), expected);
  EXPECT_EQ(summary(*read(prefixed)), expected);
  EXPECT_EQ(summary(*read(bare)), expected);
  bare.pop_back();  // no line end at the end
  EXPECT_EQ(summary(*read(bare)), expected);
}

TEST(LogReader, ADraftModelAndFurtherContextsAreLoadsOfTheirOwn) {
  const std::string one =
      "load_tensors: loading model tensors, this can take a while... (mmap = false)\n"
      "load_tensors:  CPU model buffer size =  10.00 MiB\n"
      "llama_context: constructing llama_context\n"
      "llama_context: n_seq_max = 1\nllama_context: n_ctx = 512\n"
      "llama_kv_cache:  CPU KV buffer size =  2.00 MiB\n"
      "llama_kv_cache: size = 2.00 MiB (512 cells, 5 layers, 1/1 seqs), K (q8_0): 1.00 MiB, V "
      "(q4_0): 1.00 MiB\n"
      "llama_context:  CPU compute buffer size =  3.00 MiB\n";
  const std::string context = one.substr(one.find("llama_context: constructing"));
  const auto report = read(one + "llama_context:  CPU compute buffer size =  4.00 MiB\n" + context +
                           "x: loading draft model 'small.gguf'\n" + one + one);
  ASSERT_TRUE(report);
  ASSERT_EQ(report->loads.size(), 4u);
  EXPECT_EQ(report->loads[0].role, Role::main);
  EXPECT_EQ(report->loads[0].load_mode, "none");
  EXPECT_EQ(report->loads[0].cache_type_v, "q4_0");
  EXPECT_DOUBLE_EQ(mib(report->loads[0], Kind::compute, "CPU"), 4) << "reserved a second time";
  EXPECT_EQ(report->loads[1].role, Role::further_context);
  EXPECT_DOUBLE_EQ(mib(report->loads[1], Kind::compute, "CPU"), 3);
  EXPECT_DOUBLE_EQ(mib(report->loads[1], Kind::model, "CPU"), -1);
  EXPECT_EQ(report->loads[2].role, Role::draft);
  EXPECT_EQ(report->loads[2].path, "small.gguf");
  EXPECT_DOUBLE_EQ(mib(report->loads[2], Kind::model, "CPU"), 10);
  EXPECT_EQ(report->loads[3].role, Role::further_model);
}

TEST(LogReader, WhatTheFittingTriesIsLeftOut) {
  const std::string load =
      "llama_model_loader: loaded meta data with 9 key-value pairs and 40 tensors from a.gguf "
      "(version GGUF V3 (latest))\n"
      "load_tensors:  CUDA0 model buffer size =  %.00 MiB\n"
      "llama_context: constructing llama_context\nllama_context: n_ctx = %00\n"
      "llama_context: flash_attn = enabled\n"
      "llama_kv_cache:  CUDA0 KV buffer size =  %.50 MiB\n"
      "sched_reserve:  CUDA0 compute buffer size =  %.25 MiB\n"
      "memory: | memory breakdown [MiB] | total free self model context compute unaccounted |\n"
      "memory: |   - Host | 9 = %1 + 0 + 4 |\n";
  const auto with = [&](char digit) {
    std::string text = load;
    std::ranges::replace(text, '%', digit);
    return text;
  };
  const auto report = read("x: fitting params to device memory ...\n" + with('3') + with('4') +
                           "x: successfully fit params to free device memory\n" + with('7'));
  ASSERT_TRUE(report);
  ASSERT_EQ(report->loads.size(), 1u);
  EXPECT_EQ(report->main_load()->n_ctx, 700u);
  EXPECT_EQ(report->main_load()->buffers.size(), 3u);
  EXPECT_DOUBLE_EQ(mib(*report->main_load(), Kind::compute, "CUDA0"), 7.25);
  ASSERT_EQ(report->table.size(), 1u);
  EXPECT_DOUBLE_EQ(report->table[0].model.bytes, 71.5 * kMiB);
  // A log that ends while it fits tells of nothing that was allocated.
  EXPECT_EQ(read("x: fitting params to device memory ...\n" + with('3')).error().code,
            "log.no_memory");
}

TEST(LogReader, WholeTrialLoadsOfOlderBuildsAreLeftOut) {
  const auto report = read(
      "llama_model_loader: loaded meta data with 9 key-value pairs and 40 tensors from a.gguf "
      "(version GGUF V3 (latest))\n"
      "load_tensors:  CUDA0 model buffer size =  0.00 MiB\n"
      "llama_context: n_ctx = 4096\n"
      "llama_context:  CUDA0 compute buffer size =  0.00 MiB\n"
      "llama_model_loader: loaded meta data with 9 key-value pairs and 40 tensors from a.gguf "
      "(version GGUF V3 (latest))\n"
      "load_tensors:  CUDA0 model buffer size =  7.00 MiB\n"
      "llama_context: n_ctx = 1024\n");
  ASSERT_TRUE(report);
  ASSERT_EQ(report->loads.size(), 1u);
  EXPECT_EQ(report->main_load()->n_ctx, 1024u);
  EXPECT_DOUBLE_EQ(mib(*report->main_load(), Kind::model, "CUDA0"), 7);
}

TEST(LogReader, OtherRuntimesAndKinds) {
  auto report = read(
      "llm_load_print_meta: model size       = 0.992 MiB (32.000 BPW) \n"
      "llm_load_tensors:        CPU buffer size =     0.99 MiB\n"
      "llama_init_from_model: n_ctx         = 512\n"
      "llama_init_from_model: flash_attn    = 1\n"
      "llama_init_from_model: attn_max_b    = 256\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->runtime, "ik_llama.cpp");
  EXPECT_EQ(report->main_load()->flash_attn, true);
  EXPECT_DOUBLE_EQ(report->main_load()->tensor_bytes->rounding_bytes, 0.0005 * kMiB);
  report = read(
      "load_tensors:  RPC0[10.0.0.2:50052] model buffer size =  5.00 MiB\n"
      "llama_memory_recurrent:  CUDA0 RS buffer size =  6.00 MiB\n"
      "llama_memory_recurrent: size = 6.00 MiB (1 cells, 64 layers, 1 seqs 1 rs_seq), R (f32): "
      "1.50 MiB, S (f32): 4.50 MiB, P (f32): 0.00 MiB\n"
      "llama_adapter_lora_init_impl:  CUDA0 LoRA buffer size =  7.00 MiB\n"
      "load_hparams: model size:         811.82 MiB\n"
      "alloc_compute_meta:  CUDA0 compute buffer size =  90.50 MiB\n");
  ASSERT_TRUE(report);
  ASSERT_EQ(report->loads.size(), 2u);
  EXPECT_DOUBLE_EQ(mib(report->loads[0], Kind::model, "RPC0[10.0.0.2:50052]"), 5);
  EXPECT_DOUBLE_EQ(mib(report->loads[0], Kind::state, "CUDA0"), 6);
  EXPECT_DOUBLE_EQ(mib(report->loads[0], Kind::lora, "CUDA0"), 7);
  EXPECT_TRUE(report->loads[0].caches[0].recurrent);
  EXPECT_DOUBLE_EQ(report->loads[0].caches[0].second.bytes, 4.5 * kMiB);
  EXPECT_EQ(report->loads[1].role, Role::projector);
  EXPECT_DOUBLE_EQ(mib(report->loads[1], Kind::compute, "CUDA0"), 90.5);
  report = read(
      "time=1 level=INFO msg=\"model weights\" device=CUDA0 size=\"4.0 GiB\"\n"
      "time=2 level=INFO msg=\"model weights\" device=CUDA0 size=\"4.3 GiB\"\n"
      "time=3 level=INFO msg=\"kv cache\" device=CUDA0 size=\"512.0 MiB\"\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->runtime, "Ollama");
  EXPECT_DOUBLE_EQ(mib(*report->main_load(), Kind::model, "CUDA0"), 4.3 * 1024);
  EXPECT_DOUBLE_EQ(mib(*report->main_load(), Kind::kv_cache, "CUDA0"), 512);
}

TEST(LogReader, ATableAloneIsEnough) {
  const auto report = read(
      "memory: | memory breakdown [MiB] | total free self model context compute unaccounted |\n"
      "memory: |   - ROCm0 (RX 7900 (XT)) | 20464 = -1 + (9 = 5 + 2 + 2) + -7 |\n"
      "memory: |   - Host |                     7 =   3 +       0 +       4                |\n");
  ASSERT_TRUE(report) << report.error().what;
  ASSERT_EQ(report->table.size(), 2u);
  EXPECT_EQ(report->table[0].name, "ROCm0");
  EXPECT_FALSE(report->table[0].unaccounted);
  EXPECT_DOUBLE_EQ(report->table[0].context.bytes, 2.5 * kMiB);
}

TEST(LogReader, WhatIsNoLogIsSaid) {
  for (const std::string& text :
       {std::string(), std::string("GGUF\3\0\0\0", 8), std::string(1000, '\0'),
        std::string("[{\"model_type\": \"llama 8B\"}]"), std::string("\n\n\n"),
        std::string("load_tensors: CPU model buffer size = 1e400 MiB\n"),
        std::string("load_tensors: CPU model buffer size = -5.00 MiB\n"),
        std::string("load_tensors: CPU model buffer size = 99999999999999999999 MiB\n"),
        std::string("model buffer size = 5.00 MiB\n"),
        std::string("x: a b c d e f buffer size = 5.00 MiB\n")}) {
    const auto report = read(text);
    ASSERT_FALSE(report) << text;
    EXPECT_TRUE(report.error().code == "log.unrecognized" || report.error().code == "log.no_memory")
        << report.error().code;
  }
  const auto quiet = read("srv  load_model: loading model 'a.gguf'\n");
  ASSERT_FALSE(quiet);
  EXPECT_EQ(quiet.error().code, "log.no_memory");
  EXPECT_NE(quiet.error().hint.find("-lv 4"), std::string::npos);
  EXPECT_EQ(hwdb::exit_status("log.no_memory"), 3);
}

TEST(LogReader, AnyCutAndAnyChangeEndsInAnAnswer) {
  for (const char* name : {"one-gpu-2024.log", "two-gpus-window.jsonl"}) {
    const std::string text = fixture(name);
    std::size_t answered = 0;
    for (std::size_t n = 0; n < text.size(); n += 11) {
      const auto report = read(std::string_view(text).substr(0, n));
      EXPECT_TRUE(report || !report.error().code.empty());
      answered += report ? 1 : 0;
    }
    EXPECT_GT(answered, text.size() / 40);
  }
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    std::string text = fixture("one-gpu-v0.5.log");
    for (int k = 0; k < 50; ++k) text[random() % text.size()] = static_cast<char>(random() % 256);
    const auto report = read(text);
    EXPECT_TRUE(report || !report.error().code.empty());
  }
}

TEST(LogReader, MemoryStaysBounded) {
  LogReader reader;
  reader.feed("load_tensors:  CPU model buffer size =  1.00 MiB\n");
  // A line without an end, and far more loads, devices and buffers than anybody has.
  for (int i = 0; i < 64; ++i) reader.feed(std::string(1 << 20, 'x'));
  reader.feed("\n");
  for (int i = 0; i < 3000; ++i) {
    const std::string n = std::to_string(i);
    reader.feed("loading draft model 'm" + n +
                "'\nload_tensors:  CPU model buffer size = 1.00 MiB\n");
    reader.feed("load_tensors:  CUDA" + n + " model buffer size = 1.00 MiB\n");
    reader.feed("x - D" + n + " : desc (5 MiB, 5 MiB free)\n");
    reader.feed("|   - Host | 1 = 2 + 3 + 4 |\n");
  }
  const auto report = reader.finish("log");
  ASSERT_TRUE(report);
  EXPECT_LE(report->loads.size(), LogState::kMaxLoads);
  EXPECT_LE(report->devices.size(), LogState::kMaxDevices);
  EXPECT_LE(report->table.size(), LogState::kMaxDevices);
  EXPECT_GT(report->loads.size(), 10u);
  EXPECT_EQ(report->notes.size(), 2u);
}

TEST(LogReader, FilesAndPipes) {
  const hwdb::testing::TempFolder folder;
  const std::string path = folder.write("server.log", fixture("one-gpu-v0.5.log"));
  const auto from_file = read_log_file(path);
  ASSERT_TRUE(from_file);
  EXPECT_EQ(from_file->where, path);
  EXPECT_EQ(read_log_file(folder.file("none")).error().code, "file.open");
  EXPECT_EQ(read_log_file(folder.path().string()).error().code, "file.not_regular");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string small = fixture("one-gpu-2024.log");
  ASSERT_EQ(::write(ends[1], small.data(), small.size()), static_cast<ssize_t>(small.size()));
  ::close(ends[1]);
  const auto from_pipe = read_log_stream(ends[0], "standard input");
  ::close(ends[0]);
  ASSERT_TRUE(from_pipe);
  EXPECT_EQ(from_pipe->build_number, 2029u);
}

TEST(LogReader, RecordedLogs) {
  const std::string server =
      hwdb::testing::shared_fact("runtime_samples/llama-server_startup_lv4.log");
  if (server.empty()) GTEST_SKIP() << "no recorded logs beside the repository";
  const auto sample = [&](const char* name) {
    return read_log_file(hwdb::testing::shared_fact(std::string("runtime_samples/") + name));
  };
  const auto plain = read_log_file(server);
  ASSERT_TRUE(plain);
  const RuntimeLoad& load = *plain->main_load();
  EXPECT_EQ(load.n_ctx, 2048u);
  EXPECT_EQ(load.n_seq_max, 4u);
  EXPECT_EQ(load.kv_unified, true);
  EXPECT_EQ(load.n_tensors, 47u);
  EXPECT_EQ(load.n_outputs, 4u);
  EXPECT_DOUBLE_EQ(mib(load, Kind::model, "CPU_Mapped"), 0.99);
  EXPECT_DOUBLE_EQ(mib(load, Kind::kv_cache, "CPU"), 1.25);
  EXPECT_DOUBLE_EQ(mib(load, Kind::compute, "CPU"), 3.52);
  EXPECT_DOUBLE_EQ(mib(load, Kind::output, "CPU"), 0.01);
  EXPECT_EQ(load.caches.at(0).streams, 1u);
  ASSERT_EQ(plain->table.size(), 1u);
  const auto json = sample("llama-server_startup_lv4.jsonl");
  ASSERT_TRUE(json);
  EXPECT_DOUBLE_EQ(mib(*json->main_load(), Kind::compute, "CPU"), 2.02);
  const auto draft = sample("llama-server_draft_model_lv4.log");
  ASSERT_TRUE(draft);
  ASSERT_EQ(draft->loads.size(), 2u);
  EXPECT_EQ(draft->loads[1].role, Role::draft);
  EXPECT_DOUBLE_EQ(mib(draft->loads[0], Kind::compute, "CPU"), 2.02);
  const auto ik = sample("ik_llama_startup_older_forms.log");
  ASSERT_TRUE(ik);
  EXPECT_EQ(ik->runtime, "ik_llama.cpp");
  EXPECT_DOUBLE_EQ(mib(*ik->main_load(), Kind::model, "CPU"), 0.99);
  EXPECT_DOUBLE_EQ(mib(*ik->main_load(), Kind::compute, "CPU"), 1.76);
  EXPECT_EQ(sample("llama-server_startup_default_verbosity.log").error().code, "log.no_memory");
  EXPECT_EQ(sample("llama-bench.json").error().code, "log.unrecognized");
}

TEST(LogLines, LongLinesAreDroppedAndCounted) {
  std::vector<std::string> seen;
  LogLines lines([&](std::string_view line, std::uint64_t) { seen.emplace_back(line); });
  lines.feed(std::string(LogLines::kMaxLine, 'a') + "\n" +
             std::string(LogLines::kMaxLine + 1, 'b') + "\nc");
  lines.finish();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].size(), LogLines::kMaxLine);
  EXPECT_EQ(seen[1], "c");
  EXPECT_EQ(lines.dropped(), 1u);
  EXPECT_EQ(lines.lines(), 3u);
}

TEST(PresetOfFileType, EveryWording) {
  EXPECT_EQ(hwdb::preset_of_file_type("all F32"), "F32");
  EXPECT_EQ(hwdb::preset_of_file_type("mostly Q8_0"), "Q8_0");
  EXPECT_EQ(hwdb::preset_of_file_type("Q2_K - Medium"), "Q2_K");
  EXPECT_EQ(hwdb::preset_of_file_type("Q3_K - Large (guessed)"), "Q3_K_L");
  EXPECT_EQ(hwdb::preset_of_file_type("IQ3_S mix - 3.66 bpw"), "IQ3_M");
  EXPECT_EQ(hwdb::preset_of_file_type("IQ2_XXS - 2.0625 bpw"), "IQ2_XXS");
  EXPECT_EQ(hwdb::preset_of_file_type("MXFP4 MoE"), "MXFP4_MOE");
  EXPECT_EQ(hwdb::preset_of_file_type("unknown, may not work"), "");
  EXPECT_EQ(hwdb::preset_of_file_type(""), "");
}

}  // namespace
}  // namespace probes
