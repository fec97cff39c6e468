// SPDX-License-Identifier: MIT
#include "planner/quant_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/preset_costs.h"
#include "planner/quant_loss.h"

namespace planner {
namespace {

double decode_of(const QuantRow& row) {
  return row.plan.speed_known ? row.plan.speed.decode_tok_per_s.likely : 0;
}

bool fits(const QuantRow& row) {
  return row.plan.memory.fits != Fits::no;
}

/// No other row with a known loss is at least as good in loss, size and speed, and better in one.
void mark_pareto(std::vector<QuantRow>* rows) {
  for (QuantRow& row : *rows) {
    if (!row.loss) continue;
    row.pareto = std::none_of(rows->begin(), rows->end(), [&](const QuantRow& other) {
      if (!other.loss || &other == &row) return false;
      const bool as_good = *other.loss <= *row.loss && other.plan.file_size <= row.plan.file_size &&
                           decode_of(other) >= decode_of(row);
      const bool better = *other.loss < *row.loss || other.plan.file_size < row.plan.file_size ||
                          decode_of(other) > decode_of(row);
      return as_good && better;
    });
  }
}

std::string percent(double divergence) {
  const double loss = 100 * (1 - std::exp(-divergence));
  return loss < 0.1 ? fmt::format("{:.2f} %", loss) : fmt::format("{:.1f} %", loss);
}

std::string place(const Plan& plan) {
  switch (plan.memory.fits) {
    case Fits::gpu:
      return "fits the GPU";
    case Fits::gpu_tight:
      return "just fits the GPU";
    case Fits::offload:
      return "runs partly from system memory";
    case Fits::cpu:
      return "runs on the processor";
    case Fits::no:
      break;
  }
  return "does not fit";
}

std::string reason_of(const std::vector<QuantRow>& rows, std::size_t best) {
  const QuantRow& row = rows[best];
  std::string words = fmt::format("{} {}", row.quant, place(row.plan));
  if (row.plan.max_ctx > 0) words += fmt::format(" with room for {} tokens", row.plan.max_ctx);
  if (row.plan.speed_known) words += fmt::format(", decodes at {:.1f} tok/s", decode_of(row));
  if (row.loss)
    words += fmt::format(" and loses {} ({} {:.4f}, {})", percent(*row.loss), row.loss_kind,
                         *row.loss, row.loss_source);
  // The neighbours on the front say what a step either way would bring.
  const auto step = [&](const QuantRow& other, std::string_view direction) {
    std::string text = fmt::format("; the step {} to {}", direction, other.quant);
    if (!fits(other)) return text + " does not fit";
    if (other.loss && row.loss) text += fmt::format(" would lose {}", percent(*other.loss));
    if (other.plan.speed_known && row.plan.speed_known)
      text += fmt::format(" at {:.1f} tok/s", decode_of(other));
    return text;
  };
  for (std::size_t i = best; i-- > 0;)
    if (rows[i].pareto) {
      words += step(rows[i], "up");
      break;
    }
  for (std::size_t i = best + 1; i < rows.size(); ++i)
    if (rows[i].pareto) {
      words += step(rows[i], "down");
      break;
    }
  return words + ".";
}

/// Losses closer than this are told apart by nobody: the smaller file wins.
constexpr double kSameLoss = 0.002;

/// The smallest of the rows with the least loss among those that fit and are wanted; none when no
/// such row has a published loss. Rows come largest first.
template <class Wanted>
std::optional<std::size_t> least_loss(const std::vector<QuantRow>& rows, const Wanted& wanted) {
  std::optional<double> least;
  for (const QuantRow& row : rows)
    if (row.loss && fits(row) && wanted(row))
      least = std::min(least.value_or(*row.loss), *row.loss);
  std::optional<std::size_t> best;
  for (std::size_t i = 0; least && i < rows.size(); ++i)
    if (rows[i].loss && fits(rows[i]) && wanted(rows[i]) && *rows[i].loss <= *least + kSameLoss)
      best = i;
  return best;
}

}  // namespace

const std::vector<std::string>& usual_quants() {
  static const std::vector<std::string> kUsual = {"Q8_0",   "Q6_K",   "Q5_K_M",
                                                  "Q4_K_M", "Q3_K_M", "Q2_K"};
  return kUsual;
}

double speed_credit(double decode_tok_per_s, double need_tok_per_s) {
  if (!(decode_tok_per_s > 0)) return 0;
  if (!(need_tok_per_s > 0)) return 1;
  return -std::expm1(-decode_tok_per_s / need_tok_per_s);
}

hwdb::Result<std::vector<QuantRow>> compare_quants(const hwdb::Catalog& catalog,
                                                   const hwdb::ModelRow& model,
                                                   const PlanInputs& inputs) {
  if (model.shape_incomplete || model.shape.n_layers == 0)
    return hwdb::Error{"model.range", "the shape of this model is not known well enough to plan",
                       model.id, ""};
  const QuantLossTable losses(catalog.quant_quality());
  std::vector<QuantRow> rows;
  PlanInputs one = inputs;
  PresetCosts costs_of(model.shape);
  ComputeMemo memo(model.shape);
  one.compute_memo = &memo;
  const double need = inputs.workload.min_decode_tok_per_s;
  for (const hwdb::PresetRow& preset : catalog.presets()) {
    const auto costs = costs_of.find(preset.id);
    // Presets whose rules are not published, or whose blocks do not divide this model's rows.
    if (!costs) continue;
    one.model = &*costs;
    auto plan = make_plan(one);
    if (!plan) return plan.error();
    QuantRow row;
    row.quant = preset.id;
    row.bits_per_weight = costs->bits_per_weight;
    row.plan = std::move(*plan);
    row.plan.model_name = model.id;
    row.plan.quant = preset.id;
    row.plan.machine_name = inputs.machine->name;
    if (fits(row) && row.plan.speed_known) {
      auto speeds = speed_at_depths(one, row.plan.placement, depths_of_context(one.settings));
      if (!speeds) return speeds.error();
      row.plan.speed_by_depth = std::move(*speeds);
    }
    if (fits(row))
      row.plan.max_ctx = largest_context(one, row.plan.memory.fits,
                                         model.shape.n_ctx_train.value_or(one.settings.n_ctx));
    if (const auto loss = losses.find(model, preset.id)) {
      row.loss = loss->divergence;
      row.loss_kind = loss->kind;
      row.loss_source = loss->evidence;
      row.loss_of_this_model = loss->of_this_model;
    }
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const QuantRow& a, const QuantRow& b) {
    return a.plan.file_size > b.plan.file_size;
  });
  mark_pareto(&rows);

