// SPDX-License-Identifier: MIT
#include "planner/scenario.h"

#include <gtest/gtest.h>

#include <cmath>

#include "planner/launch.h"
#include "planner/result_json.h"

namespace planner {
namespace {

hwdb::Result<Scenario> read(std::string_view text) {
  auto json = hwdb::parse_json(text, "test");
  if (!json) return json.error();
  return scenario_from_json(*json);
}

std::string code_of(std::string_view member) {
  const auto scenario = read(std::string(R"({"model":"m",)").append(member).append("}"));
  return scenario ? "ok" : scenario.error().code;
}

TEST(Scenario, DefaultsAreTheDocumentedOnes) {
  const auto s = read(R"({"model":"llama-3.1-8b"})");
  ASSERT_TRUE(s);
  EXPECT_FALSE(s->id);
  EXPECT_EQ(s->quant, "Q4_K_M");
  EXPECT_EQ(s->on, "this");
  EXPECT_EQ(s->settings.n_ctx, 4096u);
  EXPECT_EQ(s->settings.n_batch, 2048u);
  EXPECT_EQ(s->settings.n_ubatch, 512u);
  EXPECT_EQ(s->settings.n_seq, 1u);
  EXPECT_TRUE(s->settings.flash_attn);
  EXPECT_EQ(s->settings.cache_type_k, "f16");
  EXPECT_FALSE(s->settings.n_gpu_layers);
  EXPECT_EQ(s->workload.n_prompt, 512);
  EXPECT_EQ(s->workload.n_gen, 128);
  EXPECT_EQ(s->workload.depth, 0);
  EXPECT_EQ(s->workload.batch, 1u);
  EXPECT_TRUE(s->calibrated);
}

TEST(Scenario, TheDocumentedLineIsTheDefault) {
  const auto s = read(R"({"id":"1","model":"llama-3.1-8b","quant":"Q4_K_M","on":"RTX 4090",
    "runtime":"llama.cpp","backend":null,"n_ctx":4096,"n_batch":2048,"n_ubatch":512,"n_seq":1,
    "flash_attn":true,"cache_type_k":"f16","cache_type_v":"f16","n_gpu_layers":null,
    "n_cpu_moe":null,"override_tensor":null,"split_mode":"layer","tensor_split":null,
    "n_threads":null,"n_prompt":512,"n_gen":128,"depth":0,"batch":1,"speculative":null,
    "calibration":"auto"})");
  ASSERT_TRUE(s) << s.error().what;
  EXPECT_EQ(*s->id->as_string(), "1");
  EXPECT_EQ(s->on, "RTX 4090");
}

TEST(Scenario, EveryKeyIsRead) {
  const auto s = read(R"({"batch":4,"id":7,"model":"m","quant":null,"on":"x","runtime":"ollama",
    "backend":"cpu","n_ctx":8192,"n_batch":1024,"n_ubatch":256,"n_seq":2,"flash_attn":false,
    "cache_type_k":"q8_0","cache_type_v":"q4_0","n_gpu_layers":20,"n_cpu_moe":3,
    "override_tensor":"exps=CPU","split_mode":"row","tensor_split":[3,1],"n_threads":8,
    "n_prompt":100,"n_gen":10,"depth":5,"calibration":"none","tariff":"de"})");
  ASSERT_TRUE(s) << s.error().what;
  EXPECT_EQ(s->id->as_int64(), 7);
  EXPECT_EQ(s->quant, "");
  EXPECT_EQ(s->settings.runtime, hwdb::Runtime::ollama);
  EXPECT_TRUE(s->settings.cpu_only);
  EXPECT_EQ(s->settings.n_ctx, 8192u);
  EXPECT_EQ(s->settings.n_seq, 2u);
  EXPECT_FALSE(s->settings.flash_attn);
  EXPECT_EQ(s->settings.cache_type_v, "q4_0");
  EXPECT_EQ(s->settings.n_gpu_layers, 20u);
  EXPECT_EQ(s->settings.n_cpu_moe, 3u);
  EXPECT_EQ(s->settings.override_tensor, "exps=CPU");
  EXPECT_EQ(s->settings.split_mode, SplitMode::row);
  EXPECT_EQ(s->settings.tensor_split, (std::vector<double>{3, 1}));
  EXPECT_EQ(s->settings.n_threads, 8u);
  EXPECT_EQ(s->workload.n_prompt, 100);
  EXPECT_EQ(s->workload.depth, 5);
  EXPECT_EQ(s->workload.batch, 4u);
  EXPECT_FALSE(s->calibrated);
  EXPECT_EQ(s->tariff, "de");
}

