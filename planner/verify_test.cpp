// SPDX-License-Identifier: MIT
#include "planner/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "planner/make_plan.h"
#include "planner/test_inputs.h"

namespace planner {
namespace {

using hwdb::RuntimeBuffer;
using hwdb::RuntimeLoad;
using hwdb::RuntimeReport;
using Kind = RuntimeBuffer::Kind;
using Verdict = VerifyRow::Verdict;

constexpr double kMiB = 1024 * 1024;

/// A report that says exactly what the plan has, printed to a hundredth of a MiB.
RuntimeReport report_of(const Plan& plan) {
  RuntimeReport report;
  report.runtime = "llama.cpp";
  RuntimeLoad& load = report.loads.emplace_back();
  std::uint32_t gpu = 0;
  const auto add = [&](Kind kind, const std::string& label, hwdb::Bytes bytes) {
    if (bytes.value == 0) return;
    const double printed = std::round(bytes.as_double() / kMiB * 100) / 100;
    load.buffers.push_back({kind, label, {printed * kMiB, 0.005 * kMiB}, 1});
  };
  for (const DeviceMemory& device : plan.memory.devices) {
    const std::string label = device.is_gpu ? "CUDA" + std::to_string(gpu++) : "CPU";
    add(Kind::model, label, device.weights);
    add(Kind::kv_cache, label, device.kv_cache);
    add(Kind::state, label, device.state);
    add(Kind::compute, device.is_gpu ? label : "CUDA_Host", device.compute);
    add(Kind::output, device.is_gpu ? label : "CUDA_Host", device.output);
  }
  load.offloaded_layers = plan.placement.n_gpu_layers;
  return report;
}

/// A model, a plan for it on one or two cards, and the report of a run that went as planned.
struct PlannedRun {
  explicit PlannedRun(hwdb::ModelCosts costs = testing::dense_model(), std::size_t cards = 1,
                      RunSettings settings = {})
      : model(std::move(costs)) {
    machine = testing::with_cards(
        std::vector<hwdb::GpuInfo>(cards, testing::card("Acme A", 24e9, 1e12, 1e14)));
    PlanInputs inputs;
    inputs.model = &model;
    inputs.machine = &machine;
    inputs.settings = settings;
    if (cards > 1) {
      inputs.settings.n_gpu_layers = 11;
      inputs.settings.tensor_split.assign(cards, 1);
    }
    auto made = make_plan(inputs);
    EXPECT_TRUE(made) << made.error().what;
    plan = std::move(*made);
    plan.scenario.settings = settings;
    report = report_of(plan);
  }

  RuntimeLoad& load() { return report.loads.front(); }
  RuntimeBuffer& buffer(Kind kind, std::string_view label) {
    const auto it = std::ranges::find_if(load().buffers, [&](const RuntimeBuffer& b) {
      return b.kind == kind && b.device == label;
    });
    EXPECT_NE(it, load().buffers.end()) << label;
    return *it;
  }
  Verification verify(double tolerance = 0.03) {
    return verify_plan(plan, model, report, tolerance);
  }

