// SPDX-License-Identifier: MIT
#include "planner/headroom.h"

#include <algorithm>

#include "planner/memory_plan.h"
#include "planner/placement.h"
#include "planner/plan_extras.h"
#include "planner/preset_costs.h"

namespace planner {
namespace {

constexpr std::uint32_t kMaxSequences = 1024;

/// The largest value in [1, n] that `ok` accepts, when it accepts all below too; 0 when not even 1.
template <class Ok>
std::uint64_t largest_of(std::uint64_t n, const Ok& ok) {
  std::uint64_t low = 0, high = n;
  while (low < high) {
    const std::uint64_t mid = low + (high - low + 1) / 2;
    if (ok(mid)) {
      low = mid;
    } else {
      high = mid - 1;
    }
  }
  return low;
}

bool fits_so(const PlanInputs& inputs, Fits fits) {
  const auto basis = prepare_all(inputs);
  return basis && fits_as_well_as(*basis, fits);
}

}  // namespace

Headroom headroom(const PlanInputs& inputs, Fits fits, std::uint64_t context_limit,
                  const std::vector<std::string_view>& presets) {
  Headroom room;
  room.fits = fits;
  if (inputs.model->sizes_only) return room;
  PlanInputs one = inputs;
  std::optional<ComputeMemo> own;
  if (one.compute_memo == nullptr) one.compute_memo = &own.emplace(one.model->shape);
  room.max_ctx = largest_context(one, fits, context_limit);

  const std::uint32_t n_seq = std::max(1u, inputs.settings.n_seq);
  const std::uint64_t each = inputs.settings.n_ctx / n_seq;
  room.max_n_seq = static_cast<std::uint32_t>(largest_of(kMaxSequences, [&](std::uint64_t n) {
    one.settings.n_seq = static_cast<std::uint32_t>(n);
    one.settings.n_ctx = n * each;
    return fits_so(one, fits);
  }));
  one.settings = inputs.settings;

  PresetCosts costs_of(inputs.model->shape);
  const auto costs_at = [&](std::uint64_t from_smallest) {
    return costs_of.find(presets[presets.size() - from_smallest]);
  };
  // Overrides and slices are bytes of the quantization at hand.
  const Attachments* attached = inputs.attachments;
  const bool fixed = attached != nullptr &&
                     ((attached->moved && !attached->moved->cpu_moe_layers) || attached->slices);
  const std::uint64_t found = largest_of(fixed ? 0 : presets.size(), [&](std::uint64_t i) {
    const auto costs = costs_at(i);
    if (!costs) return false;
    one.model = &*costs;
    return fits_so(one, fits);
  });
  one.model = inputs.model;
  if (found > 0) {
    room.largest_quant = presets[presets.size() - found];
    if (const auto costs = costs_at(found))
      room.largest_quant_bytes = hwdb::Bytes(costs->file_bytes);
  }

  const auto basis = prepare_all(one);
  if (!basis || basis->gpus.empty() || (fits != Fits::gpu && fits != Fits::gpu_tight)) return room;
  const double margin = fits == Fits::gpu ? basis->assumptions->margin_gpu.as_double() : 0;
  const Placement layers = most_layers(*basis, 0, margin);
  if (check_fit(*basis, layers).fits != Fits::no)
    room.fewest_cpu_layers = first_gpu_block(*basis, layers);
  const auto experts = fewest_cpu_experts(*basis, margin);
  if (experts && check_fit(*basis, *experts).fits != Fits::no)
    room.fewest_cpu_expert_layers = experts->n_cpu_moe;
  return room;
}

}  // namespace planner
