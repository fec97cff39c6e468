// SPDX-License-Identifier: MIT
#include "planner/fitting/measured_rows.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "hwdb/testing/shared_facts.h"
#include "planner/assumptions.h"
#include "planner/fitting/measured_names.h"
#include "planner/fitting/measured_notes.h"
#include "planner/fitting/measured_rules.h"

namespace fitting {
namespace {

using Cells = std::map<std::string, std::string>;

std::string header_line() {
  std::string out;
  for (const std::string_view name : measured_columns()) {
    if (!out.empty()) out += ',';
    out += name;
  }
  return out + '\n';
}

/// A row that no rule leaves out, with some cells changed.
std::string line_of(const Cells& changed) {
  Cells cells = {{"source_id", "a"},
                 {"source", "a table"},
                 {"url", "https://example.org/a"},
                 {"date", "2025-06"},
                 {"device", "NVIDIA GeForce RTX 3090"},
                 {"device_count", "1"},
                 {"backend", "CUDA"},
                 {"runtime", "llama.cpp llama-bench"},
                 {"model", "llama 8B"},
                 {"params_b", "8.03"},
                 {"arch_moe", "0"},
                 {"quant", "Q4_0"},
                 {"model_size_gib", "4.33"},
                 {"test", "tg"},
                 {"n_prompt", "0"},
                 {"n_gen", "128"},
                 {"depth", "0"},
                 {"batch", "1"},
                 {"ngl_or_offload", "99"},
                 {"tok_s", "130"}};
  for (const auto& [name, value] : changed) cells[name] = value;
  std::string out;
  for (const std::string_view name : measured_columns()) {
    if (name != "source_id") out += ',';
    std::string quoted = "\"";
    const std::string& cell = cells[std::string(name)];
    for (const char c : cell) quoted += c == '"' ? "\"\"" : std::string(1, c);
    out += cell.find_first_of(",\"") == std::string::npos ? cell : quoted + '"';
  }
  return out + '\n';
}

std::vector<MeasuredRow> rows_of(const std::vector<Cells>& lines) {
  std::string text = header_line();
  for (const Cells& cells : lines) text += line_of(cells);
  auto rows = parse_measured_rows(text, "table.csv", nullptr);
  EXPECT_TRUE(rows.has_value()) << (rows ? "" : rows.error().what);
  return rows ? *rows : std::vector<MeasuredRow>{};
}

CleanedRows cleaned(const std::vector<Cells>& lines) {
  return clean_rows(rows_of(lines), hwdb::Catalog::builtin());
}

/// The rule that leaves out the row, "" when it is used.
std::string rule_of(const Cells& cells) {
  const CleanedRows result = cleaned({cells});
  EXPECT_EQ(result.cases.size() + result.left_out.size(), 1u);
  return result.left_out.empty() ? "" : result.left_out[0].rule;
}

std::string error_of(const std::string& text, std::string* where = nullptr) {
  const auto rows = parse_measured_rows(text, "table.csv", nullptr);
  if (rows) return {};
  if (where != nullptr) *where = rows.error().where;
  return rows.error().code;
}

TEST(MeasuredCsv, ReadsQuotesAndEmptyCells) {
  const auto rows = rows_of({{{"notes", "host CPU=AMD EPYC 7543, threads=12; n_ubatch=1024"},
                              {"kv_type", "q8_0/f16"},
                              {"flash_attn", "1"},
                              {"tok_s_std", "1.5"},
                              {"power_w", "280"}},
                             {{"test", "pp"}, {"n_prompt", "512"}, {"n_gen", "0"}}});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].line, 2u);
  EXPECT_EQ(rows[0].reading.test, hwdb::SpeedReading::Test::decode);
  EXPECT_EQ(rows[0].reading.backend, "cuda");
  EXPECT_EQ(rows[0].reading.cache_type_k, "q8_0");
  EXPECT_EQ(rows[0].reading.cache_type_v, "f16");
  EXPECT_EQ(rows[0].reading.flash_attn, true);
  EXPECT_EQ(rows[0].reading.n_threads, 12u);
  EXPECT_EQ(rows[0].reading.n_ubatch, 1024u);
  EXPECT_EQ(rows[0].reading.n_gpu_layers, 99u);
  EXPECT_DOUBLE_EQ(rows[0].reading.tok_per_s, 130);
  EXPECT_DOUBLE_EQ(rows[0].reading.deviation, 1.5);
  EXPECT_DOUBLE_EQ(rows[0].reading.watts.value_or(0), 280);
  EXPECT_EQ(rows[0].host, "AMD EPYC 7543");
  EXPECT_TRUE(rows[0].params_exact);
  EXPECT_EQ(rows[1].line, 3u);
  EXPECT_EQ(rows[1].reading.test, hwdb::SpeedReading::Test::prefill);
  EXPECT_EQ(rows[1].reading.n_prompt, 512u);
  EXPECT_FALSE(rows[1].reading.flash_attn.has_value());
  EXPECT_FALSE(rows[1].reading.watts.has_value());
}

TEST(MeasuredCsv, QuotedCellsKeepCommasQuotesAndLineEnds) {
  std::string text = header_line();
  text += line_of({{"notes", "one"}});
  text.replace(text.rfind("one"), 3, "\"a \"\"b\"\", c\nd\"");
  text += line_of({});
  const auto rows = parse_measured_rows(text, "table.csv", nullptr);
  ASSERT_TRUE(rows.has_value());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].notes, "a \"b\", c\nd");
  EXPECT_EQ((*rows)[1].line, 4u);
}

