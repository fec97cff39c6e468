// SPDX-License-Identifier: MIT
#include "planner/cli/bench_flags.h"

#include <gtest/gtest.h>

#include <vector>

#include "planner/cli/bench_report.h"
#include "planner/cli/options.h"

namespace cli {
namespace {

using Numbers = std::vector<std::uint32_t>;

std::optional<Numbers> numbers(std::string_view text) {
  Numbers out;
  return read_numbers(text, 0, 65536, &out) ? std::optional(out) : std::nullopt;
}

std::vector<std::string> names_of(const std::vector<BenchCase>& cases) {
  std::vector<std::string> out;
  for (const BenchCase& one : cases) out.push_back(test_name(one.test));
  return out;
}

TEST(BenchFlags, NumbersComeAsLlamaBenchTakesThem) {
  EXPECT_EQ(numbers("512"), (Numbers{512}));
  EXPECT_EQ(numbers("1,2,4"), (Numbers{1, 2, 4}));
  EXPECT_EQ(numbers("1-4"), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(numbers("16-64+16"), (Numbers{16, 32, 48, 64}));
  EXPECT_EQ(numbers("16-128*2"), (Numbers{16, 32, 64, 128}));
  EXPECT_EQ(numbers("10-16*2,5,0"), (Numbers{10, 5, 0}));
  EXPECT_EQ(numbers("1-65536*65535"), (Numbers{1, 65535}));
  // 0 times anything stands still, so do +0 and *1; and no list is longer than a thousand.
  for (const char* text : {"", ",", "1,", "a", "-1", "4-1", "1-", "1-4+", "1-4+0", "1-4*1", "3-3*1",
                           "0-4*2", "1-4/2", "65537", "0-5000", "99999999999999999999", "1 2"})
    EXPECT_EQ(numbers(text), std::nullopt) << text;
  EXPECT_EQ(numbers("1-1000")->size(), 1000u);
}

TEST(BenchFlags, PairsArePromptAndAnswer) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  EXPECT_TRUE(read_pairs("512,128,64,32", &pairs));
  EXPECT_EQ(pairs, (decltype(pairs){{512, 128}, {64, 32}}));
  for (const char* text : {"512", "1,2,3", "1-4", "0,5", "a,b", ""})
    EXPECT_FALSE(read_pairs(text, &pairs)) << text;
}

TEST(BenchFlags, EveryCombinationIsATestInLlamaBenchsOrder) {
  EXPECT_EQ(names_of(*bench_cases({}, 4)), (std::vector<std::string>{"pp512", "tg128"}));
  EXPECT_EQ((*bench_cases({}, 4))[0].n_threads, 4u);
  BenchFlags flags;
  flags.n_prompt = {0, 16, 32};
  flags.n_gen = {8};
  flags.n_pg = {{16, 8}};
  flags.n_depth = {0, 64};
  flags.n_threads = {1, 2};
  const auto cases = bench_cases(flags, 4);
  ASSERT_TRUE(cases);
  ASSERT_EQ(cases->size(), 16u);
  EXPECT_EQ(names_of({cases->begin(), cases->begin() + 8}),
            (std::vector<std::string>{"pp16", "pp32", "tg8", "pp16+tg8", "pp16 @ d64", "pp32 @ d64",
                                      "tg8 @ d64", "pp16+tg8 @ d64"}));
  EXPECT_EQ((*cases)[7].n_threads, 1u);
  EXPECT_EQ((*cases)[8].n_threads, 2u);
  // Several sequences are for answers.
  BenchFlags batched;
  batched.n_seq = {1, 4};
  batched.n_pg = {{2, 3}};
  EXPECT_EQ(names_of(*bench_cases(batched, 1)),
            (std::vector<std::string>{"pp512", "tg128", "tg128 x4", "pp2+tg3", "pp2+tg3 x4"}));
  BenchFlags none;
  none.n_prompt = none.n_gen = {0};
  EXPECT_FALSE(bench_cases(none, 1));
  BenchFlags many;
  many.n_prompt = many.n_depth = Numbers(1000, 5);
  EXPECT_FALSE(bench_cases(many, 1));
}

TEST(BenchFlags, CommandLinesOfLlamaBenchAreRead) {
  const auto options =
      parse_arguments({"bench", "-m", "a.gguf", "-p", "1-4", "-p", "512", "-n", "0", "-t", "1,2",
                       "-ctk", "q8_0,f16", "-r", "3", "-pg", "512,128", "-o", "json"});
  ASSERT_TRUE(options) << options.error().what;
  EXPECT_EQ(options->arguments, (std::vector<std::string>{"a.gguf"}));
  EXPECT_EQ(options->bench.n_prompt, (Numbers{1, 2, 3, 4, 512}));
  EXPECT_EQ(options->bench.n_gen, (Numbers{0}));
  EXPECT_EQ(options->bench.n_threads, (Numbers{1, 2}));
  EXPECT_EQ(options->bench.type_k, (std::vector<std::string>{"q8_0", "f16"}));
  EXPECT_EQ(options->bench.repetitions, 3u);
  EXPECT_EQ(options->bench.as_llama_bench, "json");
  EXPECT_EQ(options->output, "");
  // Any other word is a file, as for the other commands.
  EXPECT_EQ(parse_arguments({"bench", "a.gguf", "-o", "x.json"})->output, "x.json");
  EXPECT_EQ(parse_arguments({"fit", "-o", "json"})->output, "json");
  // The same letters mean other things to other commands.
  EXPECT_EQ(parse_arguments({"plan", "a.gguf", "-t", "3"})->settings.n_threads, 3u);
  EXPECT_EQ(parse_arguments({"perplexity", "a.gguf", "-c", "128", "-t", "3"})->n_chunk, 128u);
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"bench", "a.gguf", "-p", "4-1"},
                                             {"bench", "a.gguf", "-r", "0"},
                                             {"bench", "a.gguf", "-t", "0"},
                                             {"bench", "a.gguf", "-pg", "5"},
                                             {"bench", "a.gguf", "-npl", "0"},
                                             {"bench"},
                                             {"bench", "a.gguf", "--storage", "ram"},
                                             {"plan", "a.gguf", "-npl", "3"}}) {
    const auto refused = parse_arguments(wrong);
    ASSERT_FALSE(refused) << wrong.back();
    EXPECT_TRUE(refused.error().code.starts_with("usage.")) << wrong.back();
  }
}

