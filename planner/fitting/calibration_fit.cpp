// SPDX-License-Identifier: MIT
#include "planner/fitting/calibration_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "planner/class_factors.h"
#include "planner/fitting/robust_fit.h"
#include "planner/make_plan.h"
#include "planner/placement.h"
#include "planner/plan_basis.h"
#include "planner/reading_history.h"
#include "planner/roofline.h"
#include "planner/speed_estimate.h"

namespace fitting {
namespace {

using hwdb::KernelReading;
using hwdb::SpeedReading;
using planner::Calibration;
using planner::DeviceFactors;
using planner::DeviceRates;

constexpr std::string_view kEngine = "tokwatt";

// How far a device lies from its class, as standard deviations of the logarithm. Judgements: the
// engine's classes are few and its own measurements many, so that they say little; other runtimes
// have been measured on hundreds of devices.
constexpr double kEngineSd = 1.0, kEngineTypeSd = 0.3;
constexpr double kClassSd = 0.4, kClassTypeSd = 0.15;
// What no reading is better than, and what the formula of a single product misses.
constexpr double kLeastNoise = 0.01, kKernelNoise = 0.04;
constexpr double kMostSpreadNoise = 0.1;  // of readings that tell how well the fit holds
constexpr double kUntoldNoise = 0.05;     // of a reading without repetitions
// Of one token's time with weights that the processor's cache may hold: plans read from memory.
constexpr double kCachedNoise = 0.3;
// Between the 10th and the 90th percentile of a normal distribution, in standard deviations.
constexpr double kPercentileSpan = 2.563;
constexpr double kTinyFactor = 1e-9;  // stands for 0 where a logarithm is taken

struct GroupKey {
  std::string runtime, backend, device;
  auto operator<=>(const GroupKey&) const = default;
};

bool is_cpu(const GroupKey& key) {
  return key.backend == "cpu";
}

hwdb::Runtime runtime_of(std::string_view word) {
  using enum hwdb::Runtime;
  for (const hwdb::Runtime runtime : {llama_cpp, ollama, lmstudio, vllm, mlx, tokwatt})
    if (hwdb::to_string(runtime) == word) return runtime;
  return llama_cpp;
}

/// The question of a reading as the estimator takes it. PlanBasis points into the rest.
struct Asked {
  std::shared_ptr<const planner::ResolvedModel> model;
  planner::PlanInputs inputs;
  planner::PlanBasis basis;
  planner::Placement placement;
};

struct Row {
  bool is_kernel = false;
  std::size_t index = 0;
  std::unique_ptr<Asked> asked;  // null for kernels
  double measured_s = 0, noise = 0;
};

/// A factor as a parameter: its logarithm.
struct Slot {
  double DeviceFactors::*scalar = nullptr;
  std::size_t type = 0;  // index into `types`, when of_type
  double DeviceFactors::OfType::*of_type = nullptr;
};

/// Fits one runtime on one device.
class DeviceFit {
 public:
  DeviceFit(const GroupKey& key, const planner::CalibrationRecord& record,
            const CalibrationFitInputs& inputs)
      : key_(key), record_(record), inputs_(inputs) {
    calibration_.runtime = key.runtime;
    calibration_.backend = key.backend;
    calibration_.device = key.device;
    calibration_.made_at = inputs.made_at;
    set_ceilings_and_priors();
  }

  void add_reading(std::size_t index, std::vector<std::string>* notes) {
    const SpeedReading& reading = record_.readings[index];
    auto model = inputs_.model ? inputs_.model(reading) : nullptr;
    if (model == nullptr) {
      notes->push_back(fmt::format("{}: not found any more, its reading of {} is left out",
                                   reading.model, reading.measured_at));
      return;
    }
    Row row;
    row.index = index;
    row.noise = noise_of(reading);
    row.asked = ask(reading, std::move(model));
    if (row.asked == nullptr) {
      notes->push_back(fmt::format("{}: the estimator has no answer, its reading of {} is left out",
                                   reading.model, reading.measured_at));
      return;
    }
    const double tokens =
        reading.test == SpeedReading::Test::prefill ? reading.n_prompt : reading.batch;
    row.measured_s = tokens / reading.tok_per_s;
    if (reading.test == SpeedReading::Test::decode && may_be_cached(row.asked->model->costs))
      row.noise = std::max(row.noise, kCachedNoise);
    rows_.push_back(std::move(row));
    calibration_.build = reading.build;
    ++calibration_.n_readings;
  }

