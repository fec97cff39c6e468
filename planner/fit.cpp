// SPDX-License-Identifier: MIT
#include "planner/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "hwdb/op_counts.h"

namespace planner {
namespace {

/// Real files of large models are up to a tenth smaller than the preset's usual bits per weight.
constexpr double kLeastShareOfNominal = 0.9;

/// A preset for a model, before anything is computed.
struct Candidate {
  std::string_view preset;
  double nominal_bpw = 0;
  QuantLoss loss;
  double credit_bound = 1;  // of speed, from the bytes that a token must read
};

bool contains_without_case(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

/// What the machine could give at most, to leave out what cannot fit or keep up without computing
/// it.
struct Ceiling {
  double bytes = 0;
  double bytes_per_s = 0;  // infinite: some bandwidth is not known, or no bound holds
};

Ceiling ceiling_of(const hwdb::Machine& machine, const FitRequest& request) {
  Ceiling ceiling;
  ceiling.bytes = machine.memory.total.value.as_double();
  const bool parallel = request.settings.split_mode == SplitMode::row ||
                        request.settings.split_mode == SplitMode::tensor;
  double fastest = machine.memory.bandwidth.value.value, sum = fastest;
  bool known = fastest > 0 && request.workload.batch <= 1;
  for (const hwdb::GpuInfo& gpu : machine.gpus) {
    if (gpu.kind == hwdb::GpuInfo::Kind::discrete) ceiling.bytes += gpu.memory.value.as_double();
    known = known && gpu.bandwidth.has_value();
    if (!gpu.bandwidth) continue;
    fastest = std::max(fastest, gpu.bandwidth->value.value);
    sum += gpu.bandwidth->value.value;
  }
  ceiling.bytes_per_s = !known ? std::numeric_limits<double>::infinity() : parallel ? sum : fastest;
  return ceiling;
}

class Ranking {
 public:
  Ranking(const hwdb::Catalog& catalog, const hwdb::Machine& machine, const hwdb::TariffRow* tariff,
          const FitRequest& request)
      : request_(request),
        assumptions_(assumptions_from(catalog)),
        quality_(catalog, request.workload.use),
        losses_(catalog.quant_quality()),
        ceiling_(ceiling_of(machine, request)) {
    inputs_.machine = &machine;
    inputs_.settings = request.settings;
    inputs_.workload = request.workload;
    inputs_.tariff = tariff;
    inputs_.assumptions = &assumptions_;
    need_ = std::max(1e-3, request.workload.min_decode_tok_per_s);
    minimum_ = request.min_decode_tok_per_s > 0 ? request.min_decode_tok_per_s
                                                : request.workload.min_decode_tok_per_s;
    wanted_ctx_ = std::max<std::uint64_t>(256, request.n_ctx.value_or(request.workload.wanted_ctx));
    for (const std::string& name : request.quants.empty() ? usual_quants() : request.quants) {
      for (const hwdb::PresetRow& row : catalog.presets())
        if (row.id == name) presets_.push_back(&row);
    }
    for (const hwdb::PresetRow& row : catalog.presets()) {
      if (row.id == "MXFP4_MOE") native_mxfp4_ = &row;
      if (row.id == "Q4_0") aware_format_ = &row;
    }
  }

  FitResult run(const std::vector<hwdb::ModelRow>& models) {
    for (const hwdb::ModelRow& model : models) {
      if (!request_.model_filter.empty() &&
          !contains_without_case(model.id, request_.model_filter) &&
          !contains_without_case(model.family, request_.model_filter))
        continue;
      ++result_.considered;
      if (model.shape_incomplete || model.shape.n_layers == 0) {
        ++result_.not_sized;
        continue;
      }
      add(model);
    }
    sort_rows();
    for (FitRow& row : result_.rows) {
      if (!row.quality.percentile) ++result_.without_score;
      finish(&row);
    }
    return std::move(result_);
  }

 private:
  std::vector<Candidate> candidates_of(const hwdb::ModelRow& model) {
    std::vector<Candidate> candidates;
    const double elements = static_cast<double>(model.params_total.value_or(0));
    const double embedding =
        static_cast<double>(model.shape.n_vocab) * static_cast<double>(model.shape.n_embd);
    const double read_per_token =
        std::max(0.0, static_cast<double>(model.params_active.value_or(0)) - embedding);
    const auto add_preset = [&](const hwdb::PresetRow& row, std::optional<QuantLoss> loss) {
      Candidate candidate;
      candidate.preset = row.id;
      candidate.nominal_bpw = row.bpw_llama_3_1_8b.value_or(0);
      if (loss) candidate.loss = std::move(*loss);
      const double bytes_a_weight = candidate.nominal_bpw / 8 * kLeastShareOfNominal;
      if (elements * bytes_a_weight > ceiling_.bytes) return;
      any_fits_ = true;
      const double bytes = read_per_token * bytes_a_weight;
      if (bytes > 0 && std::isfinite(ceiling_.bytes_per_s)) {
        const double bound = ceiling_.bytes_per_s / bytes;
        if (bound < minimum_) return;
        candidate.credit_bound = speed_credit(bound, need_);
      }
      candidates.push_back(std::move(candidate));
    };
    if (model.native_quant == "MXFP4" && native_mxfp4_ && request_.quants.empty()) {
      // Published in four bits: larger files of it hold nothing more.
      add_preset(*native_mxfp4_, losses_.find(model, native_mxfp4_->id));
      return candidates;
    }
    for (const hwdb::PresetRow* row : presets_) add_preset(*row, losses_.find(model, row->id));
    if (aware_format_ && (request_.quants.empty() || wants(aware_format_->id)) &&
        model.notes.find("QAT") != std::string::npos) {
      if (auto loss = losses_.find_quantization_aware(model, aware_format_->id))
        add_preset(*aware_format_, std::move(loss));
    }
    std::stable_sort(
        candidates.begin(), candidates.end(),
        [](const Candidate& a, const Candidate& b) { return a.loss.loss < b.loss.loss; });
    return candidates;
  }

  bool wants(std::string_view preset) const {
    return std::find(request_.quants.begin(), request_.quants.end(), preset) !=
           request_.quants.end();
  }

  void add(const hwdb::ModelRow& model) {
    any_fits_ = false;
    bool planned = false, fitting = false, fast = false;
    const std::vector<Candidate> candidates = candidates_of(model);
    const std::uint64_t ctx = std::min(wanted_ctx_, model.shape.n_ctx_train.value_or(wanted_ctx_));
    inputs_.settings.n_ctx = ctx * std::max(1u, inputs_.settings.n_seq);
    FitRow best;
    double best_product = 0;
    for (const Candidate& candidate : candidates) {
      if ((1 - candidate.loss.loss) * candidate.credit_bound <= best_product) continue;
      const auto costs = hwdb::model_costs_of_preset(
          model.shape, hwdb::QuantOptions{std::string(candidate.preset), false, false});
      if (!costs) continue;
      inputs_.model = &*costs;
      auto plan = make_plan(inputs_);
      if (!plan) continue;
      planned = true;
      if (plan->memory.fits == Fits::no) continue;
      fitting = true;
      const double decode = plan->speed.decode_tok_per_s.likely;
      if (plan->speed_known && decode < minimum_) continue;
      fast = true;
      const double credit = plan->speed_known ? speed_credit(decode, need_) : 1;
      const double product = (1 - candidate.loss.loss) * credit;
      if (product <= best_product) continue;
      best_product = product;
      best.quant = candidate.preset;
      best.quantization_aware = candidate.loss.quantization_aware;
      best.quant_loss = candidate.loss.loss;
      best.quant_loss_evidence = candidate.loss.evidence;
      best.speed_credit = credit;
      best.plan = std::move(*plan);
      best.plan.max_ctx = largest_context(inputs_, best.plan.memory.fits,
                                          model.shape.n_ctx_train.value_or(wanted_ctx_));
    }
    if (!fast) {
      // A candidate left out unplanned was beyond a ceiling: of memory, or else of speed.
      if (fitting || (candidates.empty() && any_fits_))
        ++result_.too_slow;
      else if (planned || candidates.empty())
        ++result_.not_fitting;
      else
        ++result_.not_sized;
      return;
    }
    best.model = &model;
    best.quality = quality_.find(model);
    best.context_credit = static_cast<double>(ctx) / static_cast<double>(wanted_ctx_);
    best.rank = best.quality.percentile.value_or(1) * best_product * best.context_credit;
    best.plan.scenario.settings = inputs_.settings;
    result_.rows.push_back(std::move(best));
  }

  void sort_rows() {
    std::sort(result_.rows.begin(), result_.rows.end(), [](const FitRow& a, const FitRow& b) {
      const bool sa = a.quality.percentile.has_value(), sb = b.quality.percentile.has_value();
      if (sa != sb) return sa;
      if (sa && a.rank != b.rank) return a.rank > b.rank;
      if (a.model->release != b.model->release) return a.model->release > b.model->release;
      if (a.rank != b.rank) return a.rank > b.rank;
      return a.model->id < b.model->id;
    });
  }

  void finish(FitRow* row) {
    Plan& plan = row->plan;
    plan.model_name = row->model->id;
    plan.quant = row->quant;
    plan.machine_name = inputs_.machine->name;
    plan.scenario.model = row->model->id;
    plan.scenario.quant = row->quant;
    plan.scenario.on = inputs_.machine->name;
    plan.scenario.workload = inputs_.workload;
    if (!row->quality.percentile) plan.notes.push_back("No published score for this use.");
    if (row->quality.percentile && row->quality.tables < 2)
      plan.notes.push_back("One published score only.");
    if (row->context_credit < 1)
      plan.notes.push_back(fmt::format("Trained for {} tokens of context, {} are wanted.",
                                       row->model->shape.n_ctx_train.value_or(0), wanted_ctx_));
    if (row->quantization_aware)
      plan.notes.push_back("The quantization-aware (QAT) file of the publisher is meant.");
  }

  const FitRequest& request_;
  const Assumptions assumptions_;
  const QualityIndex quality_;
  const QuantLossTable losses_;
  const Ceiling ceiling_;
  PlanInputs inputs_;
  double need_ = 0, minimum_ = 0;
  std::uint64_t wanted_ctx_ = 0;
  std::vector<const hwdb::PresetRow*> presets_;
  const hwdb::PresetRow* native_mxfp4_ = nullptr;
  const hwdb::PresetRow* aware_format_ = nullptr;
  bool any_fits_ = false;  // of the model at hand: some candidate is below the memory ceiling
  FitResult result_;
};

}  // namespace

FitResult rank_models(const hwdb::Catalog& catalog, const hwdb::Machine& machine,
                      const hwdb::TariffRow* tariff, const FitRequest& request) {
  return Ranking(catalog, machine, tariff, request).run(catalog.models());
}

std::string describe_rank(const FitRow& row) {
  const std::string score = row.quality.percentile ? fmt::format("{:.3f}", *row.quality.percentile)
                                                   : "no published score";
  return fmt::format(
      "{} (score) x {:.3f} (kept by {}) x {:.3f} (speed) x {:.3f} (context) = {:.3f}", score,
      1 - row.quant_loss, row.quant, row.speed_credit, row.context_credit, row.rank);
}

}  // namespace planner