BenchRow row_of(std::vector<std::uint64_t> samples_ns) {
  BenchRow row;
  row.path = "dir/model \"x\".gguf";
  row.model_type = "llama 8.03B Q4_K_M";
  row.model_bytes = 4920000000;
  row.n_params = 8030000000;
  row.what.test = {.n_prompt = 0, .n_gen = 100};
  row.samples.samples_ns = std::move(samples_ns);
  row.samples.counts = {4e9, 5e8, 5e8, 1.6e12};
  row.test_time = "2026-11-20T17:13:58Z";
  return row;
}

TEST(BenchReport, FiguresFollowFromTimesAndCounts) {
  BenchMachine machine;
  machine.bandwidth = {hwdb::BytesPerSecond(20e9), hwdb::Basis::measured, "", ""};
  const BenchRow row = row_of({1'000'000'000, 500'000'000, 500'000'000, 400'000'000});
  const BenchFigures f = figures_of(row, machine);
  EXPECT_EQ(f.tok_per_s, (std::vector<double>{100, 200, 200, 250}));
  EXPECT_DOUBLE_EQ(f.mean, 187.5);
  EXPECT_DOUBLE_EQ(f.median, 200);
  // 5 GB in half a second, of 20 GB/s.
  EXPECT_DOUBLE_EQ(f.bytes_per_s, 1e10);
  EXPECT_DOUBLE_EQ(*f.bandwidth_share, 0.5);
  EXPECT_DOUBLE_EQ(f.flops_per_s, 3.2e12);
  // A share of what the catalogue only assumes would be no measurement.
  machine.bandwidth->basis = hwdb::Basis::modelled;
  EXPECT_FALSE(figures_of(row, machine).bandwidth_share);
  const auto warnings = bench_warnings({row_of({1'000, 500, 501, 502, 503})});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("first run took 1.99 times"), std::string::npos) << warnings[0];
  EXPECT_TRUE(bench_warnings({row_of({500, 501, 502})}).empty());
}

TEST(BenchReport, LlamaBenchsReadersFindTheirFields) {
  BenchMachine machine;
  machine.cpu = "A, \"quick\" one";
  const std::vector<BenchRow> rows = {row_of({500'000'000, 500'000'000})};
  const std::string csv = as_llama_bench("csv", rows, machine);
  EXPECT_TRUE(csv.starts_with(
      "build_commit,build_number,cpu_info,gpu_info,backends,model_filename,model_type,model_size,"
      "model_n_params,n_batch,n_ubatch,n_threads,cpu_mask,cpu_strict,poll,type_k,type_v,"
      "n_gpu_layers,n_cpu_moe,split_mode,main_gpu,no_kv_offload,flash_attn,devices,tensor_split,"
      "tensor_buft_overrides,load_mode,lazy_mode,embeddings,no_op_offload,no_host,fit_target,"
      "fit_min_ctx,n_prompt,n_gen,n_depth,test_time,avg_ns,stddev_ns,avg_ts,stddev_ts\n"))
      << csv;
  EXPECT_NE(csv.find("\"A, \"\"quick\"\" one\""), std::string::npos) << csv;
  const auto json = hwdb::parse_json(as_llama_bench("json", rows, machine), "json");
  ASSERT_TRUE(json);
  ASSERT_EQ(json->as_array()->size(), 1u);
  const hwdb::Json& one = json->as_array()->front();
  EXPECT_EQ(one.find("avg_ns")->as_uint64(), 500'000'000u);
  EXPECT_EQ(one.find("avg_ts")->as_double(), 200);
  EXPECT_EQ(one.find("samples_ns")->as_array()->size(), 2u);
  EXPECT_EQ(one.find("n_gen")->as_uint64(), 100u);
  EXPECT_EQ(one.find("moved_bytes")->as_double(), 5e9);
  EXPECT_TRUE(one.find("bandwidth_share")->is_null());
  EXPECT_FALSE(one.find("bandwidth_share_reason")->as_string()->empty());
  EXPECT_TRUE(hwdb::parse_json(as_llama_bench("jsonl", rows, machine), "line"));
  const std::string md = as_llama_bench("md", rows, machine);
  EXPECT_TRUE(md.starts_with(
      "| model                          |       size |     params | backend    | threads |"
      "            test |                  t/s |\n"
      "| ------------------------------ | ---------: | ---------: | ---------- | ------: |"
      " --------------: | -------------------: |\n"
      "| llama 8.03B Q4_K_M             |   4.58 GiB |     8.03 B | CPU        |       1 |"
      "           tg100 |        200.00 ± 0.00 |\n"))
      << md;
}

}  // namespace
}  // namespace cli