TEST(Scenario, AUseComesBeforeTheFiguresBesideIt) {
  const auto s = read(R"({"n_prompt":77,"model":"m","use":"agent"})");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->workload.use, "agent");
  EXPECT_EQ(s->workload.n_prompt, 77);
  EXPECT_EQ(s->workload.n_gen, workload_for("agent")->n_gen);
}

TEST(Scenario, WrongTypes) {
  for (const char* member : {R"("id":[1])",
                             R"("quant":4)",
                             R"("on":1)",
                             R"("on":null)",
                             R"("runtime":1)",
                             R"("backend":2)",
                             R"("n_ctx":"4096")",
                             R"("n_ctx":4096.5)",
                             R"("n_ctx":null)",
                             R"("n_ctx":1e3)",
                             R"("n_batch":true)",
                             R"("n_seq":[])",
                             R"("flash_attn":1)",
                             R"("cache_type_k":8)",
                             R"("n_gpu_layers":"all")",
                             R"("n_cpu_moe":{})",
                             R"("override_tensor":1)",
                             R"("split_mode":0)",
                             R"("tensor_split":"3,1")",
                             R"("tensor_split":[3,"1"])",
                             R"("n_threads":"8")",
                             R"("n_prompt":null)",
                             R"("batch":"x")",
                             R"("calibration":true)",
                             R"("use":1)",
                             R"("tariff":0)"}) {
    EXPECT_EQ(code_of(member), "scenario.type") << member;
  }
  EXPECT_EQ(read("[1]").error().code, "scenario.type");
  EXPECT_EQ(read("3").error().code, "scenario.type");
  EXPECT_EQ(read(R"({"model":5})").error().code, "scenario.type");
}

TEST(Scenario, OutOfRange) {
  for (const char* member : {R"("n_ctx":0)",
                             R"("n_ctx":-1)",
                             R"("n_ctx":2147483649)",
                             R"("n_ctx":18446744073709551615)",
                             R"("n_batch":0)",
                             R"("n_ubatch":0)",
                             R"("n_seq":0)",
                             R"("n_seq":5000)",
                             R"("batch":0)",
                             R"("n_prompt":0)",
                             R"("n_gen":-1)",
                             R"("depth":-5)",
                             R"("n_threads":0)",
                             R"("n_gpu_layers":-1)",
                             R"("cache_type_k":"q9_9")",
                             R"("runtime":"llamacpp")",
                             R"("backend":"opencl")",
                             R"("split_mode":"diagonal")",
                             R"("tensor_split":[])",
                             R"("tensor_split":[0,0])",
                             R"("tensor_split":[-1,2])",
                             R"("calibration":"maybe")",
                             R"("use":"dreaming")",
                             R"("on":"")"}) {
    EXPECT_EQ(code_of(member), "scenario.range") << member;
  }
  EXPECT_EQ(code_of(R"("n_ctx":2147483648)"), "ok");
  EXPECT_EQ(code_of(R"("n_ctx":1)"), "ok");
}

