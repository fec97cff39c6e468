// SPDX-License-Identifier: MIT
#include "planner/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "planner/preset_costs.h"

namespace planner {
namespace {

/// Real files of large models are up to a tenth smaller than the preset's usual bits per weight.
constexpr double kLeastShareOfNominal = 0.9;

/// A preset for a model, before anything is computed.
struct Candidate {
  std::string_view preset;
  double nominal_bpw = 0;
  QuantLoss loss;
  bool may_fit_gpu = true;  // its weights alone are no larger than the GPUs
};

/// A model with its candidates, best quality first, and the rank that it cannot pass.
struct Contender {
  const hwdb::ModelRow* model = nullptr;
  Quality quality;
  std::vector<Candidate> candidates;
  double context_credit = 1;
  double bound = 0;
};

/// The publisher's own quantized file comes first while what it loses is less than scores tell
/// apart.
bool own_file(const QuantLoss& loss) {
  return loss.quantization_aware && loss.loss < 0.02;
}

bool on_gpu(Fits fits) {
  return fits == Fits::gpu || fits == Fits::gpu_tight;
}

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
  double gpu_bytes = 0;
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
    ceiling.gpu_bytes += gpu.memory.value.as_double();
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
      : catalog_(catalog),
        request_(request),
        assumptions_(assumptions_from(catalog)),
        quality_(catalog, request.workload.use),
        losses_(catalog.quant_quality()),
        ceiling_(ceiling_of(machine, request)) {
    inputs_.machine = &machine;
    inputs_.settings = request.settings;
    inputs_.workload = request.workload;
    inputs_.tariff = tariff;
    inputs_.assumptions = &assumptions_;
    inputs_.calibrations = request.calibrations;
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
    }
  }

