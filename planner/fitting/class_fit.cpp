// SPDX-License-Identifier: MIT
#include "planner/fitting/class_fit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "planner/placement.h"
#include "planner/plan_basis.h"
#include "planner/plan_extras.h"
#include "planner/speed_estimate.h"

namespace fitting {
namespace {

using planner::DeviceRates;
using planner::PlanBasis;

// Differences between measurements of one thing by different people: what is left of the rows'
// scatter when device, model and type are the same.
constexpr double kDecodeNoise = 0.08, kPrefillNoise = 0.12;
// Cases of one device that count in full; more of them share their weight, so that a device that
// many people measured does not speak for its whole class.
constexpr double kFullCases = 50;

std::vector<hwdb::TensorType> types_of(const hwdb::ModelCosts& model,
                                       const planner::RunSettings& settings) {
  std::vector<hwdb::TensorType> types;
  const auto& roles = model.role_types;
  for (const auto* shares : {&roles.layers, &roles.experts, &roles.output})
    for (const auto& share : *shares) types.push_back(share.type);
  if (const auto request = planner::cache_request_of(settings)) {
    types.push_back(request->type_k);
    types.push_back(request->type_v);
  }
  std::ranges::sort(types);
  const auto repeated = std::ranges::unique(types);
  types.erase(repeated.begin(), repeated.end());
  return types;
}

}  // namespace

struct ClassFit::Prepared {
  planner::PlanInputs inputs;
  PlanBasis basis;
  planner::Placement placement;
  std::vector<FactorSum> gpus;  // one each of basis.gpus
  std::unique_ptr<FactorSum> host;
  std::vector<std::uint32_t> touches;
  double noise = 1;
};

ClassFit::ClassFit(std::vector<Case> cases, const planner::Assumptions& assumptions) {
  std::vector<Case> known;
  for (Case& one : cases) {
    auto p = std::make_unique<Prepared>();
    p->inputs.model = &one.model->costs;
    p->inputs.machine = one.machine.get();
    p->inputs.settings = one.scenario.settings;
    p->inputs.workload = one.scenario.workload;
    p->inputs.assumptions = &assumptions;
    auto basis = planner::prepare_all(p->inputs);
    if (!basis) continue;
    p->basis = std::move(*basis);
    p->placement = planner::choose_placement(p->basis);
    if (!planner::is_speed_known(p->basis, p->placement)) continue;
    known.push_back(std::move(one));
    prepared_.push_back(std::move(p));
  }
  cases_ = std::move(known);
  std::map<std::string, double> counts;
  for (const Case& one : cases_) counts[one.device_key] += 1;
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    Prepared& p = *prepared_[i];
    const auto types = types_of(*p.inputs.model, p.inputs.settings);
    const auto gpu_class = [&](const DeviceRates& rates) {
      const hwdb::GpuInfo& gpu = p.inputs.machine->gpus[static_cast<std::size_t>(rates.gpu)];
      return planner::class_of("llama.cpp", gpu, p.inputs.settings.backend.value_or(gpu.backend));
    };
    const bool on_gpu = p.placement.n_gpu_layers > 0;
    if (on_gpu) {
      for (const DeviceRates& rates : p.basis.gpus) levels_.add(gpu_class(rates), types);
    }
    if (!on_gpu || cases_[i].situation == Situation::offload)
      levels_.add(planner::cpu_class_of("llama.cpp", *p.inputs.machine), types);
    const double share = std::max(1.0, counts[cases_[i].device_key] / kFullCases);
    p.noise = (cases_[i].row.reading.test == hwdb::SpeedReading::Test::decode ? kDecodeNoise
                                                                              : kPrefillNoise) *
              std::sqrt(share / cases_[i].weight);
  }
  // The hierarchy is complete only now.
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    Prepared& p = *prepared_[i];
    const auto types = types_of(*p.inputs.model, p.inputs.settings);
    std::set<std::uint32_t> touches;
    for (const DeviceRates& rates : p.basis.gpus) {
      const hwdb::GpuInfo& gpu = p.inputs.machine->gpus[static_cast<std::size_t>(rates.gpu)];
      p.gpus.emplace_back(
          levels_,
          planner::class_of("llama.cpp", gpu, p.inputs.settings.backend.value_or(gpu.backend)),
          types);
      if (p.placement.n_gpu_layers > 0)
        touches.insert(p.gpus.back().touches().begin(), p.gpus.back().touches().end());
    }
    p.host = std::make_unique<FactorSum>(
        levels_, planner::cpu_class_of("llama.cpp", *p.inputs.machine), types);
    if (p.placement.n_gpu_layers == 0 || cases_[i].situation == Situation::offload)
      touches.insert(p.host->touches().begin(), p.host->touches().end());
    p.touches.assign(touches.begin(), touches.end());
  }
}

ClassFit::~ClassFit() = default;

