// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/run/bench.h"
#include "hwdb/json.h"
#include "hwdb/op_counts.h"
#include "hwdb/provenance.h"
#include "hwdb/units.h"
#include "planner/cli/bench_flags.h"
#include "planner/report/report.h"

namespace cli {

/// What bench measured, before anybody decides how it looks.
struct BenchRow {
  std::string path, model_type;  // "llama 8.03B Q4_K_M"
  std::uint64_t model_bytes = 0, n_params = 0;
  BenchCase what;
  engine::BenchSamples samples;
  std::string test_time;  // "2026-11-20T17:13:58Z"
};

/// What all rows share.
struct BenchMachine {
  std::string cpu, isa;
  bool mapped = false;
  std::optional<hwdb::Sourced<hwdb::BytesPerSecond>> bandwidth;
};

/// "llama 8.03B Q4_K_M": architecture, parameters, file type.
std::string model_type_of(const hwdb::ModelCosts& costs);

/// Seconds and what follows from them, of the median run.
struct BenchFigures {
  std::vector<double> tok_per_s;  // one a run
  double mean = 0, deviation = 0, median = 0;
  std::vector<bool> outliers;  // of the times
  double bytes_per_s = 0, flops_per_s = 0;
  std::optional<double> bandwidth_share;  // of the machine's, where it was measured
};
BenchFigures figures_of(const BenchRow& row, const BenchMachine& machine);

/// The report: all fields for programs; for people the model only where `wide` (Markdown).
report::Section bench_section(const std::vector<BenchRow>& rows, const BenchMachine& machine,
                              bool wide);

/// The document that llama-bench -o md, csv, json or jsonl would print; JSON has our own fields
/// after llama-bench's.
std::string as_llama_bench(std::string_view format, const std::vector<BenchRow>& rows,
                           const BenchMachine& machine);

/// Sentences about single rows that deserve a warning: a slow first run, outliers.
std::vector<std::string> bench_warnings(const std::vector<BenchRow>& rows);

}  // namespace cli
