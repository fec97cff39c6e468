// SPDX-License-Identifier: MIT
#include "planner/memory_plan.h"

#include <algorithm>
#include <cmath>

namespace planner {
namespace {

bool any_on_gpu(const Placement& placement) {
  return placement.n_gpu_layers > 0 && !placement.layers_on_gpu.empty();
}

// The output and the last block share a device: the last GPU that has a block.
std::size_t output_gpu(const Placement& placement) {
  std::size_t last = 0;
  for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g)
    if (placement.layers_on_gpu[g] > 0) last = g;
  return last;
}

// A GPU copies host weights into its own scratch to multiply large batches by them, one tensor at a
// time; a third of a feed-forward is one of its matrices.
double scratch_for_host_weights(const PlanBasis& basis, const Placement& placement) {
  const hwdb::ModelCosts& model = *basis.model;
  double largest = 0;
  if (!placement.output_on_gpu) largest = static_cast<double>(model.output_bytes);
  const std::uint32_t first = first_gpu_block(basis, placement);
  if (first > 0) {
    const hwdb::LayerCosts& layer = model.layers[first - 1];
    largest = std::max({largest, static_cast<double>(layer.dense_ffn_bytes) / 3,
                        static_cast<double>(layer.expert_bytes) / 3});
  }
  if (placement.n_cpu_moe > 0 && !model.layers.empty()) {
    const std::uint32_t last = std::min(placement.n_cpu_moe, basis.n_layers());
    largest = std::max(largest, static_cast<double>(model.layers[last - 1].expert_bytes) / 3);
  }
  return largest;
}

hwdb::Bytes to_bytes(double value) {
  return hwdb::Bytes(value <= 0 ? 0 : static_cast<std::uint64_t>(std::llround(value)));
}

void fill(const DeviceBytes& from, DeviceMemory* to) {
  to->weights = to_bytes(from.weights);
  to->kv_cache = to_bytes(from.kv);
  to->state = to_bytes(from.state);
  to->compute = to_bytes(from.compute);
  to->output = to_bytes(from.output);
  to->overhead = to_bytes(from.overhead);
}

}  // namespace

std::uint32_t first_gpu_block(const PlanBasis& basis, const Placement& placement) {
  const std::uint32_t n = basis.n_layers();
  return any_on_gpu(placement) ? n - std::min(n, placement.n_gpu_layers) : n;
}

DeviceBytes gpu_bytes(const PlanBasis& basis, const Placement& placement, std::size_t which,
                      std::uint32_t first, std::uint32_t last) {
  DeviceBytes bytes;
  const bool has_output = placement.output_on_gpu && which == output_gpu(placement);
  if (first == last && !has_output) return bytes;
  const LayerSums &a = basis.sums[first], &b = basis.sums[last];
  const std::uint32_t moe_from = std::clamp(placement.n_cpu_moe, first, last);
  bytes.weights = b.weights - a.weights + b.experts - basis.sums[moe_from].experts;
  bytes.kv = b.kv - a.kv;
  bytes.state = b.state - a.state;
  bytes.compute = basis.compute.blocks;
  if (has_output) {
    bytes.weights += static_cast<double>(basis.model->output_bytes);
    bytes.compute = std::max(basis.compute.blocks, basis.compute.output);
  }
  if (!basis.gpus[which].shares_host_memory)
    bytes.compute += scratch_for_host_weights(basis, placement);
  // Layers on several GPUs run as a pipeline of micro-batches: four copies of the inputs.
  if (basis.gpus.size() > 1 && placement.layers_on_gpu.size() > 1 &&
      placement.layers_on_gpu[which] < basis.n_layers())
    bytes.compute += 3 * basis.compute.inputs;
  bytes.overhead = basis.gpus[which].overhead;
  return bytes;
}