  void add_kernel(std::size_t index) {
    const KernelReading& kernel = record_.kernels[index];
    Row row;
    row.is_kernel = true;
    row.index = index;
    row.measured_s = kernel.seconds;
    row.noise = std::max(kKernelNoise, kernel.spread / kPercentileSpan);
    rows_.push_back(std::move(row));
    ++calibration_.n_kernels;
  }

  bool has_readings() const { return calibration_.n_readings > 0 || calibration_.n_kernels > 0; }

  FittedDevice fit() {
    make_slots();
    FitProblem problem;
    problem.n_rows = rows_.size();
    for (const Slot& slot : slots_) {
      Parameter parameter;
      parameter.name = name_of(slot);
      parameter.prior = std::log(std::max(value_of(slot), kTinyFactor));
      parameter.prior_sd = slot.scalar != nullptr ? prior_sd() : prior_type_sd();
      problem.parameters.push_back(std::move(parameter));
    }
    for (const Row& row : rows_) {
      problem.noise_sd.push_back(row.noise);
      problem.touches.push_back(touched_by(row));
    }
    problem.residual = [this](std::size_t row, std::span<const double> values) {
      set_values(values);
      return std::log(rows_[row].measured_s / seconds_of(rows_[row]));
    };
    const FitResult result = best_fit(&problem);
    set_values(result.values);

    FittedDevice device;
    device.converged = result.converged;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const Parameter& p = problem.parameters[i];
      device.factors.push_back(
          {p.name, std::exp(result.values[i]), result.sd[i], std::exp(p.prior), p.prior_sd});
      calibration_.errors.push_back({p.name, std::min(result.sd[i], 99.0)});
    }
    for (const Row& row : rows_)
      device.rows.push_back({row.is_kernel, row.index, row.measured_s, seconds_of(row), row.noise});
    calibration_.decode_spread = spread_of(SpeedReading::Test::decode);
    calibration_.prefill_spread = spread_of(SpeedReading::Test::prefill);
    device.calibration = calibration_;
    return device;
  }

 private:
  double prior_sd() const { return key_.runtime == kEngine ? kEngineSd : kClassSd; }
  double prior_type_sd() const { return key_.runtime == kEngine ? kEngineTypeSd : kClassTypeSd; }

  bool may_be_cached(const hwdb::ModelCosts& model) const {
    std::uint64_t bytes = model.output_bytes;
    for (const hwdb::LayerCosts& layer : model.layers)
      bytes += layer.attention_bytes + layer.dense_ffn_bytes + layer.expert_bytes;
    return is_cpu(key_) && bytes < inputs_.machine->cpu.last_level_cache_total_bytes;
  }

  static double noise_of(const SpeedReading& reading) {
    const double n = static_cast<double>(reading.samples.size());
    if (n < 2 || reading.deviation <= 0) return kUntoldNoise;
    // The median's error: 1.25 times that of a mean.
    return std::max(kLeastNoise, 1.25 * reading.deviation / reading.tok_per_s / std::sqrt(n));
  }

  /// The rate of a product is the faster of two ways, so that a search that begins with the wrong
  /// one for many tokens never learns of the other: it begins with either.
  FitResult best_fit(FitProblem* problem) const {
    FitResult best = robust_fit(*problem);
    const double peak_share = problem->parameters[place_of(&DeviceFactors::vector)].prior;
    for (const double vector : {0.2, 0.5, 1.0}) {
      for (const double matmul : {1.5, 4.0}) {
        problem->parameters[place_of(&DeviceFactors::vector)].start = peak_share + std::log(vector);
        problem->parameters[place_of(&DeviceFactors::matmul)].start = peak_share + std::log(matmul);
        FitResult other = robust_fit(*problem);
        if (other.cost < best.cost) best = std::move(other);
      }
    }
    return best;
  }
  std::size_t place_of(double DeviceFactors::*member) const {
    return static_cast<std::size_t>(std::ranges::find(slots_, member, &Slot::scalar) -
                                    slots_.begin());
  }