TEST(MeasuredCsv, OtherColumnsAreReadOverAndOrderDoesNotMatter) {
  std::string header = header_line(), line = line_of({});
  const auto rows = parse_measured_rows("extra," + header + "x," + line, "table.csv", nullptr);
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ((*rows)[0].device, "NVIDIA GeForce RTX 3090");
  const auto crlf = parse_measured_rows(
      header.substr(0, header.size() - 1) + "\r\n" + line.substr(0, line.size() - 1) + "\r\n",
      "table.csv", nullptr);
  ASSERT_TRUE(crlf.has_value());
  EXPECT_EQ((*crlf)[0].notes, "");
}

TEST(MeasuredCsv, MalformedTablesSayWhere) {
  const std::string header = header_line(), good = line_of({});
  std::string where;
  EXPECT_EQ(error_of(""), "csv.header");
  EXPECT_EQ(error_of("source_id,tok_s\n"), "csv.header");
  EXPECT_EQ(error_of("url," + header), "csv.header");
  EXPECT_EQ(error_of(header + good + "a,b\n", &where), "csv.row");
  EXPECT_EQ(where, "table.csv line 3");
  EXPECT_EQ(error_of(header + "\n" + good.substr(0, good.size() - 1) + ",\n", &where), "csv.row");
  EXPECT_EQ(where, "table.csv line 3");
  EXPECT_EQ(error_of(header + "\"a" + good, &where), "csv.row");
  EXPECT_EQ(where, "table.csv line 2");
  EXPECT_EQ(error_of(header + "\"a\"b" + good), "csv.row");
  EXPECT_EQ(error_of(header + "a\"" + good), "csv.row");
  for (const Cells& bad : std::vector<Cells>{{{"tok_s", "fast"}},
                                             {{"tok_s", "0"}},
                                             {{"tok_s", ""}},
                                             {{"tok_s", "-3"}},
                                             {{"tok_s", "nan"}},
                                             {{"tok_s", "1e400"}},
                                             {{"tok_s", "12 "}},
                                             {{"test", "all"}},
                                             {{"n_gen", "1e12"}},
                                             {{"depth", "-1"}},
                                             {{"flash_attn", "yes"}},
                                             {{"batch", "inf"}},
                                             {{"params_b", "8b"}},
                                             {{"vram_gb", "0x10"}},
                                             {{"device_count", "99999999"}}}) {
    EXPECT_EQ(error_of(header + good + line_of(bad), &where), "csv.row") << bad.begin()->second;
    EXPECT_EQ(where, "table.csv line 3");
  }
  EXPECT_EQ(error_of(header + good), "");
  EXPECT_EQ(error_of(header), "");
}

TEST(MeasuredCsv, FilesThatCannotBeRead) {
  const auto missing = read_measured_rows("/nowhere/table.csv", nullptr);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, "file.open");
}

