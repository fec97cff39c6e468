// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
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
  std::vector<std::string> cells;  // by the header's columns
  std::string source_id, url, date, device, backend, runtime, model, quant, notes, offload;
  hwdb::SpeedReading reading;
  double params_b = 0, vram_gb = 0;
  bool is_moe = false;
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

/// Reads a CSV table. Errors: file.*, csv.header (a column is missing), csv.row (wrong number of
/// cells, a figure that is none), each with its line.
hwdb::Result<std::vector<MeasuredRow>> read_measured_rows(const std::string& path,
                                                          std::vector<std::string>* header);

/// Applies the rules in order; each row is used or left out by exactly one rule.
CleanedRows clean_rows(std::vector<MeasuredRow> rows, const hwdb::Catalog& catalog);

}  // namespace fitting