  /// Shares are of what was measured, where it was; class factors are of what is rated.
  void set_ceilings_and_priors() {
    const hwdb::Machine& machine = *inputs_.machine;
    const std::string_view runtime = key_.runtime == kEngine ? kEngine : "llama.cpp";
    planner::DeviceClass device_class = planner::cpu_class_of(runtime, machine);
    double rated = 0, measured = 0;
    const auto note = [&](const hwdb::Sourced<hwdb::BytesPerSecond>& bandwidth, double read_share) {
      const bool is_measured = bandwidth.basis == hwdb::Basis::measured;
      measured = bandwidth.value.value;
      rated = is_measured ? measured / read_share : measured;
    };
    if (is_cpu(key_)) {
      bool assumed = false;
      calibration_.peak_flops_per_s = planner::cpu_peak(machine, &assumed).value;
      note(machine.memory.bandwidth, inputs_.assumptions->read_share_shared);
    } else {
      for (const hwdb::GpuInfo& gpu : machine.gpus) {
        if (gpu.name != key_.device) continue;
        device_class = planner::class_of(runtime, gpu, gpu.backend);
        calibration_.peak_flops_per_s = planner::gpu_peak(gpu).value;
        if (gpu.bandwidth)
          note(*gpu.bandwidth, gpu.kind == hwdb::GpuInfo::Kind::discrete
                                   ? inputs_.assumptions->read_share_discrete
                                   : inputs_.assumptions->read_share_shared);
        break;
      }
    }
    calibration_.bandwidth_bytes_per_s = measured;
    if (calibration_.peak_flops_per_s <= 0)
      calibration_.peak_flops_per_s = measured * inputs_.assumptions->flops_per_byte;
    if (inputs_.assumptions->class_factors)
      calibration_.factors = inputs_.assumptions->class_factors->of(device_class);
    const double scale = measured > 0 ? rated / measured : 1;
    for (double DeviceFactors::*member :
         {&DeviceFactors::read, &DeviceFactors::cache_read, &DeviceFactors::activation})
      calibration_.factors.*member *= scale;
  }

  std::unique_ptr<Asked> ask(const SpeedReading& reading,
                             std::shared_ptr<const planner::ResolvedModel> model) {
    auto asked = std::make_unique<Asked>();
    asked->model = std::move(model);
    planner::PlanInputs& in = asked->inputs;
    in.model = &asked->model->costs;
    in.machine = inputs_.machine;
    in.assumptions = inputs_.assumptions;
    in.settings.runtime = runtime_of(key_.runtime);
    in.settings.cpu_only = is_cpu(key_);
    in.settings.n_ubatch = reading.n_ubatch.value_or(in.settings.n_ubatch);
    in.settings.n_batch = reading.n_batch.value_or(in.settings.n_batch);
    in.settings.n_seq = std::max(1u, reading.batch);
    in.settings.flash_attn = reading.flash_attn.value_or(true);
    if (!reading.cache_type_k.empty()) in.settings.cache_type_k = reading.cache_type_k;
    if (!reading.cache_type_v.empty()) in.settings.cache_type_v = reading.cache_type_v;
    const bool prefill = reading.test == SpeedReading::Test::prefill;
    in.workload.depth = reading.depth;
    in.workload.n_prompt = prefill ? reading.n_prompt : 0;
    in.workload.n_gen = prefill ? 0 : reading.n_gen;
    in.workload.batch = std::max(1u, reading.batch);
    const std::uint64_t cells = std::uint64_t{reading.depth} + reading.n_prompt + reading.n_gen;
    in.settings.n_ctx = std::max<std::uint64_t>(cells, 1) * in.settings.n_seq;
    auto basis = planner::prepare(in);
    if (!basis) return nullptr;
    asked->basis = *std::move(basis);
    if (!is_cpu(key_)) {
      const auto gpu = std::ranges::find_if(asked->basis.gpus, [&](const DeviceRates& d) {
        return inputs_.machine->gpus[static_cast<std::size_t>(d.gpu)].name == key_.device;
      });
      // Several different GPUs in one reading cannot be told apart.
      if (gpu == asked->basis.gpus.end() || asked->basis.gpus.size() != 1) return nullptr;
    }
    DeviceRates& device = device_of(*asked);
    device.bandwidth = calibration_.bandwidth_bytes_per_s;
    device.peak = calibration_.peak_flops_per_s;
    planner::use_factors(calibration_.factors, asked->model->costs, in.settings, &device);
    sync_share_ = device.sync_share;
    asked->placement = planner::place(
        asked->basis, is_cpu(key_) ? 0 : std::numeric_limits<std::int32_t>::max(), 0);
    if (!planner::is_speed_known(asked->basis, asked->placement)) return nullptr;
    return asked;
  }