double ClassFit::residual(std::size_t index, std::span<const double> values) const {
  Prepared& p = *prepared_[index];
  for (std::size_t g = 0; g < p.gpus.size(); ++g)
    planner::use_factors(p.gpus[g].at(values), *p.inputs.model, p.inputs.settings,
                         &p.basis.gpus[g]);
  planner::use_factors(p.host->at(values), *p.inputs.model, p.inputs.settings, &p.basis.host);
  const hwdb::SpeedReading& reading = cases_[index].row.reading;
  const bool decode = reading.test == hwdb::SpeedReading::Test::decode;
  const double seconds = decode ? planner::decode_step(p.basis, p.placement, nullptr).seconds()
                                : planner::prefill_pass(p.basis, p.placement, nullptr).seconds();
  const double tokens = decode ? p.basis.batch : p.basis.new_tokens;
  return std::log(reading.tok_per_s * seconds / tokens);
}

FitResult ClassFit::fit(const std::vector<bool>* used, std::span<const double> start) const {
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < cases_.size(); ++i)
    if (used == nullptr || (*used)[i]) which.push_back(i);
  FitProblem problem;
  problem.parameters = levels_.parameters();
  problem.n_rows = which.size();
  problem.start.assign(start.begin(), start.end());
  for (const std::size_t i : which) {
    problem.touches.push_back(prepared_[i]->touches);
    problem.noise_sd.push_back(prepared_[i]->noise);
  }
  problem.residual = [&](std::size_t row, std::span<const double> values) {
    return residual(which[row], values);
  };
  return robust_fit(problem);
}

std::vector<hwdb::SpeedFactorRow> ClassFit::rows(const FitResult& result) const {
  auto rows = levels_.filled(result.values, result.sd);
  std::string newest;
  for (const Case& one : cases_) newest = std::max(newest, one.row.date);
  for (hwdb::SpeedFactorRow& row : rows) {
    std::set<std::string> devices;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      const auto& touches = prepared_[i]->touches;
      const bool touched = std::ranges::any_of(touches, [&](std::uint32_t unknown) {
        return levels_.rows()[levels_.unknowns()[unknown].row].id == row.id;
      });
      if (!touched) continue;
      devices.insert(cases_[i].device_key);
      const bool decode = cases_[i].row.reading.test == hwdb::SpeedReading::Test::decode;
      ++(decode ? row.decode_rows : row.prefill_rows);
    }
    row.devices = static_cast<std::uint32_t>(devices.size());
    row.origin.source = {"fitted to hwdb/data/speed/measured.csv by fit_speed_factors"};
    row.origin.as_of = newest;
    row.origin.verified = true;
  }
  return rows;
}

double ClassFit::naive_rate(std::size_t index) const {
  const Prepared& p = *prepared_[index];
  const hwdb::ModelCosts& model = *p.inputs.model;
  const DeviceRates& device = p.placement.n_gpu_layers > 0 ? p.basis.gpus.front() : p.basis.host;
  if (cases_[index].row.reading.test == hwdb::SpeedReading::Test::decode) {
    const double active = model.params_total > 0 ? model.params_active / model.params_total : 1;
    return device.bandwidth / (static_cast<double>(model.file_bytes) * active);
  }
  return device.peak / (2 * model.params_active);
}

namespace {

// Fits once for each group without it, and asks for its cases.
LeftOutResiduals leave_out(const ClassFit& fit, const FitResult& all,
                           const std::map<std::string, std::vector<std::size_t>>& groups) {
  const std::vector<Case>& cases = fit.cases();
  LeftOutResiduals out;
  out.residuals.assign(cases.size(), std::nan(""));
  out.naive.assign(cases.size(), std::nan(""));
  const auto ratio = [&](std::size_t i) {
    return std::log(cases[i].row.reading.tok_per_s / fit.naive_rate(i));
  };
  for (const auto& [name, own] : groups) {
    std::vector<bool> used(cases.size(), true);
    for (const std::size_t i : own) used[i] = false;
    const FitResult without = fit.fit(&used, all.values);
    for (const std::size_t i : own) {
      out.residuals[i] = fit.residual(i, without.values);
      std::vector<double> others;
      for (std::size_t j = 0; j < cases.size(); ++j)
        if (used[j] && cases[j].row.reading.test == cases[i].row.reading.test)
          others.push_back(ratio(j));
      const auto middle = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
      if (others.empty()) continue;
      std::nth_element(others.begin(), middle, others.end());
      out.naive[i] = ratio(i) - *middle;
    }
  }
  return out;
}

}  // namespace

LeftOutResiduals leave_devices_out(const ClassFit& fit, const FitResult& all) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < fit.cases().size(); ++i)
    groups[fit.cases()[i].device_key].push_back(i);
  return leave_out(fit, all, groups);
}

LeftOutResiduals leave_models_out(const ClassFit& fit, const FitResult& all) {
  constexpr std::size_t kFolds = 8;
  std::map<std::string, std::map<std::string, std::size_t>> models;  // of a device, their order
  for (const Case& one : fit.cases()) {
    auto& own = models[one.device_key];
    own.try_emplace(one.model->name, own.size());
  }
  // Models of one device fall into different folds, and one model into different folds on different
  // devices, so that each has its device's other models and its own elsewhere.
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < fit.cases().size(); ++i) {
    const Case& one = fit.cases()[i];
    const auto& own = models[one.device_key];
    if (own.size() < 2) continue;
    const auto place =
        static_cast<std::size_t>(std::distance(models.begin(), models.find(one.device_key)));
    groups[std::to_string((own.at(one.model->name) + place) % kFolds)].push_back(i);
  }
  return leave_out(fit, all, groups);
}

}  // namespace fitting
