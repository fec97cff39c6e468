// SPDX-License-Identifier: MIT
#include "planner/memory_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "planner/host_memory.h"
#include "planner/plan_extras.h"

namespace planner {
namespace {

// Sums stay exact enough and far from 64 bits below this.
constexpr double kMaxBytes = 4.0e18;

bool any_on_gpu(const Placement& placement) {
  return placement.n_gpu_layers > 0 && !placement.layers_on_gpu.empty();
}

// Several GPUs with the whole model on them work as a pipeline of micro-batches: every input is
// there this many times.
constexpr std::uint32_t kPipelineCopies = 4;

ComputePlacement compute_placement(const PlanBasis& basis, const Placement& placement) {
  ComputePlacement p;
  p.largest = basis.model->largest;
  if (!any_on_gpu(placement) && !placement.borrows_gpu) return p;
  p.n_gpus = static_cast<std::uint32_t>(basis.gpus.size());
  p.first_gpu_layer = first_gpu_block(basis, placement);
  std::ranges::copy(placement.layers_on_gpu, p.layers_on_gpu.begin());
  p.output_on_gpu = placement.output_on_gpu;
  p.n_cpu_moe = placement.n_cpu_moe;
  p.fuses = std::ranges::any_of(basis.gpus, &DeviceRates::fuses);
  p.cache_on_host = basis.settings->kv_on_host;
  if (basis.extras) {
    for (const MovedSums& moved : basis.extras->moved)
      if (moved.device == hwdb::kHostDevice)
        p.n_cpu_moe = std::max(p.n_cpu_moe, moved.expert_layers);
  }
  // All GPUs form one device when every matrix is split by heads.
  if (basis.extras && basis.extras->slices != nullptr &&
      basis.extras->slices->rule == hwdb::SliceRule::heads) {
    p.layers_on_gpu = {};
    p.layers_on_gpu[0] = basis.n_layers() - p.first_gpu_layer;
    p.n_gpus = 1;
  }
  const bool whole = p.output_on_gpu && p.first_gpu_layer == 0 && p.n_cpu_moe == 0 &&
                     !p.cache_on_host && !any_moved_to_host(basis);
  if (p.n_gpus > 1 && whole && basis.settings->split_mode == SplitMode::layer)
    p.n_copies = kPipelineCopies;
  return p;
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
  std::uint32_t first = basis.n_layers();
  for (const std::uint32_t layers : placement.layers_on_gpu) first -= std::min(first, layers);
  return first;
}

DeviceBytes block_bytes(const PlanBasis& basis, std::uint32_t first, std::uint32_t last,
                        std::uint32_t n_cpu_moe) {
  DeviceBytes bytes;
  const LayerSums &a = basis.sums[first], &b = basis.sums[last];
  const std::uint32_t moe_from = std::clamp(n_cpu_moe, first, last);
  bytes.weights = b.weights - a.weights + b.experts - basis.sums[moe_from].experts;
  bytes.kv = b.kv - a.kv;
  bytes.state = b.state - a.state;
  return bytes;
}

GraphBuffers graph_buffers(const PlanBasis& basis, const Placement& placement) {
  if (!basis.cache_known) return {};
  return basis.compute_memo->find(basis.compute, compute_placement(basis, placement));
}

PlacedBytes placed_bytes(const PlanBasis& basis, const Placement& placement) {
  return placed_bytes(basis, placement, graph_buffers(basis, placement));
}

PlacedBytes placed_bytes(const PlanBasis& basis, const Placement& placement,
                         const GraphBuffers& buffers) {
  PlacedBytes placed;
  const std::uint32_t first_on_gpu = first_gpu_block(basis, placement);
  std::uint32_t first = first_on_gpu;
  for (std::size_t g = 0; g < placement.layers_on_gpu.size() && any_on_gpu(placement); ++g) {
    const std::uint32_t last = first + placement.layers_on_gpu[g];
    const bool has_output = placement.output_on_gpu && g == placement.output_gpu;
    if (first == last && !has_output) continue;
    DeviceBytes& bytes = placed.gpu[g];
    bytes = block_bytes(basis, first, last, placement.n_cpu_moe);
    if (has_output) bytes.weights += static_cast<double>(basis.model->output_bytes);
    bytes.compute = buffers.gpu[g].as_double();
    bytes.overhead = basis.gpus[g].overhead;
    first = last;
  }
  if (placement.borrows_gpu) {
    placed.gpu[0].compute = buffers.gpu[0].as_double();
    placed.gpu[0].overhead = basis.gpus[0].overhead;
  }

  const LayerSums& low = basis.sums[first_on_gpu];
  const std::uint32_t moe_end =
      std::max(first_on_gpu, std::min(placement.n_cpu_moe, basis.n_layers()));
  placed.host.weights =
      static_cast<double>(basis.model->embedding_bytes) + low.weights + basis.sums[moe_end].experts;
  // A tied vocabulary matrix that stays here is the embedding itself.
  if (!placement.output_on_gpu)
    placed.host.weights += static_cast<double>(basis.model->output_bytes - basis.model->tied_bytes);
  placed.host.kv = low.kv;
  placed.host.state = low.state;
  placed.host.compute = buffers.host.as_double();
  placed.host.output = basis.output_buffer;
  if (basis.settings->kv_on_host) {
    for (DeviceBytes& gpu : placed.gpu) {
      placed.host.kv += std::exchange(gpu.kv, 0);
      placed.host.state += std::exchange(gpu.state, 0);
    }
  }
  if (basis.extras) apply_extras(basis, placement, &placed);
  return placed;
}

FitCheck check_fit(const PlanBasis& basis, const Placement& placement) {
  return check_fit(basis, placement, placed_bytes(basis, placement));
}

FitCheck check_fit(const PlanBasis& basis, const Placement& placement, const PlacedBytes& bytes) {
  FitCheck check;
  const double margin = basis.assumptions->margin_gpu.as_double();
  bool tight = false;
  double shared = 0;
  const bool whole = placement.output_on_gpu && first_gpu_block(basis, placement) == 0 &&
                     placement.n_cpu_moe == 0 && !basis.settings->kv_on_host &&
                     !any_moved_to_host(basis);
  for (std::size_t g = 0; g < basis.gpus.size(); ++g) {
    const double total = bytes.gpu[g].total();
    if (total <= 0) continue;
    check.shortfall += std::max(0.0, total - basis.gpus[g].budget);
    tight = tight || total + margin > basis.gpus[g].budget;
    if (basis.gpus[g].shares_host_memory) shared += total;
  }
  const double host = bytes.host.total() + shared;
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

hwdb::Result<MemoryPlan> plan_memory(const PlanBasis& basis, const Placement& placement) {
  const PlacedBytes bytes = placed_bytes(basis, placement);
  double sum = bytes.host.total();
  for (const DeviceBytes& gpu : bytes.gpu) sum += gpu.total();
  if (!(sum < kMaxBytes))
    return hwdb::Error{"model.overflow", "cache and buffers pass 62 bits", "n_ctx",
                       "a smaller -c or -ub"};
  MemoryPlan plan;
  plan.margin = basis.assumptions->margin_gpu;
  plan.devices.reserve(basis.gpus.size() + 1);
  double shared = 0;
  for (std::size_t g = 0; g < basis.gpus.size(); ++g) {
    if (bytes.gpu[g].total() <= 0) continue;
    const DeviceRates& rates = basis.gpus[g];
    DeviceMemory& device = plan.devices.emplace_back();
    device.device = basis.machine->gpus[static_cast<std::size_t>(rates.gpu)].name;
    device.is_gpu = true;
    device.budget = to_bytes(rates.budget);
    fill(bytes.gpu[g], &device);
    if (rates.shares_host_memory) shared += bytes.gpu[g].total();
  }
  DeviceMemory& host = plan.devices.emplace_back();
  host.device = "CPU";
  host.budget = to_bytes(basis.host.budget - shared);
  fill(bytes.host, &host);
  plan.host = host_memory(basis, bytes.host);
  if (basis.extras) plan.attached = basis.extras->attached;
  const FitCheck check = check_fit(basis, placement, bytes);
  plan.fits = check.fits;
  plan.shortfall = to_bytes(std::ceil(check.shortfall));
  return plan;
}

}  // namespace planner