DeviceBytes host_bytes(const PlanBasis& basis, const Placement& placement) {
  DeviceBytes bytes;
  const std::uint32_t first = first_gpu_block(basis, placement);
  const LayerSums& low = basis.sums[first];
  const std::uint32_t moe_end = std::max(first, std::min(placement.n_cpu_moe, basis.n_layers()));
  bytes.weights =
      static_cast<double>(basis.model->embedding_bytes) + low.weights + basis.sums[moe_end].experts;
  // A tied vocabulary matrix that stays here is the embedding itself.
  if (!placement.output_on_gpu && !basis.model->output_is_tied)
    bytes.weights += static_cast<double>(basis.model->output_bytes);
  bytes.kv = low.kv;
  bytes.state = low.state;
  bytes.output = basis.output_buffer;
  if (!any_on_gpu(placement)) {
    bytes.compute = std::max(basis.compute.blocks, basis.compute.output);
  } else {
    bytes.compute = basis.compute.inputs;
    if (first > 0 || placement.n_cpu_moe > 0)
      bytes.compute = std::max(bytes.compute, basis.compute.blocks);
    if (!placement.output_on_gpu) bytes.compute = std::max(bytes.compute, basis.compute.output);
  }
  return bytes;
}

FitCheck check_fit(const PlanBasis& basis, const Placement& placement) {
  FitCheck check;
  const double margin = basis.assumptions->margin_gpu.as_double();
  bool tight = false;
  double shared = 0;
  std::uint32_t first = first_gpu_block(basis, placement);
  const bool whole = placement.output_on_gpu && first == 0 && placement.n_cpu_moe == 0;
  for (std::size_t g = 0; g < placement.layers_on_gpu.size() && any_on_gpu(placement); ++g) {
    const std::uint32_t last = first + placement.layers_on_gpu[g];
    const double total = gpu_bytes(basis, placement, g, first, last).total();
    first = last;
    if (total <= 0) continue;
    check.shortfall += std::max(0.0, total - basis.gpus[g].budget);
    tight = tight || total + margin > basis.gpus[g].budget;
    if (basis.gpus[g].shares_host_memory) shared += total;
  }
  const double host = host_bytes(basis, placement).total() + shared;
  check.shortfall += std::max(0.0, host - basis.host.budget);
  if (check.shortfall > 0) {
    check.fits = Fits::no;
  } else if (!any_on_gpu(placement)) {
    check.fits = Fits::cpu;
  } else if (!whole) {
    check.fits = Fits::offload;
  } else {
    check.fits = tight ? Fits::gpu_tight : Fits::gpu;
  }
  return check;
}

MemoryPlan plan_memory(const PlanBasis& basis, const Placement& placement) {
  MemoryPlan plan;
  plan.margin = basis.assumptions->margin_gpu;
  plan.devices.reserve(basis.gpus.size() + 1);
  double shared = 0;
  std::uint32_t first = first_gpu_block(basis, placement);
  for (std::size_t g = 0; g < placement.layers_on_gpu.size() && any_on_gpu(placement); ++g) {
    const std::uint32_t last = first + placement.layers_on_gpu[g];
    const DeviceBytes bytes = gpu_bytes(basis, placement, g, first, last);
    first = last;
    if (bytes.total() <= 0) continue;
    const DeviceRates& rates = basis.gpus[g];
    DeviceMemory& device = plan.devices.emplace_back();
    device.device = basis.machine->gpus[static_cast<std::size_t>(rates.gpu)].name;
    device.is_gpu = true;
    device.budget = to_bytes(rates.budget);
    fill(bytes, &device);
    if (rates.shares_host_memory) shared += bytes.total();
  }
  DeviceMemory& host = plan.devices.emplace_back();
  host.device = "CPU";
  host.budget = to_bytes(basis.host.budget - shared);
  fill(host_bytes(basis, placement), &host);
  const FitCheck check = check_fit(basis, placement);
  plan.fits = check.fits;
  plan.shortfall = to_bytes(std::ceil(check.shortfall));
  return plan;
}

}  // namespace planner