  // Speed and context are needs to be met, quality is what is left to choose by.
  const std::uint64_t wanted_ctx =
      std::min(std::max(inputs.workload.wanted_ctx, inputs.settings.n_ctx),
               model.shape.n_ctx_train.value_or(inputs.settings.n_ctx));
  const auto fast_enough = [&](const QuantRow& row) {
    return !row.plan.speed_known || decode_of(row) >= need;
  };
  const auto roomy_enough = [&](const QuantRow& row) { return row.plan.max_ctx >= wanted_ctx; };
  const auto on_gpu = [](const QuantRow& row) {
    return row.plan.memory.fits == Fits::gpu || row.plan.memory.fits == Fits::gpu_tight;
  };
  // Spilling into system memory costs most, then comes a speed that is no pleasure.
  std::optional<std::size_t> best = least_loss(rows, [&](const QuantRow& row) {
    return on_gpu(row) && fast_enough(row) && roomy_enough(row);
  });
  const auto else_try = [&](const auto& wanted) {
    if (!best) best = least_loss(rows, wanted);
  };
  else_try([&](const QuantRow& row) { return on_gpu(row) && fast_enough(row); });
  else_try([&](const QuantRow& row) { return fast_enough(row) && roomy_enough(row); });
  else_try(fast_enough);
  else_try([](const QuantRow&) { return true; });
  // Without any published loss: the largest that fits.
  for (std::size_t i = 0; i < rows.size() && !best; ++i)
    if (fits(rows[i])) best = i;
  if (best) {
    rows[*best].recommended = true;
    rows[*best].reason = reason_of(rows, *best);
  }
  return rows;
}

}  // namespace planner