TEST(Scenario, WhatIsLoadedBesideTheModel) {
  const auto s = read(R"({"model":"m","cpu_moe":true,"kv_offload":false,"main_gpu":1,
    "mmproj":"p.gguf","mmproj_offload":false,"lora":["a.gguf","rank=8"],"cache_ram_mib":-1,
    "ctx_checkpoints":4,"load_mode":"mmap+mlock","repack":false,"speculative":{"model":"d",
    "quant":"Q8_0","n_gpu_layers":9,"n_ctx":2048,"cache_type_k":"q8_0","cache_type_v":"q4_0",
    "n_max":6}})");
  ASSERT_TRUE(s) << s.error().what;
  const RunSettings& settings = s->settings;
  EXPECT_TRUE(settings.cpu_moe);
  EXPECT_TRUE(settings.kv_on_host);
  EXPECT_EQ(settings.main_gpu, 1u);
  EXPECT_EQ(settings.mmproj, "p.gguf");
  EXPECT_FALSE(settings.mmproj_on_gpu);
  EXPECT_EQ(settings.lora, (std::vector<std::string>{"a.gguf", "rank=8"}));
  EXPECT_EQ(settings.cache_ram_mib, -1);
  EXPECT_EQ(settings.ctx_checkpoints, 4u);
  EXPECT_EQ(settings.load_mode, LoadMode::mmap_mlock);
  EXPECT_FALSE(settings.repack);
  EXPECT_EQ(settings.draft.model, "d");
  EXPECT_EQ(settings.draft.quant, "Q8_0");
  EXPECT_EQ(settings.draft.n_gpu_layers, 9u);
  EXPECT_EQ(settings.draft.n_ctx, 2048u);
  EXPECT_EQ(settings.draft.cache_type_k, "q8_0");
  EXPECT_EQ(settings.draft.cache_type_v, "q4_0");
  EXPECT_EQ(settings.draft.n_max, 6u);
  EXPECT_TRUE(read(R"({"model":"m","speculative":{"type":"draft-mtp"}})")->settings.draft.mtp);
  EXPECT_EQ(read(R"({"model":"m","speculative":{}})").error().code, "scenario.missing_key");
  EXPECT_EQ(read(R"({"model":"m","speculative":{"modle":"d"}})").error().code,
            "scenario.unknown_key");
  EXPECT_EQ(read(R"({"model":"m","speculative":"d"})").error().code, "scenario.type");
  EXPECT_EQ(read(R"({"model":"m","lora":[1]})").error().code, "scenario.type");
}

TEST(Scenario, WhatBelongsToSpeed) {
  const auto s = read(R"({"model":"m","cached_fraction":0.9,"power_limit_w":250.5,
    "depths":[0,4096,2147483648],"speculative":{"model":"d","acceptance":0.7}})");
  ASSERT_TRUE(s) << s.error().what;
  EXPECT_EQ(s->workload.cached_fraction, 0.9);
  EXPECT_EQ(s->settings.power_limit_w, 250.5);
  EXPECT_EQ(s->depths, (std::vector<double>{0, 4096, 2147483648.0}));
  EXPECT_EQ(s->settings.draft.acceptance, 0.7);
  const auto plain = read(R"({"model":"m","power_limit_w":null,"depths":null,
    "speculative":{"model":"d","acceptance":null}})");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->settings.power_limit_w);
  EXPECT_FALSE(plain->settings.draft.acceptance);
  EXPECT_TRUE(plain->depths.empty());
  EXPECT_EQ(plain->workload.cached_fraction, 0);

  for (const char* member :
       {R"("cached_fraction":1.1)", R"("cached_fraction":-0.1)", R"("power_limit_w":4)",
        R"("power_limit_w":2001)", R"("depths":[-1])", R"("depths":[2147483649])",
        R"("speculative":{"model":"d","acceptance":1.01})"}) {
    EXPECT_EQ(code_of(member), "scenario.range") << member;
  }
  for (const char* member :
       {R"("cached_fraction":"90%")", R"("cached_fraction":null)", R"("power_limit_w":"250")",
        R"("depths":4096)", R"("depths":["0"])", R"("depths":[0.5])",
        R"("speculative":{"model":"d","acceptance":true})"}) {
    EXPECT_EQ(code_of(member), "scenario.type") << member;
  }
  std::string many = R"("depths":[0)";
  for (int i = 0; i < 64; ++i) many += ",0";
  EXPECT_EQ(code_of(many + "]"), "scenario.range");
}

TEST(Scenario, ARequestNeedsWhatIsThereThePromptAndTheAnswer) {
  Workload w;
  w.n_prompt = 30000, w.n_gen = 800;
  EXPECT_EQ(context_needed(w), 30976u);  // 121 x 256
  w.cached_fraction = 0.9;
  EXPECT_EQ(context_needed(w), 30976u) << "what is cached is in the context too";
  w.depth = 176;
  EXPECT_EQ(context_needed(w), 30976u);
  w.depth = 177;
  EXPECT_EQ(context_needed(w), 31232u);
}