  hwdb::ModelCosts model;
  hwdb::Machine machine;
  Plan plan;
  RuntimeReport report;
};

const VerifyRow* find_row(const Verification& verification, std::string_view term,
                          std::string_view labels = "") {
  for (const VerifyRow& row : verification.rows) {
    if (row.term == term && (labels.empty() || row.labels == labels)) return &row;
  }
  return nullptr;
}

std::string codes(const VerifyRow& row) {
  std::string text;
  for (const GapReason& reason : row.reasons) {
    text += (text.empty() ? "" : " ") + std::string(reason.code);
  }
  return text;
}

TEST(Verify, ARunAsPlannedIsEqual) {
  for (const std::size_t cards : {1u, 2u}) {
    PlannedRun run(testing::dense_model(), cards);
    const Verification verification = run.verify();
    EXPECT_GE(verification.rows.size(), 4 * (cards + 1));
    for (const VerifyRow& row : verification.rows) {
      EXPECT_EQ(row.verdict, Verdict::equal) << row.device << " " << row.term;
      EXPECT_TRUE(row.reasons.empty());
    }
    EXPECT_TRUE(verification.all_compared);
    EXPECT_EQ(verification.worst_total, 0);
    EXPECT_TRUE(verification.within(0));
  }
}

TEST(Verify, AGapWithoutACauseIsNotExplained) {
  PlannedRun run;
  run.buffer(Kind::kv_cache, "CUDA0").size.bytes += 3 * kMiB;
  const Verification verification = run.verify();
  const VerifyRow& row = *find_row(verification, "kv_cache", "CUDA0");
  EXPECT_NEAR(row.difference(), 3 * kMiB, 0.01 * kMiB);
  EXPECT_NE(row.verdict, Verdict::equal);
  EXPECT_TRUE(row.reasons.empty()) << codes(row);
  // 3 MiB too little of a total of about a gigabyte.
  ASSERT_TRUE(verification.worst_total);
  EXPECT_GT(*verification.worst_total, 0.002);
  EXPECT_LT(*verification.worst_total, 0.004);
  EXPECT_FALSE(verification.within(0.002));
  EXPECT_TRUE(verification.within(0.004));
}

TEST(Verify, WhatTheMapSpansIsCountedTwice) {
  PlannedRun run;
  const double on_gpu = run.buffer(Kind::model, "CUDA0").size.bytes;
  const double tensors = static_cast<double>(run.model.tensor_bytes);
  run.load().tensor_bytes = hwdb::ToldBytes{tensors, 0.005 * kMiB};
  // Mapped from the first tensor to the last: 300 MiB of it stand on the GPU.
  RuntimeBuffer& host = run.buffer(Kind::model, "CPU");
  host.device = "CPU_Mapped";
  host.size.bytes = tensors - on_gpu + 300 * kMiB;
  const Verification verification = run.verify();
  const VerifyRow& row = *find_row(verification, "weights", "CPU_Mapped");
  EXPECT_EQ(codes(row), "counted_twice");
  EXPECT_NEAR(*row.reasons.front().bytes, 300 * kMiB, 0.02 * kMiB);
  EXPECT_EQ(row.verdict, Verdict::explained);
  EXPECT_LT(*verification.worst_total, 1e-4);
  // The same gap without a memory map has no such cause.
  host.device = "CPU";
  EXPECT_EQ(find_row(run.verify(), "weights", "CPU")->reasons.size(), 0u);
}

TEST(Verify, WeightsInALayoutForTheCpuAreCountedTwice) {
  RunSettings settings;
  settings.cpu_only = true;
  PlannedRun run(testing::dense_model(), 1, settings);
  RuntimeBuffer& host = run.buffer(Kind::model, "CPU");
  host.device = "CPU_Mapped";
  run.load().tensor_bytes = hwdb::ToldBytes{host.size.bytes, 0.005 * kMiB};
  run.load().buffers.push_back({Kind::model, "CPU_REPACK", {200 * kMiB, 0.005 * kMiB}, 2});
  const Verification verification = run.verify();
  const VerifyRow& row = *find_row(verification, "weights");
  EXPECT_EQ(row.labels, "CPU_Mapped + CPU_REPACK");
  EXPECT_EQ(codes(row), "counted_twice");
  EXPECT_EQ(row.verdict, Verdict::explained);
}

TEST(Verify, AnotherFileExplainsOtherWeights) {
  RunSettings settings;
  settings.cpu_only = true;
  PlannedRun run(testing::dense_model(), 1, settings);
  run.buffer(Kind::model, "CPU").size.bytes += 55 * kMiB;
  run.load().file_type = "Q8_0";
  run.load().tensor_bytes =
      hwdb::ToldBytes{static_cast<double>(run.model.tensor_bytes) + 55 * kMiB, 0.005 * kMiB};
  const Verification verification = run.verify();
  const VerifyRow& weights = *find_row(verification, "weights");
  EXPECT_EQ(codes(weights), "other_file");
  EXPECT_EQ(weights.verdict, Verdict::explained);
  const VerifyRow& tensors = *find_row(verification, "tensors");
  EXPECT_EQ(codes(tensors), "other_file");
  EXPECT_NE(tensors.verdict, Verdict::equal);
}

TEST(Verify, TiedOutputAndAlignment) {
  hwdb::ModelCosts tied = testing::dense_model();
  tied.output_is_tied = true;
  PlannedRun run(tied);
  run.buffer(Kind::model, "CUDA0").size.bytes -= static_cast<double>(tied.output_bytes);
  EXPECT_EQ(codes(*find_row(run.verify(), "weights", "CUDA0")), "tied_output");
  PlannedRun padded;
  padded.load().n_tensors = 1000;
  padded.buffer(Kind::model, "CUDA0").size.bytes += 100 * 1024;  // up to 128 bytes a tensor
  EXPECT_EQ(codes(*find_row(padded.verify(), "weights", "CUDA0")), "alignment");
  padded.buffer(Kind::model, "CUDA0").size.bytes += 100 * 1024;  // more than alignment can take
  EXPECT_EQ(codes(*find_row(padded.verify(), "weights", "CUDA0")), "");
}

TEST(Verify, SettingsThatRanOtherwise) {
  PlannedRun run;
  run.buffer(Kind::kv_cache, "CUDA0").size.bytes *= 2;
  run.buffer(Kind::compute, "CUDA0").size.bytes *= 2;
  run.load().n_ctx = 8192;
  run.load().n_ubatch = 1024;
  run.load().flash_attn = false;
  run.load().cache_type_k = run.load().cache_type_v = "f32";
  const Verification verification = run.verify();
  const VerifyRow& cache = *find_row(verification, "kv_cache", "CUDA0");
  EXPECT_EQ(codes(cache), "settings");
  for (const char* words : {"8192 ran, 4096 was planned", "f32 ran, f16 was planned"}) {
    EXPECT_NE(cache.reasons.front().text.find(words), std::string::npos)
        << cache.reasons.front().text;
  }
  const VerifyRow& compute = *find_row(verification, "compute", "CUDA0");
  EXPECT_NE(compute.reasons.front().text.find("1024 ran, 512 was planned"), std::string::npos);
  EXPECT_NE(compute.reasons.front().text.find("flash attention off ran"), std::string::npos);
}

TEST(Verify, AWindowThatIsNotUsed) {
  hwdb::ModelCosts model = testing::dense_model();
  model.shape.sliding_window = 512;
  model.shape.global_layers = {4, 9};
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    if (i != 4 && i != 9) model.layers[i].window = 512;
  }
  RunSettings settings;
  settings.cpu_only = true;
  settings.n_ctx = 16384;
  PlannedRun run(model, 1, settings);
  // All ten layers with the whole context: 512 bytes a token and layer.
  RuntimeBuffer& cache = run.buffer(Kind::kv_cache, "CPU");
  ASSERT_LT(cache.size.bytes, 10 * 16384.0 * 512);
  cache.size.bytes = 10 * 16384.0 * 512;
  run.load().caches.emplace_back();
  const Verification verification = run.verify();
  const VerifyRow& row = *find_row(verification, "kv_cache");
  EXPECT_EQ(codes(row), "full_window");
  EXPECT_EQ(row.verdict, Verdict::explained);
  // Two caches: the window is used, so that is no reason.
  run.load().caches.emplace_back();
  EXPECT_EQ(codes(*find_row(run.verify(), "kv_cache")), "");
}

TEST(Verify, MoreRowsOfLogits) {
  hwdb::ModelCosts model = testing::dense_model();
  model.shape.n_vocab = 128'000;
  PlannedRun run(model);
  run.buffer(Kind::output, "CUDA_Host").size.bytes = 4 * 128'000 * 4.0;
  const Verification verification = run.verify();
  const VerifyRow& row = *find_row(verification, "output");
  EXPECT_EQ(codes(row), "outputs");
  EXPECT_EQ(row.verdict, Verdict::explained);
  EXPECT_DOUBLE_EQ(*row.reasons.front().bytes, 3 * 128'000 * 4.0);
}

TEST(Verify, CausesOfOtherComputeBuffers) {
  PlannedRun run;
  run.buffer(Kind::compute, "CUDA0").size.bytes *= 0.5;
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "");
  run.report.build_number = 4748;
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "build");
  run.report.build_number = 1;  // an archive of a release
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "");
  run.report.runtime = "ik_llama.cpp";
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "build");
  run.report.runtime = "llama.cpp";
  run.load().sched_copies = 4;
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "pipeline");
  run.load().sched_copies = 1;
  run.load().cache_type_k = "q8_0";
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "cuda_pool");
  run.buffer(Kind::compute, "CUDA0").size.bytes *= 8;  // more than planned: that is no reason
  EXPECT_EQ(codes(*find_row(run.verify(), "compute", "CUDA0")), "");
}