TEST(MeasuredRules, EachRuleHasARowThatTriggersIt) {
  EXPECT_EQ(rule_of({}), "");
  EXPECT_EQ(rule_of({{"runtime", "vLLM"}}), "runtime");
  EXPECT_EQ(rule_of({{"runtime", "ollama"}}), "runtime");
  EXPECT_EQ(rule_of({{"runtime", "llama.cpp"}, {"ngl_or_offload", "all"}}), "");
  EXPECT_EQ(rule_of({{"runtime", "ik_llama.cpp llama-bench"}}), "ik_fork");
  EXPECT_EQ(rule_of({{"test", "pp+tg"}, {"n_prompt", "512"}}), "both_phases");
  EXPECT_EQ(rule_of({{"runtime", "llama.cpp"}, {"source_id", "llmfit-pr"}}), "end_to_end");
  EXPECT_EQ(rule_of({{"runtime", "llama.cpp"}, {"notes", "end-to-end average"}}), "end_to_end");
  EXPECT_EQ(rule_of({{"source_id", "localmaxxing"}, {"runtime", "llama.cpp llama-server"}}),
            "end_to_end");
  EXPECT_EQ(rule_of({{"source_id", "localmaxxing"}, {"notes", "crowd-sourced"}}), "");
  EXPECT_EQ(rule_of({{"runtime", "llama.cpp"},
                     {"source_id", "llmfit-pr"},
                     {"notes", "pure generation by server"}}),
            "");
  EXPECT_EQ(rule_of({{"notes", "rough figure of the author"}}), "doubtful");
  EXPECT_EQ(rule_of({{"notes", "llama.cpp baseline"}}), "doubtful");
  EXPECT_EQ(rule_of({{"notes", "speculative decoding suspected"}}), "speculative");
  EXPECT_EQ(rule_of({{"tok_s", "260"}}), "speculative");  // 936 GB/s over 4.4 GB: 215 at most
  EXPECT_EQ(rule_of({{"tok_s", "205"}}), "");
  EXPECT_EQ(rule_of({{"runtime_version", "before the PR"}}), "before_change");
  EXPECT_EQ(rule_of({{"runtime_version", "master"}}), "before_change");
  EXPECT_EQ(rule_of({{"runtime_version", "with the PR"}}), "");
  EXPECT_EQ(rule_of({{"notes", "before optimisation"}}), "before_change");
  EXPECT_EQ(rule_of({{"date", "2024-02-29"}}), "old_build");
  EXPECT_EQ(rule_of({{"date", "2023"}}), "old_build");
  EXPECT_EQ(rule_of({{"date", "2024-03-01"}}), "");
  EXPECT_EQ(rule_of({{"date", "2024"}}), "");
  EXPECT_EQ(rule_of({{"date", ""}}), "");
  EXPECT_EQ(rule_of({{"backend", "OpenCL"}}), "backend");
  EXPECT_EQ(rule_of({{"backend", "ROCm"}}), "backend");  // not on this card
  EXPECT_EQ(rule_of({{"backend", "Vulkan"}}), "");
  EXPECT_EQ(rule_of({{"notes", "Raspberry Pi 5 host"}}), "host");
  EXPECT_EQ(rule_of({{"ngl_or_offload", "ngl=20"}}), "host");
  EXPECT_EQ(rule_of({{"notes", "overclocked"}}), "tuned");
  EXPECT_EQ(rule_of({{"test", "pp"}, {"n_prompt", ""}}), "prompt_length");
  EXPECT_EQ(rule_of({{"test", "pp"}, {"n_prompt", "16"}}), "prompt_length");
  EXPECT_EQ(rule_of({{"test", "pp"}, {"n_prompt", "32"}}), "");
  EXPECT_EQ(rule_of({{"ngl_or_offload", "partial offload"}}), "placement");
  EXPECT_EQ(rule_of({{"backend", "CUDA+CPU"}, {"ngl_or_offload", "all"}}), "placement");
  EXPECT_EQ(rule_of({{"device", "NVIDIA GeForce RTX 9099"}}), "device");
  EXPECT_EQ(rule_of({{"device_count", "2"}, {"vram_gb", "48"}}), "");
  EXPECT_EQ(rule_of({{"vram_gb", "80"}}), "device");
  EXPECT_EQ(rule_of({{"model", "Nobody-9B"}}), "model");
  EXPECT_EQ(rule_of({{"model", "Llama 3.2 1B"}}), "model");  // with 8.03 billion parameters
  EXPECT_EQ(rule_of({{"model_size_gib", "4.6"}}), "model_size");
  EXPECT_EQ(rule_of({{"model_size_gib", "4.4"}}), "");
  EXPECT_EQ(rule_of({{"quant", "AVQ2"}}), "quant");
  EXPECT_EQ(rule_of({{"quant", ""}}), "quant");
  EXPECT_EQ(rule_of({{"quant", "UD-Q4_K_XL"}, {"model_size_gib", ""}}), "quant");
  EXPECT_EQ(rule_of({{"quant", "UD-Q4_K_XL"}, {"model_size_gib", "4.7"}}), "quant");
  EXPECT_EQ(rule_of({{"quant", "UD-Q4_K_XL"}, {"model_size_gib", "4.6"}}), "");
  EXPECT_EQ(rule_of({{"quant", "F16"}, {"model_size_gib", ""}, {"tok_s", "50"}}), "");
  EXPECT_EQ(rule_of({{"quant", "F16"},
                     {"model_size_gib", ""},
                     {"device", "NVIDIA GeForce RTX 3070"},
                     {"tok_s", "20"}}),
            "placement");  // 15 GiB on 8
  const Cells on_cpu = {
      {"device", "AMD EPYC 9554"}, {"backend", "CPU"}, {"ngl_or_offload", "0"}, {"tok_s", "40"}};
  EXPECT_EQ(rule_of(on_cpu), "");
  Cells few = on_cpu;
  few["notes"] = "threads=8";
  EXPECT_EQ(rule_of(few), "few_threads");
  few["notes"] = "threads=64";
  EXPECT_EQ(rule_of(few), "");
}

TEST(MeasuredRules, OutsideRatesCountWhereTheyCanBeNothingElse) {
  const auto rule_with = [](const Cells& changed) {
    Cells cells = {{"source_id", "llmfit-community"},
                   {"runtime", "llama.cpp"},
                   {"ngl_or_offload", ""},
                   {"n_gen", "300"}};
    for (const auto& [name, value] : changed) cells[name] = value;
    const CleanedRows result =
        clean_rows(rows_of({cells}), hwdb::Catalog::builtin(), {.outside_rates = true});
    return result.left_out.empty() ? std::string() : result.left_out[0].rule;
  };
  EXPECT_EQ(rule_with({}), "");
  EXPECT_EQ(rule_with({{"n_gen", "99"}}), "end_to_end");
  EXPECT_EQ(rule_with({{"n_gen", ""}}), "end_to_end");
  EXPECT_EQ(rule_with({{"ngl_or_offload", "partial offload likely"}}), "placement");
  EXPECT_EQ(rule_with({{"runtime", "ollama"}}), "runtime");
  EXPECT_EQ(rule_with({{"model", "Qwen_Qwen3-8B-Q8_0.gguf"},
                       {"params_b", "8"},
                       {"quant", "Q8_0"},
                       {"model_size_gib", ""},
                       {"tok_s", "80"}}),
            "");
  // 14.5 GiB on 16.
  EXPECT_EQ(rule_with({{"model", "Phi-4 14B"},
                       {"params_b", "14.66"},
                       {"quant", "Q8_0"},
                       {"model_size_gib", ""},
                       {"device", "NVIDIA GeForce RTX 4080"},
                       {"tok_s", "20"}}),
            "placement");
}

