// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hwdb/kv_cache.h"
#include "hwdb/op_counts.h"
#include "hwdb/result.h"
#include "planner/compute_memo.h"
#include "planner/make_plan.h"

namespace planner {

/// A device in the plain numbers that the stages calculate with.
struct DeviceRates {
  std::int32_t gpu = -1;  // index into the machine's GPUs; -1: the processors
  double bandwidth = 0;   // bytes per second of the spec; 0: unknown
  double peak = 0;        // FLOPs per second; 0: unknown
  double host_link = 0;   // bytes per second, one way; 0: none needed or unknown
  bool shares_host_memory = false;
  bool fuses = false;  // runs llama.cpp's CUDA backend, or ROCm, which is the same code
  const hwdb::SpeedFactorRow* factor = nullptr;
  hwdb::Basis basis = hwdb::Basis::modelled;  // the weakest of its figures and of the factors
  double budget = 0;                          // bytes it can give
  double overhead = 0;                        // driver context, once the device is used
};

/// Sums over the first i layers, i = 0..n_layers: any range of layers then costs two look-ups.
struct LayerSums {
  double weights = 0;        // without routed experts, bytes
  double experts = 0;        // bytes
  double kv = 0, state = 0;  // allocated bytes
  double cache_read = 0;     // bytes of one sequence's decode step at `decode_depth`
  double dense_flops = 0, expert_flops = 0;  // of one token
  double decode_attention_flops = 0;         // of one token at `decode_depth`
  double prefill_attention_flops = 0;        // of all new prompt tokens
  double moe_layers = 0;
};

/// What every stage starts from: the question in numbers. Made by prepare(); points into the
/// inputs, which must outlive it.
struct PlanBasis {
  const hwdb::ModelCosts* model = nullptr;
  const hwdb::Machine* machine = nullptr;
  const Assumptions* assumptions = nullptr;
  RunSettings const* settings = nullptr;
  Workload const* workload = nullptr;
  std::vector<DeviceRates> gpus;  // those that may be used, in the machine's order
  DeviceRates host;
  std::vector<LayerSums> sums;          // n_layers + 1
  ComputeRequest compute;               // one micro-batch
  ComputeMemo* compute_memo = nullptr;  // the inputs' own, or `own_memo`
  std::unique_ptr<ComputeMemo> own_memo;
  double output_buffer = 0;
  double new_tokens = 1;     // prompt tokens that have to be computed
  double prefill_depth = 0;  // tokens in the cache before them
  double decode_depth = 0;   // mean while the answer is written
  double batch = 1;
  bool cache_known = true;

  std::uint32_t n_layers() const { return static_cast<std::uint32_t>(sums.size() - 1); }
};

/// Errors: model.overflow, model.range, cache.type, usage.value (a cache type that is no tensor
/// type).
hwdb::Result<PlanBasis> prepare(const PlanInputs& inputs);

/// The same with another context: for searches. `recipe` and the rest of the basis stay.
hwdb::Status set_context(const hwdb::CacheRecipe& recipe, const hwdb::CacheRequest& request,
                         PlanBasis* basis);

/// Cells that `n` tokens see together when they follow `depth` tokens, each seeing itself, what was
/// before, and at most `window` tokens (0: all).
double visible_cells(double depth, double n, double window);

}  // namespace planner
