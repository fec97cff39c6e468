// SPDX-License-Identifier: MIT
#include "planner/placement.h"

#include <algorithm>
#include <optional>

#include "planner/memory_plan.h"
#include "planner/speed_estimate.h"

namespace planner {
namespace {

// llama.cpp's own rule: of n things in order (blocks, built-in draft layers, the output), thing i
// goes to the first device whose cumulated share is above i / n, in its 32-bit arithmetic.
void spread_by_share(const std::vector<double>& shares, std::uint32_t blocks,
                     std::uint32_t draft_blocks, Placement* placement) {
  const std::size_t n_gpus = shares.size();
  float sum = 0;
  for (const double share : shares) sum += static_cast<float>(share);
  const auto n = static_cast<float>(blocks + draft_blocks + 1);
  const std::uint32_t output = blocks + draft_blocks;
  float cumulated = 0;
  std::uint32_t first = 0;
  bool placed = false;
  for (std::size_t g = 0; g < n_gpus; ++g) {
    cumulated += static_cast<float>(shares[g]);
    const float until =
        sum > 0 ? cumulated / sum : static_cast<float>(g + 1) / static_cast<float>(n_gpus);
    // The first thing that is not below: by division as there, started where it must be near.
    auto end = static_cast<std::uint32_t>(std::clamp(until * n, 0.0F, n));
    while (end > 0 && !(static_cast<float>(end - 1) / n < until)) --end;
    while (end <= output && static_cast<float>(end) / n < until) ++end;
    if (g + 1 == n_gpus) end = output + 1;
    if (!placed && end > output) {
      placement->output_gpu = static_cast<std::uint32_t>(g);
      placed = true;
    }
    const std::uint32_t last = std::clamp(end, first, blocks);
    placement->layers_on_gpu[g] = last - first;
    first = last;
  }
}

bool overfills(const PlanBasis& basis, const Placement& placement, const PlacedBytes& bytes,
               double margin) {
  for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g) {
    const double total = bytes.gpu[g].total();
    if (total > 0 && total + margin > basis.gpus[g].budget) return true;
  }
  return false;
}

bool overfills(const PlanBasis& basis, const Placement& placement, double margin) {
  return overfills(basis, placement, placed_bytes(basis, placement), margin);
}

// Each GPU takes as many blocks as it has room for, with `margin` left; the last takes the rest.
// Buffers are taken as they are in the placement at hand: they hardly depend on where a block ends.
void fill_in_order(const PlanBasis& basis, const PlacedBytes& now, double margin,
                   Placement* placement) {
  const std::uint32_t n = basis.n_layers();
  std::uint32_t first = first_gpu_block(basis, *placement);
  const std::size_t n_gpus = basis.gpus.size();
  double largest_compute = 0;
  for (std::size_t g = 0; g < n_gpus; ++g)
    largest_compute = std::max(largest_compute, now.gpu[g].compute);
  for (std::size_t g = 0; g < n_gpus; ++g) {
    const double buffers = (now.gpu[g].compute > 0 ? now.gpu[g].compute : largest_compute) +
                           basis.gpus[g].overhead + margin;
    std::uint32_t low = first, high = n;  // the answer lies in [low, high]
    while (low < high && g + 1 < n_gpus) {
      const std::uint32_t mid = low + (high - low + 1) / 2;
      const double blocks = block_bytes(basis, first, mid, placement->n_cpu_moe).total();
      if (blocks + buffers <= basis.gpus[g].budget) {
        low = mid;
      } else {
        high = mid - 1;
      }
    }
    if (g + 1 == n_gpus) low = n;
    placement->layers_on_gpu[g] = low - first;
    if (low > first) placement->output_gpu = static_cast<std::uint32_t>(g);
    first = low;
  }
}

// The shares that make llama.cpp place it so: of the blocks, and what goes with the output.
void set_split(const PlanBasis& basis, Placement* placement) {
  const std::size_t n_gpus = placement->layers_on_gpu.size();
  placement->tensor_split.assign(placement->layers_on_gpu.begin(), placement->layers_on_gpu.end());
  placement->tensor_split[placement->output_gpu] += 1 + basis.draft_blocks;
  const RunSettings& settings = *basis.settings;
  const bool given = settings.tensor_split.size() == n_gpus;
  for (std::size_t g = 0; g < n_gpus; ++g) {
    // Matrices that are cut have shares of their own: as given, else by memory or equal.
    if (settings.split_mode == SplitMode::row || settings.split_mode == SplitMode::tensor) {
      const double own = settings.split_mode == SplitMode::row ? basis.gpus[g].budget : 1.0;
      placement->tensor_split[g] = given ? settings.tensor_split[g] : own;
    }
  }
  double sum = 0;
  for (const double share : placement->tensor_split) sum += share;
  for (std::size_t g = 0; g < n_gpus; ++g) placement->tensor_split[g] /= sum;
}

// -ngl with everything on GPUs.
std::uint32_t all_layers(const PlanBasis& basis) {
  return basis.n_layers() + basis.draft_blocks + 1;
}

// Everything on one of several GPUs.
Placement on_one(const PlanBasis& basis, std::size_t which) {
  Placement placement;
  placement.n_gpu_layers = all_layers(basis);
  placement.output_on_gpu = true;
  placement.output_gpu = static_cast<std::uint32_t>(which);
  placement.layers_on_gpu.assign(basis.gpus.size(), 0);
  placement.layers_on_gpu[which] = basis.n_layers();
  set_split(basis, &placement);
  return placement;
}

bool has_room(const PlanBasis& basis, const Placement& placement) {
  return check_fit(basis, placement).fits != Fits::no;
}

// The largest value in [0, n] for which `make`'s placement leaves `margin` on every GPU; absent
// when not even 0 does. Searched with the buffers of one placement, then settled with its own:
// those take the longest to work out and differ little between neighbours.
template <class Make>
std::optional<std::uint32_t> largest(const PlanBasis& basis, std::uint32_t n, double margin,
                                     const Make& make) {
  const auto search = [&](const GraphBuffers& buffers) {
    std::uint32_t low = 0, high = n;
    while (low < high) {
      const std::uint32_t mid = low + (high - low + 1) / 2;
      const Placement placement = make(mid);
      if (!overfills(basis, placement, placed_bytes(basis, placement, buffers), margin)) {
        low = mid;
      } else {
        high = mid - 1;
      }
    }
    return low;
  };
  std::uint32_t found = search(graph_buffers(basis, make(n)));
  found = search(graph_buffers(basis, make(found)));
  while (overfills(basis, make(found), margin)) {
    if (found == 0) return std::nullopt;
    --found;
  }
  return found;
}

class Best {
 public:
  explicit Best(const PlanBasis& basis) : basis_(basis) {}
  void offer(Placement placement) {
    if (!placement_) {
      placement_ = std::move(placement);  // its time is not needed while it stands alone
      return;
    }
    if (!seconds_) seconds_ = request_seconds(basis_, *placement_);
    const double seconds = request_seconds(basis_, placement);
    if (seconds >= *seconds_) return;
    seconds_ = seconds;
    placement_ = std::move(placement);
  }
  const std::optional<Placement>& placement() const { return placement_; }

