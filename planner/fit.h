// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/machine.h"
#include "planner/make_plan.h"
#include "planner/quality.h"

namespace planner {

struct FitRequest {
  Workload workload;
  RunSettings settings;  // n_ctx is the workload's wanted context unless the user gave one
  std::optional<std::uint64_t> n_ctx;
  std::vector<std::string> quants;  // empty: the usual ones for local use
  double min_decode_tok_per_s = 0;  // 0: the workload's
  std::string model_filter;         // substring of id or family, "" all
};

/// One model at its best quantization for this machine.
struct FitRow {
  const hwdb::ModelRow* model = nullptr;
  std::string quant;
  Plan plan;
  Quality quality;
  double quant_loss = 0;            // what the quantization costs, in the score's own scale 0..1
  std::string quant_loss_evidence;  // source of that figure
  double speed_credit = 0;          // 0..1: decode speed against the workload's need
  double rank = 0;  // the product that the list is sorted by; `fit --why` prints the factors
};

struct FitResult {
  std::vector<FitRow> rows;  // best first; models that do not fit are left out
  std::size_t considered = 0, not_fitting = 0, too_slow = 0, without_score = 0;
};

/// Ranks every model of the catalogue on this machine. Rows without a published score for the use
/// come after those with one.
FitResult rank_models(const hwdb::Catalog& catalog, const hwdb::Machine& machine,
                      const hwdb::TariffRow* tariff, const FitRequest& request);

/// One preset of `quants`.
struct QuantRow {
  std::string quant;
  double bits_per_weight = 0;
  Plan plan;
  std::optional<double> loss;          // mean KLD against 16 bit, else relative perplexity
  std::string loss_kind, loss_source;  // "KLD", "perplexity"; where it was published, "" none
  bool loss_of_this_model = false;  // else of the nearest model in the table, named in loss_source
  bool pareto = false;              // no other row is both better and smaller (or faster)
  bool recommended = false;
  std::string reason;  // of the recommendation
};

/// Every preset side by side for one model, largest first; exactly one is recommended unless none
/// fits.
hwdb::Result<std::vector<QuantRow>> compare_quants(const hwdb::Catalog& catalog,
                                                   const hwdb::ModelRow& model,
                                                   const PlanInputs& inputs);

}  // namespace planner
