// SPDX-License-Identifier: MIT
#include "planner/plan_basis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "hwdb/tensor_traits.h"
#include "planner/class_factors.h"
#include "planner/power_limit.h"

namespace planner {
namespace {

using hwdb::Basis;
using hwdb::Error;
using hwdb::GpuInfo;

hwdb::Result<hwdb::TensorType> cache_type(const std::string& name) {
  std::array<char, 16> upper{};
  if (name.size() < upper.size()) {
    for (std::size_t i = 0; i < name.size(); ++i) {
      const char c = name[i];
      upper[i] = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    const std::string_view wanted(upper.data(), name.size());
    if (wanted == "F16") return hwdb::kDefaultCacheType;
    if (const hwdb::TensorFormat* format = hwdb::find_tensor_format(wanted)) return format->type;
  }
  return Error{"cache.type", "unknown cache type '" + name + "'", "cache_type",
               "llama.cpp takes f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0 iq4_nl"};
}

double context_bytes(const Assumptions& assumptions, GpuInfo::Backend backend) {
  switch (backend) {
    case GpuInfo::Backend::cuda:
      return assumptions.context_cuda.as_double();
    case GpuInfo::Backend::rocm:
      return assumptions.context_rocm.as_double();
    case GpuInfo::Backend::vulkan:
      return assumptions.context_vulkan.as_double();
    case GpuInfo::Backend::metal:
      return assumptions.context_metal.as_double();
    case GpuInfo::Backend::sycl:
      return assumptions.context_sycl.as_double();
  }
  return 0;
}

/// The rated bandwidth, or what it would be for a measured one.
double rated_bandwidth(const hwdb::Sourced<hwdb::BytesPerSecond>& bandwidth, double read_share) {
  const double value = bandwidth.value.value;
  return bandwidth.basis == Basis::measured ? value / read_share : value;
}

// "tokwatt" has factors of its own; all others build on llama.cpp or are taken to be as fast.
std::string_view runtime_word(hwdb::Runtime runtime) {
  return runtime == hwdb::Runtime::tokwatt ? "tokwatt" : "llama.cpp";
}

void set_factors(const Assumptions& assumptions, const DeviceClass& device, DeviceRates* d) {
  static const DeviceFactors kDefaults;
  d->factors = assumptions.class_factors ? &assumptions.class_factors->of(device) : &kDefaults;
  d->basis = assumptions.class_factors ? Basis::modelled : Basis::assumed;
}

// Factors of this very machine go before those of a class, and bring their own ceilings.
void set_calibration(const Calibration* calibration, DeviceRates* d) {
  if (calibration == nullptr) return;
  d->calibration = calibration;
  d->factors = &calibration->factors;
  d->bandwidth = calibration->bandwidth_bytes_per_s;
  d->peak = calibration->peak_flops_per_s;
  d->basis = Basis::calibrated;
}

DeviceRates rates_of(const PlanInputs& inputs, const Assumptions& assumptions, const GpuInfo& gpu,
                     GpuInfo::Backend backend, std::int32_t index) {
  DeviceRates d;
  d.gpu = index;
  const std::string_view runtime = runtime_word(inputs.settings.runtime);
  set_factors(assumptions, class_of(runtime, gpu, backend), &d);
  if (gpu.bandwidth) {
    d.bandwidth = rated_bandwidth(*gpu.bandwidth, gpu.kind == GpuInfo::Kind::discrete
                                                      ? assumptions.read_share_discrete
                                                      : assumptions.read_share_shared);
    d.basis = weaker(d.basis, gpu.bandwidth->basis);
  }
  d.peak = gpu_peak(gpu).value;
  if (d.peak <= 0 && d.bandwidth > 0) {
    d.peak = d.bandwidth * assumptions.flops_per_byte;
    d.basis = Basis::assumed;
  }
  if (gpu.kind == GpuInfo::Kind::discrete && gpu.power_limit && d.peak > 0)
    d.watts_per_flop = gpu.power_limit->value.value / d.peak;
  if (gpu.power_limit && inputs.settings.power_limit_w) {
    d.power_share = *inputs.settings.power_limit_w / gpu.power_limit->value.value;
  }
  set_calibration(find_calibration(inputs.calibrations, hwdb::to_string(inputs.settings.runtime),
                                   to_string(backend), gpu.name),
                  &d);
  d.shares_host_memory = gpu.kind != GpuInfo::Kind::discrete;
  d.fuses = backend == GpuInfo::Backend::cuda || backend == GpuInfo::Backend::rocm;
  d.host_link = d.shares_host_memory ? 0 : gpu.host_link.value.value;
  d.budget = (gpu.available ? gpu.available->value : gpu.memory.value).as_double();
  d.overhead = context_bytes(assumptions, backend);
  return d;
}

DeviceRates host_rates(const PlanInputs& inputs, const Assumptions& assumptions) {
  const hwdb::Machine& machine = *inputs.machine;
  const RunSettings& settings = inputs.settings;
  DeviceRates d;
  set_factors(assumptions, cpu_class_of(runtime_word(settings.runtime), machine), &d);
  d.basis = weaker(d.basis, machine.memory.bandwidth.basis);
  d.bandwidth = rated_bandwidth(machine.memory.bandwidth, assumptions.read_share_shared);
  bool assumed = false;
  d.sync_share = std::max(1u, settings.n_threads.value_or(machine.cpu.cores)) / kThreadsOfProductS;
  d.peak = cpu_peak(machine, &assumed).value;
  set_calibration(
      find_calibration(inputs.calibrations, hwdb::to_string(settings.runtime), "cpu", ""), &d);
  if (settings.n_threads && machine.cpu.cores > *settings.n_threads) {
    // Few threads compute in proportion; memory is already full with half of the cores.
    const double share = static_cast<double>(*settings.n_threads) / machine.cpu.cores;
    d.peak *= share;
    d.bandwidth *= std::min(1.0, 2 * share);
  }
  d.shares_host_memory = true;
  const double total = machine.memory.total.value.as_double();
  d.budget = total - std::min(assumptions.host_reserve.as_double(),
                              total * assumptions.host_reserve_fraction);
  if (machine.memory.available) d.budget = machine.memory.available->value.as_double();
  if (machine.memory.limit) d.budget = std::min(d.budget, machine.memory.limit->value.as_double());
  return d;
}

void add_gpus(const PlanInputs& inputs, const Assumptions& assumptions, PlanBasis* basis) {
  const RunSettings& settings = inputs.settings;
  const auto& gpus = inputs.machine->gpus;
  basis->gpus.reserve(gpus.size());
  const GpusInUse used = gpus_in_use(settings, *inputs.machine);
  for (const std::size_t i : used.list()) {
    basis->gpus.push_back(rates_of(inputs, assumptions, gpus[i],
                                   settings.backend.value_or(gpus[i].backend),
                                   static_cast<std::int32_t>(i)));
  }
}

void add_layers(const PlanInputs& inputs, PlanBasis* basis) {
  const hwdb::ModelCosts& model = *inputs.model;
  basis->sums.resize(model.layers.size() + 1);
  // Layers have few distinct windows, so the cells are worked out anew only when it changes.
  double window = -1, decode_cells = 0, prefill_cells = 0;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const hwdb::LayerCosts& layer = model.layers[i];
    if (layer.window != window) {
      window = layer.window;
      decode_cells = window > 0 ? std::min(window, basis->decode_depth) : basis->decode_depth;
      prefill_cells = visible_cells(basis->prefill_depth, basis->new_tokens, window);
    }
    const LayerSums& before = basis->sums[i];
    LayerSums& s = basis->sums[i + 1];
    s.weights = before.weights + static_cast<double>(layer.attention_bytes) +
                static_cast<double>(layer.dense_ffn_bytes);
    s.experts = before.experts + static_cast<double>(layer.expert_bytes);
    s.dense_flops = before.dense_flops + layer.dense_flops_per_token;
    s.expert_flops = before.expert_flops + layer.expert_flops_per_token;
    s.decode_attention_flops =
        before.decode_attention_flops + layer.attention_flops_per_token_and_cell * decode_cells;
    s.prefill_attention_flops =
        before.prefill_attention_flops + layer.attention_flops_per_token_and_cell * prefill_cells;
    s.moe_layers = before.moe_layers + (layer.expert_bytes > 0 ? 1 : 0);
    s.products = before.products + layer.n_matmuls;
    s.activations = before.activations + layer.activations_per_token * sizeof(float);
    s.decode_scores = before.decode_scores + layer.n_scores * decode_cells;
    s.prefill_scores = before.prefill_scores + layer.n_scores * prefill_cells;
  }
}

// How much longer a mix of types takes than its bytes (or its weights) alone would: the mean of the
// reciprocal multipliers. 1 for types that are not told.
struct TypeMix {
  double read = 1, vector = 1, matmul = 1;
};
TypeMix mix_of(const std::vector<hwdb::ModelCosts::TypeShare>& shares,
               const DeviceFactors& factors) {
  TypeMix mix;
  if (factors.types.empty()) return mix;
  double bytes = 0, weights = 0, read = 0, vector = 0, matmul = 0;
  for (const auto& share : shares) {
    const hwdb::TensorFormat& format = hwdb::format_of(share.type);
    const auto b = static_cast<double>(share.bytes);
    const double w = b * format.block_weights / format.block_bytes;
    const DeviceFactors::OfType& of = factors.of(share.type);
    bytes += b, weights += w;
    read += b / of.read, vector += w / of.vector, matmul += w / of.matmul;
  }
  if (bytes > 0 && weights > 0) mix = {read / bytes, vector / weights, matmul / weights};
  return mix;
}

// Outputs of one pass over all sequences: the last token of each, and what was drafted behind it.
double outputs_of_all(const RunSettings& settings) {
  const double drafted = settings.draft.active() ? settings.draft.n_max : 0;
  return std::max(1u, settings.n_seq) * (1 + drafted);
}

// Tokens of a micro-batch whose logits get room: llama-server, since 2026-05-30, keeps them for the
// last token of each sequence; other programs, and the builds that others ship, for all.
std::uint32_t outputs_of(const RunSettings& settings, std::uint32_t n_tokens) {
  if (settings.n_outputs) return std::min(*settings.n_outputs, n_tokens);
  if (settings.runtime != hwdb::Runtime::llama_cpp) return n_tokens;
  return static_cast<std::uint32_t>(
      std::min<double>(outputs_of_all(settings), std::max(n_tokens, 1u)));
}

}  // namespace

void use_factors(const DeviceFactors& f, const hwdb::ModelCosts& model, const RunSettings& settings,
                 DeviceRates* d) {
  d->factors = &f;
  const double bandwidth = d->bandwidth * reading_at_power(d->power_share);
  const double peak = d->peak * computing_at_power(d->power_share);
  const double power =
      d->watts_per_flop > 0 ? std::pow(d->watts_per_flop / kWattsPerFlop, f.power_exponent) : 1;
  const auto role = [&](const std::vector<hwdb::ModelCosts::TypeShare>& shares, double read_share,
                        double matmul_share) {
    const TypeMix mix = mix_of(shares, f);
    return DeviceRates::Role{bandwidth * f.read * read_share / mix.read,
                             peak * f.vector / mix.vector,
                             peak * f.matmul * matmul_share * power / mix.matmul};
  };
  d->dense = role(model.role_types.layers, 1, 1);
  if (model.shape.n_experts > 0)
    d->experts = role(model.role_types.experts, f.expert_read, f.expert_matmul);
  d->output = role(model.role_types.output, 1, 1);
  d->cache_read = bandwidth * f.cache_read;
  d->attention = peak * f.attention * power;
  if (!f.types.empty()) {
    const auto k = cache_type(settings.cache_type_k), v = cache_type(settings.cache_type_v);
    if (k && v) {
      // Half of the work is with the keys, half with the values.
      d->cache_read *= 2 / (1 / f.of(*k).cache_read + 1 / f.of(*v).cache_read);
      d->attention *= 2 / (1 / f.of(*k).attention + 1 / f.of(*v).attention);
    }
  }
  // Synchronising costs processors in proportion to their number.
  d->dispatch = f.product_s * d->sync_share;
  d->activation = bandwidth * f.activation;
}

double visible_cells(double depth, double n, double window) {
  if (window <= 0) return n * depth + n * (n + 1) / 2;
  // Token i of n sees min(depth + i, window) cells.
  const double growing = std::clamp(window - depth, 0.0, n);
  return growing * depth + growing * (growing + 1) / 2 + (n - growing) * window;
}

hwdb::Result<hwdb::CacheRequest> cache_request_of(const RunSettings& settings) {
  auto k = cache_type(settings.cache_type_k);
  if (!k) return k.error();
  auto v = cache_type(settings.cache_type_v);
  if (!v) return v.error();
  hwdb::CacheRequest request;
  request.n_ctx = settings.n_ctx;
  request.n_seq = std::max(1u, settings.n_seq);
  request.n_ubatch = std::max(1u, std::min(settings.n_ubatch, settings.n_batch));
  request.type_k = *k;
  request.type_v = *v;
  request.runtime = settings.runtime;
  request.flash_attn = settings.flash_attn;
  request.swa_full = settings.swa_full;
  request.unified = settings.kv_unified;
  return request;
}

GpusInUse gpus_in_use(const RunSettings& settings, const hwdb::Machine& machine) {
  GpusInUse used;
  if (settings.cpu_only) return used;
  const bool any_discrete = std::ranges::any_of(
      machine.gpus, [](const GpuInfo& gpu) { return gpu.kind == GpuInfo::Kind::discrete; });
  for (std::size_t i = 0; i < machine.gpus.size(); ++i) {
    if (any_discrete && machine.gpus[i].kind != GpuInfo::Kind::discrete) continue;
    // The graphs have room for the host beside them.
    if (used.count + 1 == kMaxGraphDevices) break;
    used.index[used.count++] = i;
  }
  if (settings.split_mode == SplitMode::none && used.count > 0) {
    used.index[0] = used.index[std::min<std::size_t>(settings.main_gpu, used.count - 1)];
    used.count = 1;
  }
  return used;
}

hwdb::Result<hwdb::CacheRequest> cache_request_of(const RunSettings& settings,
                                                  const hwdb::ModelShape& shape) {
  auto request = cache_request_of(settings);
  if (!request || !settings.draft.mtp) return request;
  const hwdb::TensorTraits* traits = hwdb::find_tensor_traits(shape.architecture);
  if (traits != nullptr && traits->state_rollback) request->rollback_copies = settings.draft.n_max;
  return request;
}

hwdb::Status set_context(const hwdb::CacheRecipe& recipe, const hwdb::CacheRequest& request,
                         PlanBasis* basis) {
  const std::size_t n_layers = basis->sums.size() - 1;
  std::vector<hwdb::LayerCache> cache(n_layers);
  const auto filled = hwdb::fill_layer_caches(recipe, request, cache);
  if (!filled) return filled.error();
  ComputeRequest& compute = basis->compute;
  compute.cells = hwdb::context_per_sequence(request);
  compute.window_cells = 0;
  basis->window_kv = 0;
  for (std::size_t i = 0; i < n_layers; ++i) {
    const LayerSums& before = basis->sums[i];
    LayerSums& s = basis->sums[i + 1];
    s.kv = before.kv + cache[i].kv.as_double();
    s.state = before.state + cache[i].state.as_double();
    const double window = basis->model->layers[i].window;
    const double depth = std::min(basis->decode_depth, static_cast<double>(cache[i].cells));
    // A recurrent state is read and written back.
    s.cache_read = before.cache_read +
                   hwdb::cache_bytes_read(cache[i].bytes_per_token, window, depth) +
                   2 * cache[i].state.as_double() / request.n_seq;
    if (window > 0) {
      compute.window_cells = std::max(compute.window_cells, cache[i].cells);
      basis->window_kv += cache[i].kv.as_double();
    } else if (cache[i].kv.value > 0) {
      compute.cells = cache[i].cells;
    }
  }
  basis->state_copies = 1.0 + request.rollback_copies;
  const RunSettings& settings = *basis->settings;
  const std::uint64_t all_cells = compute.cells * (request.unified ? 1 : request.n_seq);
  compute.n_tokens = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::min(settings.n_ubatch, settings.n_batch), all_cells));
  compute.n_outputs = outputs_of(settings, compute.n_tokens);
  compute.n_seq = request.n_seq;
  compute.unified = request.unified;
  compute.flash_attn = request.flash_attn;
  compute.type_k = request.type_k;
  compute.type_v = request.type_v;
  return hwdb::Ok{};
}