TEST(Verify, LayersElsewhere) {
  PlannedRun run;
  run.buffer(Kind::model, "CUDA0").size.bytes -= 100'000'000;
  run.load().offloaded_layers = 10;
  EXPECT_EQ(codes(*find_row(run.verify(), "weights", "CUDA0")), "placement");
  PlannedRun two(testing::dense_model(), 2);
  two.buffer(Kind::model, "CUDA0").size.bytes -= 100'000'000;
  EXPECT_EQ(codes(*find_row(two.verify(), "weights", "CUDA0")), "placement");
}

TEST(Verify, WhatOneSideDoesNotHave) {
  PlannedRun run;
  std::erase_if(run.load().buffers, [](const auto& b) { return b.kind == Kind::output; });
  run.load().buffers.push_back({Kind::model, "CUDA1", {5 * kMiB, 0}, 9});
  run.load().buffers.push_back({Kind::lora, "CUDA0", {7 * kMiB, 0}, 9});
  RuntimeLoad draft;
  draft.role = RuntimeLoad::Role::draft;
  draft.buffers.push_back({Kind::model, "CUDA0", {11 * kMiB, 0}, 9});
  run.report.loads.push_back(draft);
  const Verification verification = run.verify();
  EXPECT_EQ(find_row(verification, "output")->verdict, Verdict::not_told);
  const VerifyRow& lora = *find_row(verification, "lora");
  EXPECT_EQ(lora.verdict, Verdict::not_predicted);
  EXPECT_DOUBLE_EQ(*lora.actual, 7 * kMiB);
  EXPECT_DOUBLE_EQ(*find_row(verification, "draft model")->actual, 11 * kMiB);
  const VerifyRow& other = *find_row(verification, "total", "CUDA1");
  EXPECT_EQ(other.verdict, Verdict::not_predicted);
  EXPECT_EQ(codes(other), "device_missing");
  EXPECT_FALSE(verification.all_compared);
}

