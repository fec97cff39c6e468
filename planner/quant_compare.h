// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/result.h"
#include "planner/make_plan.h"

namespace planner {

/// The presets that people download for local use, best first.
const std::vector<std::string>& usual_quants();

/// 0..1: how well a speed serves a need, 1 - exp(-speed / need): the chance that it keeps up with a
/// reader whose pace varies around the need (exponentially). 0.63 at the need itself, 0.95 at three
/// times it, and no more to win far above. Our own rule, shown as a factor.
double speed_credit(double decode_tok_per_s, double need_tok_per_s);

/// One preset of `quants`.
struct QuantRow {
  std::string quant;
  double bits_per_weight = 0;
  Plan plan;
  std::optional<double>
      loss;  // mean KLD against 16 bit, else the logarithm of the perplexity ratio
  std::string loss_kind, loss_source;  // "KLD", "perplexity"; where it was published, "" none
  bool loss_of_this_model = false;  // else of the nearest model in the table, named in loss_source
  bool pareto = false;              // no other row is both better and smaller (or faster)
  bool recommended = false;
  std::string reason;  // of the recommendation
};

/// Every preset side by side for one model, largest first; exactly one is recommended unless none
/// fits. `inputs.model` is not read. Error: model.range for a shape too incomplete to plan.
hwdb::Result<std::vector<QuantRow>> compare_quants(const hwdb::Catalog& catalog,
                                                   const hwdb::ModelRow& model,
                                                   const PlanInputs& inputs);

}  // namespace planner