TEST(Scenario, UnknownAndMissingKeys) {
  const auto unknown = read(R"({"model":"m","n_cxt":4096})");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "scenario.unknown_key");
  EXPECT_NE(unknown.error().hint.find("n_ctx"), std::string::npos) << unknown.error().hint;
  EXPECT_EQ(read(R"({"n_ctx":4096})").error().code, "scenario.missing_key");
  EXPECT_EQ(read("{}").error().code, "scenario.missing_key");
}

TEST(Scenario, ErrorsNameTheKeyAndWhatWouldBeRight) {
  const auto s = read(R"({"model":"m","n_ctx":"big"})");
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().where, "n_ctx");
  EXPECT_EQ(s.error().what, "n_ctx is text, expected a whole number from 1 to 2147483648");
}

Plan sample_plan() {
  Plan plan;
  plan.model_name = "llama-3.1-8b";
  plan.quant = "Q4_K_M";
  plan.machine_name = "RTX 4090";
  plan.scenario.model = "llama-3.1-8b";
  plan.scenario.id = hwdb::Json("a\"b");
  plan.memory.fits = Fits::gpu;
  plan.memory.devices.push_back({.device = "RTX 4090",
                                 .is_gpu = true,
                                 .weights = hwdb::Bytes(4617089024),
                                 .budget = hwdb::Bytes(25757220864)});
  plan.placement.n_gpu_layers = 33;
  plan.placement.tensor_split = {1.0};
  plan.speed.decode_tok_per_s = {121.1111111, 137.0 / 3, 158};
  return plan;
}

TEST(ResultJson, HasTheDocumentedKeys) {
  std::string text;
  hwdb::JsonWriter writer(&text);
  append_result_json(&writer, sample_plan());
  const auto json = hwdb::parse_json(text, "result");
  ASSERT_TRUE(json) << text;
  for (const char* key :
       {"id", "schema", "ok", "fits", "file_size_bytes", "memory", "placement", "prefill_tok_per_s",
        "decode_tok_per_s", "ttft_s", "power_w", "energy_wh_per_mtok", "launch", "notes"}) {
    EXPECT_NE(json->find(key), nullptr) << key;
  }
  EXPECT_EQ(*json->find("id")->as_string(), "a\"b");
  const hwdb::Json& device = json->find("memory")->find("devices")->as_array()->front();
  for (const char* key :
       {"device", "kind", "weights_bytes", "kv_cache_bytes", "state_bytes", "compute_bytes",
        "output_bytes", "overhead_bytes", "total_bytes", "budget_bytes"}) {
    EXPECT_NE(device.find(key), nullptr) << key;
  }
  EXPECT_EQ(device.find("weights_bytes")->as_uint64(), 4617089024u);
  const hwdb::Json& decode = *json->find("decode_tok_per_s");
  EXPECT_EQ(decode.find("low")->as_double(), 121.111);
  EXPECT_EQ(decode.find("likely")->as_double(), 45.6667);
  EXPECT_EQ(*decode.find("bound")->as_string(), "memory");
  EXPECT_NE(json->find("power_w")->find("idle"), nullptr);
  EXPECT_EQ(json->find("placement")->find("n_gpu_layers")->as_uint64(), 33u);
}

TEST(ResultJson, UnknownFiguresAreNullWithAReason) {
  Plan plan = sample_plan();
  plan.memory.fits = Fits::no;
  plan.memory.shortfall = hwdb::Bytes(5);
  std::string text;
  hwdb::JsonWriter writer(&text);
  append_result_json(&writer, plan);
  const auto json = hwdb::parse_json(text, "result");
  ASSERT_TRUE(json);
  EXPECT_TRUE(json->find("ok")->as_bool().value());
  EXPECT_TRUE(json->find("decode_tok_per_s")->is_null());
  EXPECT_EQ(*json->find("decode_tok_per_s_reason")->as_string(), "the model does not fit");
  EXPECT_EQ(json->find("memory")->find("shortfall_bytes")->as_uint64(), 5u);
  EXPECT_TRUE(json->find("launch")->is_null());
}