TEST(Verify, UnknownArchitecturesAreHeldAgainstTheirWeightsAlone) {
  hwdb::ModelCosts model = testing::dense_model();
  PlannedRun run(model);
  run.plan.sizes_only = true;
  run.buffer(Kind::kv_cache, "CUDA0").size.bytes *= 3;
  const Verification verification = run.verify();
  EXPECT_EQ(find_row(verification, "weights", "CUDA0")->verdict, Verdict::equal);
  const VerifyRow& cache = *find_row(verification, "kv_cache", "CUDA0");
  EXPECT_EQ(cache.verdict, Verdict::not_predicted);
  EXPECT_EQ(codes(cache), "unknown_architecture");
}

TEST(Verify, ATableIsHeldAgainstWholeMebibytes) {
  PlannedRun run;
  run.load().buffers.clear();
  const auto cut = [](hwdb::Bytes bytes) {
    return hwdb::ToldBytes{(std::floor(bytes.as_double() / kMiB) + 0.5) * kMiB, 0.5 * kMiB};
  };
  const DeviceMemory& gpu = run.plan.memory.devices.front();
  hwdb::RuntimeTableRow row;
  row.name = "CUDA0";
  row.model = cut(gpu.weights);
  row.context = cut(gpu.kv_cache + gpu.state);
  row.compute = cut(gpu.compute);
  row.unaccounted = hwdb::ToldBytes{gpu.overhead.as_double() + 99 * kMiB, 0.5 * kMiB};
  run.report.table.push_back(row);
  const Verification verification = run.verify();
  for (const char* term : {"weights", "context", "compute", "total"}) {
    const VerifyRow* found = find_row(verification, term);
    ASSERT_NE(found, nullptr) << term;
    EXPECT_EQ(found->verdict, Verdict::equal) << term;
  }
  EXPECT_EQ(codes(*find_row(verification, "overhead")), "other_programs");
}

