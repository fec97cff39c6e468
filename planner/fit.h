// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/machine.h"
#include "planner/make_plan.h"
#include "planner/quality.h"
#include "planner/quant_compare.h"
#include "planner/quant_loss.h"

namespace planner {

struct FitRequest {
  Workload workload;
  RunSettings settings;  // n_ctx is the workload's wanted context unless the user gave one
  std::optional<std::uint64_t> n_ctx;
  std::vector<std::string> quants;  // empty: the usual ones for local use
  double min_decode_tok_per_s = 0;  // 0: the workload's
  /// What was fitted to the machine; must live as long as the ranking takes.
  std::span<const Calibration> calibrations;
  std::string model_filter;  // substring of id or family, "" all
  std::size_t top = 0;  // rows wanted; 0: all. Models whose bound says that they cannot be among
                        // them are not planned, which saves most of the time
};

/// One model at its best quantization for this machine.
///
/// rank = percentile x (1 - quant_loss) x speed_credit x context_credit, and nothing else.
struct FitRow {
  const hwdb::ModelRow* model = nullptr;
  std::string quant;
  bool quantization_aware = false;  // the file is of a checkpoint trained for this format (QAT)
  Plan plan;
  Quality quality;
  double quant_loss = 0;            // what the quantization costs, in the score's own scale 0..1
  std::string quant_loss_evidence;  // source of that figure
  double speed_credit = 0;          // 0..1: decode speed against the workload's need
  double context_credit = 1;        // 0..1: trained context against the wanted one
  double rank = 0;  // the product that the list is sorted by; `fit --why` prints the factors
};

struct FitResult {
  std::vector<FitRow> rows;  // best first; models that do not fit are left out
  std::size_t considered = 0;
  std::size_t not_fitting = 0, too_slow = 0;  // of those that were looked at
  std::size_t without_score = 0;              // of all considered
  std::size_t not_sized = 0;                  // shapes too incomplete to plan, or no preset applies
  std::size_t ranked_lower = 0;               // planned, but below the `top` wanted
  std::size_t not_evaluated = 0;              // cannot rank among the `top` wanted, so not planned
};

/// Ranks every model of the catalogue on this machine. Each stands at the highest quality that
/// keeps up with the wanted speed wholly on the GPUs, or at the highest that keeps up at all where
/// that ranks higher. Rows without a published score for the use come after those with one, newest
/// first. Equal ranks: the newer model first, then the faster, then by id.
FitResult rank_models(const hwdb::Catalog& catalog, const hwdb::Machine& machine,
                      const hwdb::TariffRow* tariff, const FitRequest& request);

}  // namespace planner
