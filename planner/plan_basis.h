// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "hwdb/kv_cache.h"
#include "hwdb/op_counts.h"
#include "hwdb/result.h"
#include "hwdb/tensor_overrides.h"
#include "hwdb/tensor_slices.h"
#include "planner/graph/compute_memo.h"
#include "planner/make_plan.h"

namespace planner {

/// Bytes on one device, in plain numbers.
struct DeviceBytes {
  double weights = 0, kv = 0, state = 0, compute = 0, output = 0, overhead = 0;
  double total() const { return weights + kv + state + compute + output + overhead; }
  void add(const DeviceBytes& more);
};

/// A device in the plain numbers that the stages calculate with.
struct DeviceRates {
  std::int32_t gpu = -1;      // index into the machine's GPUs; -1: the processors
  double bandwidth = 0;       // bytes per second of the spec; 0: unknown
  double peak = 0;            // FLOPs per second; 0: unknown
  double power_share = 1;     // of its rated watts that it may draw
  double watts_per_flop = 0;  // of the power limit and the peak; 0: not told, or no card
  double sync_share = 1;      // of `product_s` that counts: processors by their threads
  double dispatch = 0;        // seconds of a product
  double host_link = 0;       // bytes per second, one way; 0: none needed or unknown
  bool shares_host_memory = false;
  bool fuses = false;  // runs llama.cpp's CUDA backend, or ROCm, which is the same code
  const DeviceFactors* factors = nullptr;
  /// Rates that the factors give with this model's tensor types, per second.
  struct Role {
    double read = 0;    // bytes
    double vector = 0;  // FLOPs, few tokens
    double matmul = 0;  // FLOPs, many tokens
  };
  Role dense, experts, output;
  double cache_read = 0, activation = 0;      // bytes
  double attention = 0;                       // FLOPs
  const Calibration* calibration = nullptr;   // where the factors are this machine's own
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
  double products = 0;                           // matrix products of a pass
  double activations = 0;                        // bytes of one token
  double decode_scores = 0, prefill_scores = 0;  // query heads times cells, as the FLOPs
};

/// What overrides move to one device, as sums over the first i layers, i = 0..n_layers.
struct MovedSums {
  struct At {
    double dense = 0, experts = 0;             // bytes
    double dense_flops = 0, expert_flops = 0;  // of one token
    double groups = 0;  // runs of such work within a layer: each is handed over and back
  };
  std::int32_t device = hwdb::kHostDevice;  // index into PlanBasis::gpus
  std::vector<At> sums;
  double output_bytes = 0, output_flops = 0, embedding_bytes = 0;
  double largest_bytes = 0;         // of one tensor outside the experts
  std::uint32_t expert_layers = 0;  // behind the last layer with moved experts
  At between(std::uint32_t first, std::uint32_t last) const;
};

/// What is elsewhere than its layer, and what is loaded beside the model.
struct PlanExtras {
  std::vector<MovedSums> moved;
  const hwdb::TensorSlices* slices = nullptr;
  std::vector<DeviceBytes> gpus;  // beside the model, one each of PlanBasis::gpus
  DeviceBytes host;
  std::vector<AttachedMemory> attached;  // the same, by what it is
  double draft_step_s = 0;  // seconds of drafting one token in each sequence; 0: nothing drafts
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
  double window_kv = 0;            // of the layers with a window, bytes
  double state_copies = 1;         // recurrent states kept for a sequence
  std::uint32_t draft_blocks = 0;  // built-in draft layers of the file: -ngl counts them
  bool cache_known = true;
  std::unique_ptr<PlanExtras> extras;  // null in the usual plan

  std::uint32_t n_layers() const { return static_cast<std::uint32_t>(sums.size() - 1); }
};

/// The GPUs that a plan uses, as indices into the machine's, in order: discrete ones where there
/// are any, else those that share memory; the main one alone under split mode none.
struct GpusInUse {
  std::array<std::size_t, kMaxGraphDevices> index{};
  std::size_t count = 0;
  std::span<const std::size_t> list() const { return {index.data(), count}; }
};
GpusInUse gpus_in_use(const RunSettings& settings, const hwdb::Machine& machine);

/// Errors: model.overflow, model.range, cache.type, usage.value (a cache type that is no tensor
/// type).
hwdb::Result<PlanBasis> prepare(const PlanInputs& inputs);

/// Gives a device these factors, and the rates that follow with a model's tensor types and the
/// cache's: for fits. The factors must outlive the basis.
void use_factors(const DeviceFactors& factors, const hwdb::ModelCosts& model,
                 const RunSettings& settings, DeviceRates* device);

/// The same with another context: for searches. `recipe` and the rest of the basis stay.
hwdb::Status set_context(const hwdb::CacheRecipe& recipe, const hwdb::CacheRequest& request,
                         PlanBasis* basis);

/// Cells that `n` tokens see together when they follow `depth` tokens, each seeing itself, what was
/// before, and at most `window` tokens (0: all).
double visible_cells(double depth, double n, double window);

}  // namespace planner