TEST(Verify, TotalsOfOllama) {
  PlannedRun run;
  run.load().buffers.clear();
  run.report.source = RuntimeReport::Source::ollama;
  const DeviceMemory& gpu = run.plan.memory.devices.front();
  const double on_gpu = gpu.total().as_double() - gpu.overhead.as_double();
  run.report.gpu_bytes = run.report.total_bytes = hwdb::ToldBytes{on_gpu * 1.02, 0};
  const Verification verification = run.verify();
  EXPECT_EQ(find_row(verification, "gpu_total")->verdict, Verdict::within);
  EXPECT_EQ(find_row(verification, "all")->verdict, Verdict::within);
  EXPECT_NEAR(*verification.worst_total, 0.02 / 1.02, 1e-6);
  EXPECT_EQ(verification.notes.size(), 1u);
  // With a part on the host the sum counts it.
  run.report.total_bytes->bytes = run.plan.memory.total().as_double() - gpu.overhead.as_double();
  run.report.gpu_bytes->bytes = on_gpu;
  EXPECT_EQ(find_row(run.verify(), "all")->verdict, Verdict::equal);
}

TEST(Verify, NamesOfBuffers) {
  for (const char* host : {"CPU", "CPU_Mapped", "CPU_REPACK", "CPU_AARCH64", "CUDA_Host",
                           "Vulkan_Host", "AMX", "BLAS", "Host"}) {
    EXPECT_TRUE(place_of_label(host).is_host) << host;
  }
  struct Case {
    const char *label, *backend;
    std::uint32_t index;
  };
  for (const Case& c :
       {Case{"CUDA0", "CUDA", 0}, Case{"ROCm12", "ROCm", 12}, Case{"MTL0_Mapped", "MTL", 0},
        Case{"Metal_Private", "MTL", 0}, Case{"CUDA1_Split", "CUDA", 1},
        Case{"Vulkan3", "Vulkan", 3}, Case{"RPC[10.0.0.1:50052]", "RPC[10.0.0.1:50052]", 0},
        Case{"X99999999999999999999", "X99999999999999999999", 0}}) {
    const BufferPlace place = place_of_label(c.label);
    EXPECT_FALSE(place.is_host) << c.label;
    EXPECT_EQ(place.backend, c.backend) << c.label;
    EXPECT_EQ(place.index, c.index) << c.label;
  }
}

TEST(Verify, SettingsOfAReport) {
  PlannedRun run(testing::dense_model(), 2);
  RuntimeLoad& load = run.load();
  load.n_ctx = 2048;
  load.n_seq_max = 4;
  load.n_batch = 1024;
  load.n_ubatch = 256;
  load.flash_attn = false;
  load.kv_unified = true;
  load.cache_type_k = "q8_0";
  load.offloaded_layers = 11;
  load.layer_devices.assign(7, "CUDA0");
  load.layer_devices.insert(load.layer_devices.end(), 4, "CUDA1");
  const RunSettings settings = settings_of_report(run.report, {});
  EXPECT_EQ(settings.n_ctx, 2048u);
  EXPECT_EQ(settings.n_seq, 4u);
  EXPECT_EQ(settings.n_batch, 1024u);
  EXPECT_EQ(settings.n_ubatch, 256u);
  EXPECT_FALSE(settings.flash_attn);
  EXPECT_TRUE(settings.kv_unified);
  EXPECT_EQ(settings.cache_type_k, "q8_0");
  EXPECT_EQ(settings.cache_type_v, "f16");
  EXPECT_EQ(settings.n_gpu_layers, 11u);
  EXPECT_EQ(settings.n_outputs, 256u);
  load.n_outputs = 4;
  EXPECT_EQ(settings_of_report(run.report, {}).n_outputs, 4u);
  EXPECT_EQ(settings.tensor_split, (std::vector<double>{7, 4}));
  EXPECT_FALSE(settings.cpu_only);
  // Nonsense from a log stays out of the arithmetic.
  load.n_ctx = 1ull << 60;
  load.n_seq_max = 0;
  load.n_ubatch = 1ull << 40;
  const RunSettings kept = settings_of_report(run.report, {});
  EXPECT_EQ(kept.n_ctx, 4096u);
  EXPECT_EQ(kept.n_seq, 1u);
  EXPECT_EQ(kept.n_ubatch, 512u);
  std::erase_if(load.buffers, [](const auto& b) { return b.device.starts_with("CUDA"); });
  EXPECT_TRUE(settings_of_report(run.report, {}).cpu_only);
  EXPECT_EQ(settings_of_report(RuntimeReport{}, {}).n_ctx, 4096u);
}

}  // namespace
}  // namespace planner
