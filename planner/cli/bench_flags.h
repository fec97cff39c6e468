// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/run/bench.h"
#include "hwdb/result.h"

namespace cli {

/// What bench varies, by llama-bench's names. An empty list stands for its default.
struct BenchFlags {
  std::vector<std::uint32_t> n_prompt, n_gen, n_depth, n_batch, n_ubatch, n_threads, n_seq;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> n_pg;  // prompt, then answer, timed as one
  std::vector<std::string> type_k, type_v;
  std::uint32_t repetitions = 5;
  bool warm_up = true;
  std::string_view
      as_llama_bench;  // "md", "csv", "json" or "jsonl" as llama-bench's -o; "" our report
};

/// Numbers as llama-bench takes them: "512", "1,2,4", "1-4", "16-64+16", "16-128*2". Errors:
/// usage.value for anything else, for numbers outside [least, most] and for more than a thousand.
hwdb::Status read_numbers(std::string_view text, std::uint32_t least, std::uint32_t most,
                          std::vector<std::uint32_t>* out);
/// "512,128" or several such pairs one after the other.
hwdb::Status read_pairs(std::string_view text,
                        std::vector<std::pair<std::uint32_t, std::uint32_t>>* out);

/// One test with all that it is run with.
struct BenchCase {
  engine::BenchTest test;
  std::uint32_t n_ubatch = 512;
  std::uint32_t n_threads = 1;
  std::string type_k = "f16", type_v = "f16";
};

/// Every combination, in llama-bench's order: prompts, answers, pairs; several sequences
/// (-npl) are answers and pairs only. Error: usage.value when there are none or too many.
hwdb::Result<std::vector<BenchCase>> bench_cases(const BenchFlags& flags,
                                                 std::uint32_t default_threads);

/// "pp512", "tg128", "pp512+tg128", "tg128 x4 @ d512".
std::string test_name(const engine::BenchTest& test);

}  // namespace cli
