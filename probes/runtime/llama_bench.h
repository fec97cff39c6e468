// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/speed_reading.h"

namespace probes {

/// Speeds that a program told, and what was left out of what it told, in sentences.
struct ToldSpeeds {
  std::vector<hwdb::SpeedReading> readings;
  std::vector<std::string> notes;
};

/// Most that is read of one document, and of its rows.
inline constexpr std::uint64_t kMaxBenchBytes = 64ull << 20;
inline constexpr std::size_t kMaxBenchRows = 100'000;

/// What `llama-bench -o json`, `-o jsonl` or `-o csv` printed, in the columns of any year, or
/// ik_llama.cpp's, or our own bench. Rows that time prompt and answer as one are left out with a
/// note. Errors: llama_bench.format (none of the three, or without the columns that every version
/// has), llama_bench.row (names the row and what is wrong in it), llama_bench.limit, json.*.
/// `where` names the document.
hwdb::Result<ToldSpeeds> read_llama_bench(std::string_view text, std::string_view where);
/// The same from a file. Errors also: file.*.
hwdb::Result<ToldSpeeds> read_llama_bench_file(const std::string& path);

/// True for text that begins as such a document does, and as no log does.
bool looks_like_llama_bench(std::string_view text);

}  // namespace probes