TEST(MeasuredRules, SlowBuildsAndDuplicatesAreJudgedWithinAGroup) {
  const CleanedRows result = cleaned({{{"tok_s", "70"}, {"date", "2024-04"}},
                                      {{"tok_s", "120"}},
                                      {{"tok_s", "126"}},
                                      {{"tok_s", "130"}},
                                      {{"tok_s", "128"}, {"model", "Llama-3.1-8B-Instruct"}},
                                      {{"tok_s", "90"}, {"depth", "8192"}}});
  ASSERT_EQ(result.cases.size(), 2u);
  // Of 120, 126, 128 and 130 the faster of the middle two; Llama 3 and 3.1 are one shape.
  EXPECT_DOUBLE_EQ(result.cases[0].row.reading.tok_per_s, 128);
  EXPECT_DOUBLE_EQ(result.cases[1].row.reading.tok_per_s, 90);
  EXPECT_EQ(result.cases[1].situation, Situation::depth);
  std::map<std::string, int> rules;
  for (const LeftOut& out : result.left_out) ++rules[out.rule];
  EXPECT_EQ(rules["slow_build"], 1);
  EXPECT_EQ(rules["duplicate"], 3);
  EXPECT_EQ(result.left_out[0].line, 2u);
  EXPECT_EQ(result.left_out[0].rule, "slow_build");
}

TEST(MeasuredRules, PromptsOfOneTableDoNotHangOnTheFormat) {
  const auto prompt = [](const char* quant, const char* rate, const char* source,
                         const char* length) {
    return Cells{{"test", "pp"},       {"n_prompt", length},   {"n_gen", "0"},
                 {"quant", quant},     {"model_size_gib", ""}, {"tok_s", rate},
                 {"source_id", source}};
  };
  Cells small = prompt("Q4_0", "900", "a", "512");  // not comparable
  small["notes"] = "n_ubatch=16";
  const CleanedRows result =
      cleaned({prompt("Q4_0", "4000", "a", "512"), prompt("F16", "2300", "a", "512"),
               prompt("BF16", "2500", "a", "512"), prompt("F16", "2200", "b", "512"),
               prompt("Q8_0", "1000", "b", "1024"), prompt("BF16", "3000", "b", "1024"), small});
  ASSERT_EQ(result.left_out.size(), 2u);
  for (const LeftOut& out : result.left_out) EXPECT_EQ(out.rule, "slow_build");
  EXPECT_EQ(result.left_out[0].line, 3u);
  EXPECT_EQ(result.left_out[1].line, 6u);
}