 private:
  const PlanBasis& basis_;
  std::optional<Placement> placement_;
  std::optional<double> seconds_;
};

}  // namespace

Placement place(const PlanBasis& basis, std::uint32_t n_gpu_layers, std::uint32_t n_cpu_moe) {
  Placement placement;
  const std::uint32_t n = basis.n_layers();
  if (basis.gpus.empty() || n_gpu_layers == 0) return placement;
  const std::size_t n_gpus = basis.gpus.size();
  // -ngl counts from the end: the output, the built-in draft layers, the last blocks.
  placement.n_gpu_layers = std::min(n_gpu_layers, all_layers(basis));
  placement.output_on_gpu = true;
  placement.n_cpu_moe = std::min(n_cpu_moe, n);
  const std::uint32_t draft_blocks = std::min(placement.n_gpu_layers - 1, basis.draft_blocks);
  const std::uint32_t blocks = placement.n_gpu_layers - 1 - draft_blocks;
  placement.layers_on_gpu.assign(n_gpus, 0);
  if (n_gpus == 1) {
    placement.layers_on_gpu[0] = blocks;
    placement.tensor_split.assign(1, 1.0);
    return placement;
  }
  const auto& given = basis.settings->tensor_split;
  if (given.size() == n_gpus) {
    spread_by_share(given, blocks, draft_blocks, &placement);
  } else {
    std::vector<double> free(n_gpus);
    for (std::size_t g = 0; g < n_gpus; ++g) free[g] = basis.gpus[g].budget;
    spread_by_share(free, blocks, draft_blocks, &placement);
    const double margin = basis.assumptions->margin_gpu.as_double();
    const PlacedBytes spread = placed_bytes(basis, placement);
    if (overfills(basis, placement, spread, margin)) {
      fill_in_order(basis, spread, margin, &placement);
      if (overfills(basis, placement, margin)) fill_in_order(basis, spread, 0, &placement);
    }
  }
  set_split(basis, &placement);
  return placement;
}

Placement most_layers(const PlanBasis& basis, std::uint32_t n_cpu_moe, double margin) {
  const auto n = largest(basis, all_layers(basis), margin,
                         [&](std::uint32_t layers) { return place(basis, layers, n_cpu_moe); });
  return place(basis, n.value_or(0), n_cpu_moe);
}