  DeviceRates& device_of(Asked& asked) const {
    return is_cpu(key_) ? asked.basis.host : asked.basis.gpus.front();
  }

  double seconds_of(const Row& row) const {
    if (row.is_kernel) return kernel_seconds(record_.kernels[row.index]);
    Asked& asked = *row.asked;
    planner::use_factors(calibration_.factors, asked.model->costs, asked.inputs.settings,
                         &device_of(asked));
    const bool prefill = record_.readings[row.index].test == SpeedReading::Test::prefill;
    return (prefill ? planner::prefill_pass(asked.basis, asked.placement, nullptr)
                    : planner::decode_step(asked.basis, asked.placement, nullptr))
        .seconds();
  }

  double kernel_seconds(const KernelReading& kernel) const {
    const DeviceFactors& f = calibration_.factors;
    const DeviceFactors::OfType& of = f.of(kernel.type);
    const double bandwidth = calibration_.bandwidth_bytes_per_s,
                 peak = calibration_.peak_flops_per_s;
    DeviceRates device;
    device.factors = &f;
    device.bandwidth = bandwidth;
    device.peak = peak;
    device.dense = {bandwidth * f.read * of.read, peak * f.vector * of.vector,
                    peak * f.matmul * of.matmul};
    device.activation = bandwidth * f.activation;
    device.dispatch = f.product_s * sync_share_;
    planner::Work work;
    work.tokens = kernel.tokens;
    work.weight_bytes = static_cast<double>(hwdb::row_bytes(kernel.type, kernel.ne0)) * kernel.rows;
    work.weight_flops = 2.0 * kernel.ne0 * kernel.rows * kernel.tokens;
    work.activation_bytes =
        (static_cast<double>(kernel.ne0) + kernel.rows) * sizeof(float) * kernel.tokens;
    work.products = 1;
    planner::TimeSum sum(nullptr);
    planner::add_work(work, device, &sum);
    return sum.seconds();
  }

  std::set<hwdb::TensorType> weight_types(const Row& row) const {
    if (row.is_kernel) return {record_.kernels[row.index].type};
    std::set<hwdb::TensorType> types;
    const auto& of = row.asked->model->costs.role_types;
    for (const auto* shares : {&of.layers, &of.experts, &of.output})
      for (const auto& share : *shares) types.insert(share.type);
    return types;
  }

  std::set<hwdb::TensorType> cache_types(const Row& row) const {
    std::set<hwdb::TensorType> types;
    if (row.is_kernel) return types;
    const auto request = planner::cache_request_of(row.asked->inputs.settings);
    if (request) types = {request->type_k, request->type_v};
    return types;
  }

  static bool is_of_cache(double DeviceFactors::OfType::*member) {
    return member == &DeviceFactors::OfType::cache_read ||
           member == &DeviceFactors::OfType::attention;
  }

  void make_slots() {
    for (const planner::FactorField& field : planner::kFactorFields)
      slots_.push_back({field.member, 0, nullptr});
    std::set<hwdb::TensorType> weights, caches;
    for (const Row& row : rows_) {
      weights.merge(weight_types(row));
      caches.merge(cache_types(row));
    }
    std::vector<DeviceFactors::OfType>& types = calibration_.factors.types;
    std::set<hwdb::TensorType> all = weights;
    all.insert(caches.begin(), caches.end());
    for (const hwdb::TensorType type : all) {
      const auto at = std::ranges::lower_bound(types, type, {}, &DeviceFactors::OfType::type);
      if (at == types.end() || at->type != type) {
        DeviceFactors::OfType one;
        one.type = type;
        types.insert(at, one);
      }
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const bool of_weights = weights.contains(types[i].type);
      for (const planner::TypeFactorField& field : planner::kTypeFactorFields) {
        if (is_of_cache(field.member) ? caches.contains(types[i].type) : of_weights)
          slots_.push_back({nullptr, i, field.member});
      }
    }
  }

  std::vector<std::uint32_t> touched_by(const Row& row) const {
    const auto weights = weight_types(row), caches = cache_types(row);
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      const Slot& slot = slots_[i];
      bool touched = true;
      if (slot.of_type != nullptr) {
        const hwdb::TensorType type = calibration_.factors.types[slot.type].type;
        touched = is_of_cache(slot.of_type) ? caches.contains(type) : weights.contains(type);
      }
      if (touched) out.push_back(i);
    }
    return out;
  }