  FitResult run(const std::vector<hwdb::ModelRow>& models) {
    std::vector<Contender> contenders;
    contenders.reserve(models.size());
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
      enter(model, &contenders);
    }
    std::sort(contenders.begin(), contenders.end(), [](const Contender& a, const Contender& b) {
      return before(a.quality, a.bound, *a.model, b.quality, b.bound, *b.model);
    });
    std::size_t next = 0;
    for (; next < contenders.size(); ++next) {
      if (settled(contenders[next])) break;
      evaluate(contenders[next]);
    }
    result_.not_evaluated = contenders.size() - next;
    sort_rows();
    if (request_.top > 0 && result_.rows.size() > request_.top) {
      result_.ranked_lower = result_.rows.size() - request_.top;
      result_.rows.resize(request_.top);
    }
    for (FitRow& row : result_.rows) finish(&row);
    return std::move(result_);
  }

 private:
  /// The order of the list.
  static bool before(const Quality& qa, double ra, const hwdb::ModelRow& a, const Quality& qb,
                     double rb, const hwdb::ModelRow& b) {
    const bool sa = qa.percentile.has_value(), sb = qb.percentile.has_value();
    if (sa != sb) return sa;
    if (sa && ra != rb) return ra > rb;
    if (a.release != b.release) return a.release > b.release;
    if (ra != rb) return ra > rb;
    return a.id < b.id;
  }

  void sort_rows() {
    std::sort(result_.rows.begin(), result_.rows.end(), [](const FitRow& a, const FitRow& b) {
      return before(a.quality, a.rank, *a.model, b.quality, b.rank, *b.model);
    });
  }

  /// Whether the asked-for number of rows is there and this contender, by its bound, and so all
  /// after it, cannot enter among them.
  bool settled(const Contender& contender) {
    if (request_.top == 0 || result_.rows.size() < request_.top) return false;
    sort_rows();
    const FitRow& last = result_.rows[request_.top - 1];
    return before(last.quality, last.rank, *last.model, contender.quality, contender.bound,
                  *contender.model);
  }

  void enter(const hwdb::ModelRow& model, std::vector<Contender>* contenders) {
    Contender contender;
    contender.model = &model;
    contender.quality = quality_.find(model);
    if (!contender.quality.percentile) ++result_.without_score;
    const std::uint64_t ctx = context_of(model);
    contender.context_credit = static_cast<double>(ctx) / static_cast<double>(wanted_ctx_);
    const double elements = static_cast<double>(model.params_total.value_or(0));
    const double embedding =
        static_cast<double>(model.shape.n_vocab) * static_cast<double>(model.shape.n_embd);
    const double read_per_token =
        std::max(0.0, static_cast<double>(model.params_active.value_or(0)) - embedding);
    bool any_fits = false;
    double best = 0;
    const auto add_preset = [&](const hwdb::PresetRow& row, std::optional<QuantLoss> loss) {
      Candidate candidate;
      candidate.preset = row.id;
      candidate.nominal_bpw = row.bpw_llama_3_1_8b.value_or(0);
      if (loss) candidate.loss = std::move(*loss);
      const double bytes_a_weight = candidate.nominal_bpw / 8 * kLeastShareOfNominal;
      const double weights = elements * bytes_a_weight;
      if (weights > ceiling_.bytes) return;
      any_fits = true;
      candidate.may_fit_gpu =
          std::max(0.0, elements - embedding) * bytes_a_weight <= ceiling_.gpu_bytes;
      const double bytes = read_per_token * bytes_a_weight;
      double credit = 1;
      if (bytes > 0 && std::isfinite(ceiling_.bytes_per_s)) {
        if (ceiling_.bytes_per_s / bytes < minimum_) return;
        credit = speed_credit(ceiling_.bytes_per_s / bytes, need_);
      }
      best = std::max(best, (1 - candidate.loss.loss) * credit);
      contender.candidates.push_back(std::move(candidate));
    };
    if (model.native_quant == "MXFP4" && native_mxfp4_ && request_.quants.empty()) {
      // Published in four bits: larger files of it hold nothing more.
      add_preset(*native_mxfp4_, losses_.find(model, native_mxfp4_->id));
    } else {
      for (const hwdb::PresetRow* row : presets_) add_preset(*row, losses_.find(model, row->id));
      if (!model.aware_quant.empty() && (request_.quants.empty() || wants(model.aware_quant)))
        if (auto loss = losses_.find_quantization_aware(model, model.aware_quant))
          if (const auto row = catalog_.find_preset(model.aware_quant))
            add_preset(**row, std::move(loss));
    }
    if (contender.candidates.empty()) {
      // Beyond a ceiling without being planned: of memory, or else of speed.
      ++(any_fits ? result_.too_slow : result_.not_fitting);
      return;
    }
    std::stable_sort(contender.candidates.begin(), contender.candidates.end(),
                     [](const Candidate& a, const Candidate& b) {
                       const bool oa = own_file(a.loss), ob = own_file(b.loss);
                       return oa != ob ? oa : a.loss.loss < b.loss.loss;
                     });
    contender.bound = contender.quality.percentile.value_or(1) * best * contender.context_credit;
    contenders->push_back(std::move(contender));
  }

  std::uint64_t context_of(const hwdb::ModelRow& model) const {
    return std::min(wanted_ctx_, model.shape.n_ctx_train.value_or(wanted_ctx_));
  }

  bool wants(std::string_view preset) const {
    return std::find(request_.quants.begin(), request_.quants.end(), preset) !=
           request_.quants.end();
  }

  /// The highest quality that keeps up wholly on the GPUs (with margin if any does), and the
  /// highest that keeps up at all: of the two, the one that ranks higher.
  void evaluate(const Contender& contender) {
    const hwdb::ModelRow& model = *contender.model;
    inputs_.settings.n_ctx = context_of(model) * std::max(1u, request_.settings.n_seq);
    bool planned = false, fitting = false, found_elsewhere = false;
    FitRow best;
    double best_product = 0;
    PresetCosts presets(model.shape);
    ComputeMemo memo(model.shape);
    inputs_.compute_memo = &memo;
    double slow_rate_times_bits = 0;  // tok/s x bits a weight of a plan that was too slow
    for (const Candidate& candidate : contender.candidates) {
      if (found_elsewhere && !candidate.may_fit_gpu) continue;
      // Fewer bits cannot speed decoding up by more than they shrink the weights.
      if (slow_rate_times_bits > 0 &&
          slow_rate_times_bits / (candidate.nominal_bpw * kLeastShareOfNominal) < minimum_)
        continue;
      const auto costs = presets.find(candidate.preset);
      if (!costs) continue;
      inputs_.model = &*costs;
      auto plan = make_plan(inputs_);
      if (!plan) continue;
      planned = true;
      const Fits fits = plan->memory.fits;
      if (fits == Fits::no) continue;
      fitting = true;
      if (found_elsewhere && !on_gpu(fits)) continue;
      const double decode = plan->speed.decode_tok_per_s.likely;
      if (plan->speed_known && decode < minimum_) {
        // Partly in system memory a smaller file also moves to the GPU: no such bound there.
        if (on_gpu(fits) || ceiling_.gpu_bytes <= 0)
          slow_rate_times_bits = decode * candidate.nominal_bpw;
        continue;
      }
      const double credit = plan->speed_known ? speed_credit(decode, need_) : 1;
      const double product = (1 - candidate.loss.loss) * credit;
      // A margin is worth more than the next preset: a desktop on the same card eats it.
      const bool frees_margin =
          best_product > 0 && fits == Fits::gpu && best.plan.memory.fits == Fits::gpu_tight;
      if (product > best_product || frees_margin) {
        best_product = product;
        best.quant = candidate.preset;
        best.quantization_aware = candidate.loss.quantization_aware;
        best.quant_loss = candidate.loss.loss;
        best.quant_loss_evidence = candidate.loss.evidence;
        best.speed_credit = credit;
        best.plan = std::move(*plan);
        best.plan.max_ctx =
            largest_context(inputs_, fits, model.shape.n_ctx_train.value_or(wanted_ctx_));
      }
      // Without a GPU, or on it with margin: nothing of lower quality can win its place.
      if (fits == Fits::gpu || ceiling_.gpu_bytes <= 0) break;
      found_elsewhere = true;
    }
    if (best_product <= 0) {
      ++(fitting ? result_.too_slow : planned ? result_.not_fitting : result_.not_sized);
      return;
    }
    best.model = &model;
    best.quality = contender.quality;
    best.context_credit = contender.context_credit;
    best.rank = best.quality.percentile.value_or(1) * best_product * best.context_credit;
    best.plan.scenario.settings = inputs_.settings;
    result_.rows.push_back(std::move(best));
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
    add_depths(*row);
    if (!row->quality.percentile) plan.notes.push_back("No published score for this use.");
    if (row->quality.percentile && row->quality.tables < 2)
      plan.notes.push_back("One published score only.");
    if (row->context_credit < 1)
      plan.notes.push_back(fmt::format("Trained for {} tokens of context, {} are wanted.",
                                       row->model->shape.n_ctx_train.value_or(0), wanted_ctx_));
    if (row->quantization_aware)
      plan.notes.push_back("The quantization-aware (QAT) file of the publisher is meant.");
  }

  /// Only for rows that are listed: their tensors have to be typed once more.
  void add_depths(FitRow& row) {
    if (!row.plan.speed_known) return;
    const auto costs = PresetCosts(row.model->shape).find(row.quant);
    if (!costs) return;
    PlanInputs inputs = inputs_;
    inputs.model = &*costs;
    inputs.settings = row.plan.scenario.settings;
    inputs.compute_memo = nullptr;
    row.plan.scenario.depths = depths_of_context(inputs.settings);
    auto speeds = speed_at_depths(inputs, row.plan.placement, row.plan.scenario.depths);
    if (speeds) row.plan.speed_by_depth = std::move(*speeds);
  }

  const hwdb::Catalog& catalog_;
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
  FitResult result_;
};

}  // namespace

FitResult rank_models(const hwdb::Catalog& catalog, const hwdb::Machine& machine,
                      const hwdb::TariffRow* tariff, const FitRequest& request) {
  return Ranking(catalog, machine, tariff, request).run(catalog.models());
}

}  // namespace planner
