// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/result.h"
#include "hwdb/speed_reading.h"
#include "planner/batch.h"

/// Tables of measured speeds (columns as in hwdb/data/speed/README): read, cleaned by written
/// rules, and turned into questions that the estimator can be asked.
namespace fitting {

/// A line of the table, as it stands there.
struct MeasuredRow {
  std::size_t line = 0;
  std::vector<std::string> cells;  // in the order of measured_columns()
  std::string source_id, url, date, device, backend, runtime, model, quant, notes, offload;
  hwdb::SpeedReading reading;
  double params_b = 0, vram_gb = 0;  // 0: not told
  bool params_exact = false;         // told with two decimals or more
  bool is_moe = false;
  bool both_phases = false;   // test pp+tg: one rate for prompt and output together
  double model_size_gib = 0;  // 0: not told
  std::string host;           // the notes' words for the processor beside a card, "" none
  std::string memory;         // the notes' words for its memory, as a rig takes them, "" none
};

/// Where a row belongs when errors are told apart.
enum class Situation { plain, depth, several_gpus, experts, offload, cpu, batch };
std::string_view to_string(Situation situation);

/// A row that can be predicted: its machine and model are in the catalogue.
struct Case {
  MeasuredRow row;
  std::string device_key;  // the machine's device in the catalogue: what is left out as a whole
  Situation situation = Situation::plain;
  std::shared_ptr<const hwdb::Machine> machine;
  std::shared_ptr<const planner::ResolvedModel> model;
  planner::Scenario scenario;
  double weight = 1;
};

/// A row that is not used, and the rule that says so.
struct LeftOut {
  std::size_t line = 0;
  std::string
      rule;  // stable word: "runtime", "speculative", "slow_build", "duplicate", "device"...
  std::string words;
};

struct CleanedRows {
  std::vector<std::string> header;
  std::vector<Case> cases;
  std::vector<LeftOut> left_out;
};

/// The columns that a table must have; others are read over.
std::span<const std::string_view> measured_columns();

/// Reads a CSV table. Errors: file.*, csv.limit (more than 64 MiB), csv.header (a column is missing
/// or there twice), csv.row (a quote that is not closed, wrong number of cells, a figure that is
/// none), each with its line.
hwdb::Result<std::vector<MeasuredRow>> read_measured_rows(const std::string& path,
                                                          std::vector<std::string>* header);
/// The same from text; `where` names it in errors.
hwdb::Result<std::vector<MeasuredRow>> parse_measured_rows(std::string_view text,
                                                           std::string_view where,
                                                           std::vector<std::string>* header);

struct CleaningOptions {
  /// Rates taken from outside count as decode where they can be little else: a hundred tokens or
  /// more of llama.cpp's, the weights at most three quarters of the card's memory. Rule end_to_end
  /// leaves them out otherwise.
  bool outside_rates = false;
};

/// Applies the rules in order; each row is used or left out by exactly one rule. Of a group of rows
/// that measured the same, the middle one is the case and the others are duplicates. The catalogue
/// must outlive the cases.
CleanedRows clean_rows(std::vector<MeasuredRow> rows, const hwdb::Catalog& catalog,
                       const CleaningOptions& options = {});

/// The cases as a table with the same columns, notes cut down to what the rules read. Read and
/// cleaned again it gives the same cases.
std::string write_cleaned_csv(std::span<const Case> cases);

}  // namespace fitting