TEST(ResultJson, DepthsAndSequencesWhereTheyWereAsked) {
  Plan plan = sample_plan();
  const auto written = [&] {
    std::string text;
    hwdb::JsonWriter writer(&text);
    append_result_json(&writer, plan);
    auto json = hwdb::parse_json(text, "result");
    EXPECT_TRUE(json) << text;
    return std::move(*json);
  };
  const hwdb::Json plain = written();
  for (const char* key : {"speed_by_depth", "speed_by_batch", "each_decode_tok_per_s"})
    EXPECT_EQ(plain.find(key), nullptr) << key;
  ASSERT_NE(plain.find("request_s"), nullptr);

  plan.scenario.workload.batch = 4;
  plan.speed.request_s = {1, 2, 3};
  plan.speed_by_depth = {{.depth = 2048,
                          .prefill_tok_per_s = {1, 2, 3, hwdb::Basis::calibrated},
                          .decode_tok_per_s = {4, 5, 6, hwdb::Basis::assumed}}};
  plan.speed_by_batch = {{.n_seq = 4, .decode_tok_per_s = {8, 9, 10}, .each_tok_per_s = {2, 3, 4}}};
  const hwdb::Json full = written();
  EXPECT_EQ(hwdb::write_json(*full.find("speed_by_depth")),
            R"([{"depth":2048,"prefill_tok_per_s":{"low":1,"likely":2,"high":3,)"
            R"("basis":"calibrated"},"decode_tok_per_s":{"low":4,"likely":5,"high":6,)"
            R"("basis":"assumed"}}])");
  const hwdb::Json& batch = full.find("speed_by_batch")->as_array()->front();
  EXPECT_EQ(batch.find("n_seq")->as_uint64(), 4u);
  EXPECT_EQ(batch.find("each_tok_per_s")->find("likely")->as_double(), 3);
  EXPECT_EQ(full.find("request_s")->find("high")->as_double(), 3);
  EXPECT_EQ(full.find("each_decode_tok_per_s")->find("likely")->as_double(), 11.4167);
}

TEST(ResultJson, SixDigits) {
  EXPECT_EQ(rounded(0), 0);
  EXPECT_EQ(rounded(123456789), 123457000);
  EXPECT_EQ(rounded(0.000123456789), 0.000123457);
  EXPECT_EQ(rounded(-1.23456789), -1.23457);
  EXPECT_EQ(rounded(1e300), 1e300);
  EXPECT_TRUE(std::isnan(rounded(std::nan(""))));
}

TEST(Launch, LinesPasteIntoAShell) {
  Plan plan = sample_plan();
  EXPECT_EQ(llama_server_line(plan),
            "llama-server -m llama-3.1-8b-Q4_K_M.gguf -c 4096 -np 1 -ngl 33 -fa on");
  plan.scenario.model = "./it's here.gguf";
  plan.scenario.settings.n_seq = 2;
  plan.scenario.settings.cache_type_k = plan.scenario.settings.cache_type_v = "q8_0";
  plan.placement.layers_on_gpu = {24, 8};
  plan.placement.output_gpu = 1;
  plan.placement.n_cpu_moe = 4;
  EXPECT_EQ(llama_server_line(plan),
            "llama-server -m './it'\\''s here.gguf' -c 4096 -np 2 -ngl 33 -ncmoe 4 "
            "-ts 24,9 -fa on -ctk q8_0 -ctv q8_0");
  EXPECT_EQ(ollama_line(plan), "");  // Ollama has no setting for experts in RAM
  plan.placement.n_cpu_moe = 0;
  EXPECT_NE(ollama_line(plan).find("PARAMETER num_ctx 2048"), std::string::npos);
  EXPECT_EQ(ollama_serve_line(plan),
            "OLLAMA_NUM_PARALLEL=2 OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0 "
            "ollama serve");
  plan.scenario.model = "-rf.gguf";
  EXPECT_TRUE(llama_server_line(plan).starts_with("llama-server -m ./-rf.gguf "));
  EXPECT_EQ(shell_word("a b;$(c)"), "'a b;$(c)'");
  EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace planner