TEST(MeasuredCases, ScenariosAreComplete) {
  const CleanedRows result =
      cleaned({{{"test", "pp"},
                {"n_prompt", "4096"},
                {"n_gen", "0"},
                {"depth", "8192"},
                {"notes", "n_ubatch=2048"},
                {"kv_type", "q8_0"}},
               {{"batch", "8"}, {"n_gen", "32"}, {"depth", "512"}, {"tok_s", "400"}},
               {{"device_count", "4"}, {"date", "2026-02"}, {"notes", "tensor split"}},
               {{"device", "AMD EPYC 9554"},
                {"backend", "CPU"},
                {"ngl_or_offload", "0"},
                {"tok_s", "40"},
                {"n_gen", ""},
                {"notes", "12 channels of DDR5-4800; threads=64"}},
               {{"model", "gpt-oss 20B"},
                {"params_b", "20.91"},
                {"quant", "MXFP4"},
                {"model_size_gib", "11.27"}},
               {{"ngl_or_offload", "ngl=20"}, {"tok_s", "20"}, {"notes", "host CPU=AMD EPYC 7543"}},
               {{"model", "gpt-oss 20B"},
                {"params_b", "20.91"},
                {"quant", "MXFP4"},
                {"model_size_gib", "11.27"},
                {"backend", "CUDA+CPU"},
                {"ngl_or_offload", "--n-cpu-moe 12"},
                {"tok_s", "40"},
                {"notes", "EPYC 7543, 8ch DDR4-3200"}}});
  ASSERT_EQ(result.cases.size(), 7u) << result.left_out.at(0).words;
  const auto& c = result.cases;
  EXPECT_EQ(c[0].scenario.workload.n_prompt, 4096);
  EXPECT_EQ(c[0].scenario.workload.n_gen, 0);
  EXPECT_EQ(c[0].scenario.workload.depth, 8192);
  EXPECT_EQ(c[0].scenario.settings.n_ubatch, 2048u);
  EXPECT_GE(c[0].scenario.settings.n_ctx, 12'288u);
  EXPECT_LT(c[0].scenario.settings.n_ctx, 13'000u);
  EXPECT_EQ(c[0].scenario.settings.cache_type_v, "q8_0");
  EXPECT_TRUE(c[0].scenario.settings.flash_attn);  // quantized values need it
  EXPECT_EQ(c[0].scenario.settings.n_gpu_layers, 33u);
  EXPECT_EQ(c[0].situation, Situation::depth);
  EXPECT_EQ(c[1].situation, Situation::batch);
  EXPECT_EQ(c[1].scenario.settings.n_seq, 8u);
  EXPECT_GE(c[1].scenario.settings.n_ctx, 8u * 544u);
  EXPECT_FALSE(c[1].scenario.settings.flash_attn);
  EXPECT_EQ(c[2].situation, Situation::several_gpus);
  EXPECT_EQ(c[2].machine->gpus.size(), 4u);
  EXPECT_EQ(c[2].scenario.settings.split_mode, planner::SplitMode::tensor);
  EXPECT_TRUE(c[2].scenario.settings.flash_attn);  // chosen by the program since 2025-09
  EXPECT_EQ(c[3].situation, Situation::cpu);
  EXPECT_TRUE(c[3].scenario.settings.cpu_only);
  EXPECT_EQ(c[3].scenario.settings.n_threads, 64u);
  EXPECT_EQ(c[3].scenario.workload.n_gen, 128);
  EXPECT_EQ(c[3].device_key, "amd-epyc-9554");
  EXPECT_NEAR(c[3].machine->memory.bandwidth.value.value, 460.8e9, 1e8);
  EXPECT_EQ(c[4].situation, Situation::experts);
  EXPECT_EQ(c[4].model->name, "gpt-oss-20b");
  EXPECT_EQ(c[5].situation, Situation::offload);
  EXPECT_EQ(c[5].scenario.settings.n_gpu_layers, 20u);
  EXPECT_EQ(c[5].machine->cpu.catalog_id, "amd-epyc-7543");
  EXPECT_EQ(c[6].situation, Situation::offload);
  EXPECT_EQ(c[6].scenario.settings.n_cpu_moe, 12u);
  EXPECT_EQ(c[6].machine->cpu.catalog_id, "amd-epyc-7543");
  EXPECT_NEAR(c[6].machine->memory.bandwidth.value.value, 204.8e9, 1e8);
  EXPECT_EQ(c[5].device_key, "nvidia-geforce-rtx-3090");
  for (const Case& one : c) EXPECT_DOUBLE_EQ(one.weight, 1);
  // Models and machines are shared.
  EXPECT_EQ(c[0].model, c[1].model);
  EXPECT_EQ(c[0].machine->gpus[0].catalog_id, c[1].machine->gpus[0].catalog_id);
}

TEST(MeasuredNotes, WordsBecomeSettings) {
  const auto notes = [](std::string_view text) {
    MeasuredRow row;
    row.notes = text;
    read_notes(&row);
    return row;
  };
  EXPECT_EQ(notes("microbatch 512; microbatch 64").reading.n_ubatch, 512u);
  EXPECT_EQ(notes("activeParamsB=None; -b 4096; -ub 1024").reading.n_batch, 4096u);
  EXPECT_EQ(notes("activeParamsB=None; -b 4096; -ub 1024").reading.n_ubatch, 1024u);
  EXPECT_EQ(notes("32GB DDR5-5600; b=1024 ub=512").reading.n_batch, 1024u);
  EXPECT_EQ(notes("128GB DDR4-3600, 12 threads").reading.n_threads, 12u);
  EXPECT_EQ(notes("128GB DDR4-3600, 12 threads").memory, "128gb ddr4-3600");
  EXPECT_EQ(notes("8-channel DDR5-4800; threads=52").memory, "ddr5-4800 8ch");
  EXPECT_EQ(notes("12 channels of DDR5-5600 modules, 460.8 GB/s").memory, "ddr5 12ch");
  EXPECT_EQ(notes("i9-10900X (quad-channel DDR4), 62GB RAM").memory, "62gb ddr4 4ch");
  EXPECT_EQ(notes("i9-10900X (quad-channel DDR4), 62GB RAM").host, "i9-10900X");
  EXPECT_EQ(notes("EPYC 9654 96c, 768GB RAM, 12 threads").host, "EPYC 9654");
  EXPECT_EQ(notes("2x Intel Xeon Gold 6454S, 16ch DDR5-4800 total, 1TB").host,
            "2x Intel Xeon Gold 6454S");
  EXPECT_EQ(notes("2x Intel Xeon Gold 6454S, 16ch DDR5-4800 total, 1TB").memory,
            "1tb ddr5-4800 16ch");
  EXPECT_EQ(notes("host CPU=None; peakVramGb=None").host, "");
  EXPECT_EQ(notes("4k context, EPYC 7702P host").host, "EPYC 7702P");
  EXPECT_EQ(notes("21 GB, ctx 16K, VRAM free 679 MB").memory, "");
  EXPECT_EQ(notes("layer split, PCIe 3.0 x8").reading.split_mode, "layer");
  EXPECT_EQ(notes("tensor-split 1,1").reading.split_mode, "");
  EXPECT_EQ(backend_of("MTL,BLAS"), "metal");
  EXPECT_EQ(backend_of("HIP"), "rocm");
  EXPECT_EQ(backend_of("CUDA+CPU"), "cuda");
  EXPECT_EQ(backend_of("SYCL/XPU"), "sycl");
  EXPECT_EQ(backend_of("OpenCL"), "opencl");
}

TEST(MeasuredNotes, ShortNotesSayTheSame) {
  for (const std::string_view text :
       {"i9-10900X, measured about 102 GB/s quad-channel DDR4; pure generation by server",
        "Ryzen 5 7500F, 32GB DDR5-5600; b=1024 ub=512; 48,531-token prompt + 256",
        "2x Intel Xeon Gold 6454S, 16ch DDR5-4800 total, 1TB; llama.cpp baseline, 2x32 cores",
        "threads=16; n_ubatch=2048", "16GB, Windows laptop", "layer split 35,37,28"}) {
    MeasuredRow row;
    row.notes = text;
    read_notes(&row);
    MeasuredRow again;
    again.notes = short_notes(row);
    read_notes(&again);
    EXPECT_EQ(short_notes(again), again.notes) << text;
    EXPECT_EQ(again.host, row.host) << text;
    EXPECT_EQ(again.memory, row.memory) << text;
    EXPECT_EQ(again.reading.n_ubatch, row.reading.n_ubatch) << text;
    EXPECT_EQ(again.reading.n_batch, row.reading.n_batch) << text;
    EXPECT_EQ(again.reading.n_threads, row.reading.n_threads) << text;
    EXPECT_EQ(again.reading.split_mode, row.reading.split_mode) << text;
  }
}

TEST(MeasuredNames, Presets) {
  EXPECT_EQ(preset_of("Q4_K - Medium"), "Q4_K_M");
  EXPECT_EQ(preset_of("Q4_K"), "Q4_K_M");
  EXPECT_EQ(preset_of("Q5_K - Small"), "Q5_K_S");
  EXPECT_EQ(preset_of("mostly Q4_0"), "Q4_0");
  EXPECT_EQ(preset_of("q8_0"), "Q8_0");
  EXPECT_EQ(preset_of("fp16"), "F16");
  EXPECT_EQ(preset_of("MXFP4 MoE"), "MXFP4_MOE");
  EXPECT_EQ(preset_of("MXFP4"), "MXFP4_MOE");
  EXPECT_EQ(preset_of("UD-Q4_K_XL"), "");
  EXPECT_EQ(preset_of("4-bit"), "");
  EXPECT_EQ(preset_of("AWQ INT4"), "");
  EXPECT_EQ(preset_behind_mix("UD-Q4_K_XL"), "Q4_K_M");
  EXPECT_EQ(preset_behind_mix("UD-IQ2_XXS"), "IQ2_XXS");
  EXPECT_EQ(preset_behind_mix("Q4_K_M"), "");
}

TEST(MeasuredNames, ModelsOfPublishedTables) {
  struct Known {
    const char *words, *params, *quant, *size, *id;
  };
  MeasuredNames names(hwdb::Catalog::builtin());
  for (const Known& known : std::initializer_list<Known>{
           {"Llama 3 8B", "8.03", "Q4_K_M", "4.58", "llama-3-8b"},
           {"Llama 3 70B", "70.55", "F16", "131.42", "llama-3-70b"},
           {"Meta Llama 3.1 8B Instruct", "8.03", "Q4_K_M", "", "llama-3.1-8b"},
           {"Llama 3.2 1B Instruct", "1.498", "Q4_K_M", "", "llama-3.2-1b"},
           {"llama 7B", "6.74", "Q4_0", "3.56", "llama-1-7b"},
           {"llama 7B", "7.24", "Q5_K_M", "4.78", "mistral-7b-v0.1"},
           {"llama 7B (Mistral-7B-Instruct-v0.2)", "7.24", "Q4_0", "3.83", "mistral-7b-v0.1"},
           {"llama 8B", "8.03", "Q8_0", "7.95", "llama-3-8b"},
           {"llama 8B", "8", "Q4_K_S", "", "llama-3-8b"},
           {"llama 3B (Llama-3.2-3B-Instruct)", "3.21", "Q4_K_M", "1.87", "llama-3.2-3b"},
           {"llama 1B (TinyLlama-1.1B)", "1.10", "Q4_K_M", "0.6213", "tinyllama-1.1b"},
           {"qwen2 7B", "7.62", "Q8_0", "7.54", "qwen2-7b"},
           {"qwen2 14B", "14.77", "Q4_K_M", "8.37", "qwen2.5-14b"},
           {"qwen3moe 30B.A3B", "30.53", "Q8_0", "30.25", "qwen3-30b-a3b"},
           {"deepseek2 30B.A3B", "29.94", "Q8_0", "29.65", "glm-4.7-flash-30b-a3b"},
           {"gpt-oss 120B", "116.83", "MXFP4", "59.02", "gpt-oss-120b"},
           {"gemma3 4B", "3.88", "Q4_0", "2.35", "gemma-3-4b"},
           {"qwen3 1.7B", "2.03", "F16", "3.78", "qwen3-1.7b"},
           {"command-r 35B", "37.08", "IQ3_XS", "15.65", "command-r-v01-35b"},
           {"Qwen3-0.6B-GGUF", "0.6", "Q4_K_M", "", "qwen3-0.6b"},
           {"Qwen3.5-0.8B-Q8_0.gguf", "0.8", "Q8_0", "", "qwen3.5-0.8b"},
           {"OLMo-2-0425-1B-Instruct", "1", "Q4_K_M", "", "olmo-2-1b"},
           {"Qwen3-30B-A3B-Instruct-2507", "30", "Q4_K_M", "", "qwen3-30b-a3b"},
           {"Phi-4-mini-reasoning-GGUF", "4", "Q4_K_M", "", "phi-4-mini-3.8b"},
           {"Qwen3.6 35B-A3B", "35", "Q4_K_M", "", "qwen3.6-35b-a3b"},
           {"Mixtral 8x7B", "", "Q8_0", "", "mixtral-8x7b"}}) {
    const auto rows = rows_of({{{"model", known.words},
                                {"params_b", known.params},
                                {"quant", known.quant},
                                {"model_size_gib", known.size}}});
    ASSERT_EQ(rows.size(), 1u);
    const auto model = names.model(rows[0]);
    ASSERT_TRUE(model.has_value()) << known.words << ": " << model.error().what;
    EXPECT_EQ(model->id, known.id) << known.words;
  }
  // The publisher's file keeps its token table in 8 bits: 2.35 GiB instead of 2.20.
  const auto gemma = names.model(rows_of({{{"model", "gemma3 4B"},
                                           {"params_b", "3.88"},
                                           {"quant", "Q4_0"},
                                           {"model_size_gib", "2.35"}}})[0]);
  EXPECT_NEAR(static_cast<double>(gemma->model->costs.file_bytes) / (1ull << 30), 2.35, 0.01);
}

TEST(MeasuredNames, DevicesOfPublishedTables) {
  struct Known {
    const char *words, *count, *vram, *backend, *id;
  };
  MeasuredNames names(hwdb::Catalog::builtin());
  for (const Known& known : std::initializer_list<Known>{
           {"NVIDIA GeForce RTX 3090", "1", "24", "CUDA", "nvidia-geforce-rtx-3090"},
           {"NVIDIA GeForce RTX 4090", "8", "192", "CUDA", "nvidia-geforce-rtx-4090"},
           {"NVIDIA GeForce RTX 3080 10GB", "1", "10", "CUDA", "nvidia-geforce-rtx-3080"},
           {"NVIDIA GeForce RTX 4060 Ti", "1", "15.61", "CUDA", "nvidia-geforce-rtx-4060-ti-16-gb"},
           {"NVIDIA GeForce RTX 4060 Ti", "1", "8", "CUDA", "nvidia-geforce-rtx-4060-ti-8-gb"},
           {"NVIDIA RTX 4000 Ada", "4", "80", "CUDA", "nvidia-rtx-4000-ada-generation"},
           {"NVIDIA A40", "1", "48", "CUDA", "nvidia-a40-pcie"},
           {"NVIDIA GB10 (DGX Spark)", "1", "128", "CUDA", "nvidia-gb10"},
           {"NVIDIA GeForce RTX 5070 (host i9-13900HK)", "1", "11.94", "CUDA",
            "nvidia-geforce-rtx-5070"},
           {"Apple M2 Ultra (76-core GPU)", "1", "192", "Metal", "apple-m2-ultra-76-core-gpu"},
           {"Apple M2 Ultra", "1", "", "MTL,BLAS", "apple-m2-ultra-76-core-gpu"},
           {"Apple M1 (7-core GPU)", "1", "8", "Metal", "apple-m1-7-core-gpu"},
           {"Apple M1 Max (24-core GPU)", "1", "32", "Metal", "apple-m1-max-24-core-gpu"},
           {"Apple M4 Max (40-core GPU)", "1", "96", "Metal", "apple-m4-max-40-core-gpu"},
           {"Apple M4 (10-core GPU)", "1", "16", "Metal", "apple-m4-10-core-gpu"},
           {"AMD Radeon RX 7900 XTX", "1", "24", "ROCm", "amd-radeon-rx-7900-xtx"},
           {"AMD Radeon RX 7900 XTX", "1", "24", "Vulkan", "amd-radeon-rx-7900-xtx"},
           {"AMD Radeon 780M (Ryzen 7 8840U)", "1", "", "Vulkan", "amd-radeon-780m"},
           {"Intel Arc Pro B70", "1", "32", "Vulkan", "intel-arc-pro-b70"},
           {"Intel Data Center GPU Max 1550", "1", "", "SYCL", "intel-data-center-gpu-max-1550"},
           {"AMD EPYC 9554", "1", "", "CPU", "amd-epyc-9554"},
           {"Apple M2 Max CPU", "1", "", "CPU", "apple-m2-max"},
           {"Apple M4 Max CPU (12P+4E)", "1", "128", "CPU", "apple-m4-max"},
           {"AMD Ryzen 7 7840HS CPU", "1", "", "CPU", "amd-ryzen-7-7840hs"},
           {"Intel Core i5-13400F", "1", "", "CPU", "intel-core-i5-13400"},
           {"MetaComputing Framework 13 mainboard (CIX CP8180)", "1", "", "CPU", "cix-p1-cd8180"},
           {"Intel N100", "1", "", "CPU", "intel-n100"}}) {
    const auto rows = rows_of({{{"device", known.words},
                                {"device_count", known.count},
                                {"vram_gb", known.vram},
                                {"backend", known.backend}}});
    ASSERT_EQ(rows.size(), 1u);
    const auto device = names.device(rows[0], false);
    ASSERT_TRUE(device.has_value()) << known.words << ": " << device.error().what;
    EXPECT_EQ(device->key, known.id) << known.words;
    if (rows[0].reading.backend != "cpu") {
      EXPECT_EQ(device->machine->gpus.size(), rows[0].reading.devices);
    }
  }
}

void expect_same(const Case& a, const Case& b) {
  EXPECT_EQ(a.device_key, b.device_key);
  EXPECT_EQ(a.situation, b.situation);
  EXPECT_EQ(a.model->name, b.model->name);
  EXPECT_EQ(a.model->costs.file_bytes, b.model->costs.file_bytes);
  EXPECT_EQ(a.row.reading.tok_per_s, b.row.reading.tok_per_s);
  EXPECT_EQ(a.row.reading.deviation, b.row.reading.deviation);
  EXPECT_EQ(a.row.reading.backend, b.row.reading.backend);
  EXPECT_EQ(a.row.url, b.row.url);
  EXPECT_EQ(a.row.date, b.row.date);
  EXPECT_EQ(a.machine->name, b.machine->name);
  EXPECT_EQ(a.machine->memory.bandwidth.value.value, b.machine->memory.bandwidth.value.value);
  EXPECT_EQ(a.machine->gpus.size(), b.machine->gpus.size());
  const planner::RunSettings &s = a.scenario.settings, &t = b.scenario.settings;
  EXPECT_EQ(a.scenario.quant, b.scenario.quant);
  EXPECT_EQ(s.n_ctx, t.n_ctx);
  EXPECT_EQ(s.n_batch, t.n_batch);
  EXPECT_EQ(s.n_ubatch, t.n_ubatch);
  EXPECT_EQ(s.n_seq, t.n_seq);
  EXPECT_EQ(s.flash_attn, t.flash_attn);
  EXPECT_EQ(s.cache_type_k, t.cache_type_k);
  EXPECT_EQ(s.cache_type_v, t.cache_type_v);
  EXPECT_EQ(s.n_gpu_layers, t.n_gpu_layers);
  EXPECT_EQ(s.n_cpu_moe, t.n_cpu_moe);
  EXPECT_EQ(s.n_threads, t.n_threads);
  EXPECT_EQ(s.cpu_only, t.cpu_only);
  EXPECT_EQ(s.split_mode, t.split_mode);
  EXPECT_EQ(a.scenario.workload.n_prompt, b.scenario.workload.n_prompt);
  EXPECT_EQ(a.scenario.workload.n_gen, b.scenario.workload.n_gen);
  EXPECT_EQ(a.scenario.workload.depth, b.scenario.workload.depth);
  EXPECT_EQ(a.scenario.workload.batch, b.scenario.workload.batch);
}

void expect_round_trip(const CleanedRows& first) {
  const std::string text = write_cleaned_csv(first.cases);
  auto rows = parse_measured_rows(text, "cleaned.csv", nullptr);
  ASSERT_TRUE(rows.has_value()) << rows.error().what << rows.error().where;
  const CleanedRows again = clean_rows(std::move(*rows), hwdb::Catalog::builtin());
  for (const LeftOut& out : again.left_out) ADD_FAILURE() << out.line << out.rule << out.words;
  ASSERT_EQ(again.cases.size(), first.cases.size());
  for (std::size_t i = 0; i < first.cases.size() && !::testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(first.cases[i].row.line);
    expect_same(first.cases[i], again.cases[i]);
  }
  EXPECT_EQ(write_cleaned_csv(again.cases), text);
}

TEST(MeasuredCases, TheCleanedTableCleansToItself) {
  expect_round_trip(cleaned({{{"source", "one, \"two\""}},
                             {{"tok_s", "131"}, {"notes", "id=abc; crowd-sourced, unverified"}},
                             {{"backend", "Vulkan"}, {"notes", "n_ubatch=2048; mmap=0"}},
                             {{"ngl_or_offload", "ngl=20"},
                              {"tok_s", "20"},
                              {"notes", "EPYC 7543, 256GB DDR4-3200, 32 threads; quoted, twice"}},
                             {{"runtime", "llama.cpp"},
                              {"source_id", "llmfit-pr"},
                              {"depth", "4096"},
                              {"notes", "pure generation by server"}},
                             {{"tok_s", "40"}}}));
}

TEST(MeasuredData, TheShippedTableIsClean) {
  const std::string path = std::string(TOKWATT_SOURCE_DIR) + "/hwdb/data/speed/measured.csv";
  auto rows = read_measured_rows(path, nullptr);
  ASSERT_TRUE(rows.has_value()) << rows.error().what << rows.error().where;
  EXPECT_GE(rows->size(), 1000u);
  for (const MeasuredRow& row : *rows) {
    EXPECT_FALSE(row.url.empty()) << row.line;
    EXPECT_FALSE(row.source_id.empty()) << row.line;
  }
  const CleanedRows result =
      clean_rows(std::move(*rows), hwdb::Catalog::builtin(), {.outside_rates = true});
  for (const LeftOut& out : result.left_out) ADD_FAILURE() << out.line << out.rule << out.words;
  const planner::Assumptions assumptions = planner::assumptions_from(hwdb::Catalog::builtin());
  for (const Case& one : result.cases) {
    const auto plan =
        planner::plan_scenario(one.scenario, *one.model, *one.machine, nullptr, &assumptions);
    ASSERT_TRUE(plan.has_value()) << one.row.line << plan.error().what;
    EXPECT_TRUE(plan->speed_known) << one.row.line;
    EXPECT_GT(plan->speed.decode_tok_per_s.likely, 0) << one.row.line;
    EXPECT_GT(plan->speed.prefill_tok_per_s.likely, 0) << one.row.line;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(write_cleaned_csv(result.cases), text);
}

TEST(MeasuredData, EveryPublishedRowIsUsedOrLeftOutByOneRule) {
  const std::string path = hwdb::testing::shared_fact("measured_speed.csv");
  if (path.empty()) GTEST_SKIP() << "measured_speed.csv is not beside the source tree";
  std::vector<std::string> header;
  auto rows = read_measured_rows(path, &header);
  ASSERT_TRUE(rows.has_value()) << rows.error().what << rows.error().where;
  EXPECT_EQ(header.size(), measured_columns().size());
  const std::size_t all = rows->size();
  EXPECT_GE(all, 2500u);
  const CleanedRows result = clean_rows(std::move(*rows), hwdb::Catalog::builtin());
  std::set<std::size_t> lines;
  for (const Case& one : result.cases) EXPECT_TRUE(lines.insert(one.row.line).second);
  for (const LeftOut& out : result.left_out) {
    EXPECT_TRUE(lines.insert(out.line).second) << out.line;
    EXPECT_FALSE(out.rule.empty());
    EXPECT_FALSE(out.words.empty());
  }
  EXPECT_EQ(lines.size(), all);

  std::map<std::pair<Situation, bool>, int> count;
  int decode = 0, prefill = 0;
  std::set<std::string> devices;
  for (const Case& one : result.cases) {
    const bool is_decode = one.row.reading.test == hwdb::SpeedReading::Test::decode;
    ++(is_decode ? decode : prefill);
    ++count[{one.situation, is_decode}];
    devices.insert(one.device_key);
  }
  EXPECT_GE(decode, 580);
  EXPECT_GE(prefill, 500);
  EXPECT_GE(devices.size(), 40u);
  EXPECT_GE((count[{Situation::plain, true}]), 180);
  EXPECT_GE((count[{Situation::depth, true}]), 30);
  EXPECT_GE((count[{Situation::several_gpus, true}]), 140);
  EXPECT_GE((count[{Situation::experts, true}]), 50);
  EXPECT_GE((count[{Situation::cpu, true}]), 35);
  EXPECT_GE((count[{Situation::batch, true}]), 110);
  EXPECT_GE((count[{Situation::offload, true}]), 3);
  expect_round_trip(result);
}

}  // namespace
}  // namespace fitting