std::optional<Placement> fewest_cpu_experts(const PlanBasis& basis, double margin) {
  if (basis.sums.back().experts <= 0) return std::nullopt;
  const std::uint32_t n = basis.n_layers();
  const std::uint32_t all = all_layers(basis);
  const auto kept = largest(basis, n, margin,
                            [&](std::uint32_t layers) { return place(basis, all, n - layers); });
  if (!kept) return std::nullopt;
  return place(basis, all, n - *kept);
}

Placement choose_placement(const PlanBasis& basis) {
  const RunSettings& settings = *basis.settings;
  const double margin = basis.assumptions->margin_gpu.as_double();
  const std::uint32_t n = basis.n_layers();
  const bool moves = basis.extras != nullptr && !basis.extras->moved.empty();
  // Overrides that say where experts go leave nothing to choose about them.
  const bool moe_given = settings.n_cpu_moe || settings.cpu_moe || moves;
  const std::uint32_t given_moe = moves ? 0 : settings.cpu_moe ? n : settings.n_cpu_moe.value_or(0);
  if (settings.n_gpu_layers || basis.gpus.empty()) {
    const std::uint32_t wanted = basis.gpus.empty() ? 0 : *settings.n_gpu_layers;
    const bool search_moe = !moe_given && wanted > 0 && basis.sums.back().experts > 0;
    Placement placement = place(basis, wanted, given_moe);
    placement.chosen = false;
    placement.borrows_gpu =
        wanted == 0 && !basis.gpus.empty() && !basis.gpus.front().shares_host_memory;
    if (!search_moe || has_room(basis, placement)) {
      placement.chosen = basis.gpus.empty() && !settings.n_gpu_layers;
      return placement;
    }
    // Fewest layers with experts in RAM: the most that can stay is the complement.
    const auto kept = largest(
        basis, n, margin, [&](std::uint32_t layers) { return place(basis, wanted, n - layers); });
    return kept ? place(basis, wanted, n - *kept) : placement;
  }

  const std::uint32_t everything = all_layers(basis);
  const Placement all = place(basis, everything, given_moe);
  const bool all_fits = has_room(basis, all);
  // The common case needs no comparison: one kind of GPU that holds everything and is not the
  // processors' own memory.
  if (all_fits && basis.gpus.size() == 1 && !basis.gpus[0].shares_host_memory && given_moe == 0 &&
      !moves && !settings.kv_on_host)
    return all;

  Best best(basis);
  if (all_fits) best.offer(all);
  if (basis.gpus.size() > 1 && settings.tensor_split.empty() && given_moe == 0 &&
      settings.split_mode == SplitMode::layer && !moves) {
    const double weights = block_bytes(basis, 0, n, 0).total();
    for (std::size_t g = 0; g < basis.gpus.size(); ++g) {
      if (weights > basis.gpus[g].budget) continue;
      Placement one = on_one(basis, g);
      if (has_room(basis, one)) best.offer(std::move(one));
    }
  }
  if (!all_fits && basis.sums.back().experts > 0 && !moe_given) {
    const auto few = fewest_cpu_experts(basis, margin);
    Placement moe = few ? *few : most_layers(basis, n, margin);
    if (has_room(basis, moe)) best.offer(std::move(moe));
  }
  if (!best.placement()) {
    Placement part = most_layers(basis, given_moe, margin);
    if (has_room(basis, part)) best.offer(std::move(part));
  }
  if (!all_fits || basis.gpus[0].shares_host_memory) {
    const Placement none;
    if (has_room(basis, none)) best.offer(none);
  }
  if (best.placement()) return *best.placement();
  return most_layers(basis, given_moe, margin);
}

bool fits_as_well_as(const PlanBasis& basis, Fits grade) {
  const RunSettings& settings = *basis.settings;
  const bool on_gpu = grade == Fits::gpu || grade == Fits::gpu_tight;
  if (!on_gpu || settings.n_gpu_layers || settings.n_cpu_moe || settings.cpu_moe)
    return check_fit(basis, choose_placement(basis)).fits <= grade;
  if (basis.gpus.empty()) return false;
  if (check_fit(basis, place(basis, all_layers(basis), 0)).fits <= grade) return true;
  if (basis.gpus.size() < 2 || !settings.tensor_split.empty() ||
      settings.split_mode != SplitMode::layer) {
    return false;
  }
  for (std::size_t g = 0; g < basis.gpus.size(); ++g)
    if (check_fit(basis, on_one(basis, g)).fits <= grade) return true;
  return false;
}

}  // namespace planner