hwdb::Result<PlanBasis> prepare(const PlanInputs& inputs) {
  static const Assumptions kDefaults;
  const Assumptions& assumptions = inputs.assumptions ? *inputs.assumptions : kDefaults;
  const Workload& w = inputs.workload;
  PlanBasis basis;
  basis.model = inputs.model;
  basis.machine = inputs.machine;
  basis.assumptions = &assumptions;
  basis.settings = &inputs.settings;
  basis.workload = &w;
  const double cached = std::clamp(w.cached_fraction, 0.0, 1.0) * std::max(0.0, w.n_prompt);
  basis.new_tokens = std::max(1.0, std::round(std::max(0.0, w.n_prompt) - cached));
  basis.prefill_depth = std::max(0.0, w.depth) + cached;
  basis.decode_depth =
      std::max(0.0, w.depth) + std::max(0.0, w.n_prompt) + std::max(0.0, w.n_gen) / 2;
  basis.batch = std::max(1u, w.batch);
  basis.host = host_rates(inputs, assumptions);
  add_gpus(inputs, assumptions, &basis);
  use_factors(*basis.host.factors, *inputs.model, inputs.settings, &basis.host);
  for (DeviceRates& gpu : basis.gpus)
    use_factors(*gpu.factors, *inputs.model, inputs.settings, &gpu);
  add_layers(inputs, &basis);
  basis.output_buffer = outputs_of_all(inputs.settings) *
                        static_cast<double>(inputs.model->shape.n_vocab) * sizeof(float);
  if (inputs.model->mtp_bytes > 0) basis.draft_blocks = inputs.model->shape.mtp_layers;
  basis.cache_known = !inputs.model->sizes_only;
  if (basis.cache_known) {
    const auto request = cache_request_of(inputs.settings, inputs.model->shape);
    if (!request) return request.error();
    basis.compute_memo = inputs.compute_memo;
    if (basis.compute_memo == nullptr) {
      basis.own_memo = std::make_unique<ComputeMemo>(inputs.model->shape);
      basis.compute_memo = basis.own_memo.get();
    }
    const hwdb::CacheRecipe* recipe = inputs.cache_recipe;
    std::optional<hwdb::CacheRecipe> own;
    if (recipe == nullptr) {
      auto made = hwdb::make_cache_recipe(inputs.model->shape, *request);
      if (!made) return made.error();
      recipe = &own.emplace(std::move(*made));
    }
    const auto status = set_context(*recipe, *request, &basis);
    if (!status) return status.error();
  }
  return basis;
}

}  // namespace planner