  double& at(const Slot& slot) {
    return slot.scalar != nullptr ? calibration_.factors.*slot.scalar
                                  : calibration_.factors.types[slot.type].*slot.of_type;
  }
  double value_of(const Slot& slot) { return at(slot); }
  void set_values(std::span<const double> values) {
    for (std::size_t i = 0; i < slots_.size(); ++i) at(slots_[i]) = std::exp(values[i]);
  }

  std::string name_of(const Slot& slot) const {
    for (const planner::FactorField& field : planner::kFactorFields)
      if (slot.scalar != nullptr && field.member == slot.scalar) return std::string(field.name);
    for (const planner::TypeFactorField& field : planner::kTypeFactorFields)
      if (field.member == slot.of_type)
        return fmt::format(
            "{}.{}", hwdb::format_of(calibration_.factors.types[slot.type].type).name, field.name);
    return {};
  }

  /// Of the readings' residuals, and not less than their own noise.
  double spread_of(SpeedReading::Test test) const {
    double squares = 0, n = 0;
    std::vector<double> noise;
    for (const Row& row : rows_) {
      if (row.is_kernel || record_.readings[row.index].test != test) continue;
      if (row.noise > kMostSpreadNoise) continue;  // it was taken of something else as well
      const double residual = std::log(row.measured_s / seconds_of(row));
      squares += residual * residual;
      noise.push_back(row.noise);
      ++n;
    }
    if (n == 0) return 0;
    std::ranges::nth_element(noise, noise.begin() + static_cast<std::ptrdiff_t>(noise.size() / 2));
    return std::max(std::sqrt(squares / n), noise[noise.size() / 2]);
  }

  GroupKey key_;
  const planner::CalibrationRecord& record_;
  const CalibrationFitInputs& inputs_;
  Calibration calibration_;
  std::vector<Row> rows_;
  std::vector<Slot> slots_;
  double sync_share_ = 1;  // as plans have it
};

/// Which device a reading is of; absent with a note where that cannot be told.
std::optional<GroupKey> key_of(const SpeedReading& reading, const hwdb::Machine& machine,
                               std::vector<std::string>* notes) {
  const auto leave_out = [&](std::string_view why) -> std::optional<GroupKey> {
    notes->push_back(fmt::format("{} ({}, {}): left out, {}", reading.model, reading.runtime,
                                 hwdb::to_string(reading.test), why));
    return std::nullopt;
  };
  if (reading.devices > 1) return leave_out("several devices cannot be told apart");
  GroupKey key;
  key.runtime = reading.runtime.empty() ? "llama.cpp" : reading.runtime;
  const bool no_layers = reading.n_gpu_layers && *reading.n_gpu_layers == 0;
  if (reading.backend == "cpu" || (reading.backend.empty() && machine.gpus.empty())) {
    key.backend = "cpu";
    return key;
  }
  if (no_layers) return leave_out("a GPU helps with prompts although it holds no layers");
  if (reading.n_cpu_moe && *reading.n_cpu_moe > 0) return leave_out("experts in RAM beside a GPU");
  if (machine.gpus.size() != 1) return leave_out("which GPU it ran on is not known");
  const hwdb::GpuInfo& gpu = machine.gpus.front();
  key.backend =
      reading.backend.empty() ? std::string(planner::to_string(gpu.backend)) : reading.backend;
  key.device = gpu.name;
  return key;
}

}  // namespace

CalibrationFit fit_calibrations(const planner::CalibrationRecord& record,
                                const CalibrationFitInputs& inputs) {
  CalibrationFit out;
  std::map<GroupKey, std::unique_ptr<DeviceFit>> groups;
  const auto group = [&](const GroupKey& key) -> DeviceFit& {
    auto& fit = groups[key];
    if (!fit) fit = std::make_unique<DeviceFit>(key, record, inputs);
    return *fit;
  };
  for (const std::size_t i : planner::newest_readings(record)) {
    if (const auto key = key_of(record.readings[i], *inputs.machine, &out.notes))
      group(*key).add_reading(i, &out.notes);
  }
  const GroupKey engine{std::string(kEngine), "cpu", ""};
  for (const std::size_t i : planner::newest_kernels(record)) group(engine).add_kernel(i);
  for (auto& [key, fit] : groups) {
    if (fit->has_readings()) out.devices.push_back(fit->fit());
  }
  return out;
}

}  // namespace fitting
