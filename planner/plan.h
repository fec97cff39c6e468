// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/machine.h"
#include "hwdb/provenance.h"
#include "hwdb/rows.h"
#include "hwdb/units.h"
#include "planner/scenario.h"

/// Every record from Placement to Plan, in the order in which they are made. Plain data: no stage
/// asks a later one.
namespace planner {

/// A number with its band: 90 % of measurements should lie between low and high.
struct Estimate {
  double low = 0, likely = 0, high = 0;
  hwdb::Basis basis = hwdb::Basis::modelled;
};

/// Where the model goes. GPUs in the machine's order; what is not on a GPU is on the host.
struct Placement {
  std::uint32_t n_gpu_layers = 0;  // as -ngl: the output, draft layers, blocks from the end
  std::uint32_t n_cpu_moe = 0;     // layers whose experts stay in RAM, from the first
  std::vector<std::uint32_t> layers_on_gpu;  // blocks per GPU, in order
  std::vector<double> tensor_split;          // shares of the offloaded layers
  bool output_on_gpu = false;
  std::uint32_t output_gpu = 0;  // which one, when it is
  bool chosen = true;            // false: given by the user
  /// -ngl 0 beside a GPU: nothing stays on it, but long prompts are computed there.
  bool borrows_gpu = false;
};

/// Memory of one device, in the terms that llama.cpp prints.
struct DeviceMemory {
  std::string device;  // name; "CPU" for the host
  bool is_gpu = false;
  hwdb::Bytes weights, kv_cache, state, compute, output;
  hwdb::Bytes overhead;  // driver context, apart so that buffers can be held against a log
  hwdb::Bytes budget;    // what this device can give
  hwdb::Bytes total() const { return weights + kv_cache + state + compute + output + overhead; }
};

enum class Fits { gpu, gpu_tight, offload, cpu, no };
std::string_view to_string(Fits fits);

/// Something that is loaded beside the model, on one device. Its bytes are part of that device's.
struct AttachedMemory {
  enum class Kind { projector, adapter, draft_model, draft_layers };
  Kind kind = Kind::projector;
  std::string name;
  std::int32_t gpu = -1;  // index into the machine's GPUs; -1: the host
  hwdb::Bytes weights, cache, compute;
  bool weights_estimated = false;  // from a rank
  bool compute_bound = false;      // `compute` is an upper bound
};
std::string_view to_string(AttachedMemory::Kind kind);

/// Host memory by what the system may do with it, and what a server may take besides. None of
/// `prompt_cache` and `checkpoints` is part of the verdict.
struct HostMemory {
  hwdb::Bytes mapped;     // weights used from the file's pages: reclaimable unless locked
  hwdb::Bytes anonymous;  // weights in memory of the program: read, or in a second layout
  bool locked = false;    // mlock: never swapped out or reclaimed
  std::optional<hwdb::Bytes> prompt_cache;  // --cache-ram, at most; absent: no limit
  hwdb::Bytes checkpoint;                   // one context checkpoint of one sequence
  hwdb::Bytes checkpoints;                  // all of all slots, at most
};

struct MemoryPlan {
  std::vector<DeviceMemory> devices;  // GPUs first, host last
  Fits fits = Fits::no;
  hwdb::Bytes shortfall;  // what is missing when fits is no
  hwdb::Bytes margin;     // kept free per device before "fits" is said
  HostMemory host;
  std::vector<AttachedMemory> attached;  // empty in the usual plan
  hwdb::Bytes total() const;
};

enum class Bound { memory, compute, link, overhead };
std::string_view to_string(Bound bound);

/// One addend of a time, for --why: seconds and the figures it is made of.
struct TimeTerm {
  enum class Kind {
    weights,      // of the layers, without routed experts
    experts,      // routed experts
    output,       // the vocabulary's matrix
    cache,        // attention
    activations,  // between the products
    link,         // transfers between devices
    dispatch,     // of products
    draft,        // tokens that a smaller model proposes
    pass,         // of a whole pass
  };
  Kind kind = Kind::weights;
  Bound bound = Bound::memory;  // memory and link: amount in bytes; compute: FLOPs; else a number
  std::int32_t device = -1;     // index into the machine's GPUs; -1: host
  double amount = 0;
  double rate = 0;    // amount per second
  double factor = 1;  // achieved share of the ceiling (bandwidth or peak)
  double seconds = 0;
};

/// As JSON writes it: "weights", "cache"...
std::string_view to_string(TimeTerm::Kind kind);

struct SpeedEstimate {
  Estimate prefill_tok_per_s, decode_tok_per_s;  // of the whole batch together
  Bound prefill_bound = Bound::compute, decode_bound = Bound::memory;
  /// Where the bands come from: rows of the catalogue that the plan was made with; null: from the
  /// machine's own calibration, or from nothing.
  const hwdb::SpeedAccuracyRow *prefill_accuracy = nullptr, *decode_accuracy = nullptr;
  Estimate ttft_s;
  Estimate request_s;  // one request of the workload: its new prompt tokens and its answer
  std::vector<TimeTerm> prefill_terms,
      decode_terms;  // likely case; one prefill of n_prompt tokens, one decode step
};

/// Speeds behind `depth` tokens of context: a prompt of the workload's new tokens, and one step of
/// an answer.
struct SpeedAtDepth {
  double depth = 0;
  Estimate prefill_tok_per_s, decode_tok_per_s;
  /// As in SpeedEstimate: deep contexts may have rows of their own.
  const hwdb::SpeedAccuracyRow *prefill_accuracy = nullptr, *decode_accuracy = nullptr;
};

/// What one of `n` sequences gets of a speed that they share.
Estimate per_sequence(const Estimate& together, std::uint32_t n);

/// Decode speed of several sequences that are answered together.
struct SpeedAtBatch {
  std::uint32_t n_seq = 1;
  Estimate decode_tok_per_s;  // of all of them
  Estimate each_tok_per_s;
};

/// Watts at the wall of the whole machine, and what tokens cost in energy.
struct EnergyEstimate {
  Estimate idle_w, loaded_idle_w, prefill_w, decode_w;
  Estimate prefill_wh_per_mtok, decode_wh_per_mtok;
};

/// Money by the workload's duty and one tariff.
struct CostEstimate {
  std::string tariff_id, currency;
  double price_per_kwh = 0;  // marginal, tax and levies included
  std::string price_as_of, price_source;
  Estimate kwh_per_month, cost_per_month;
  double prefill_hours = 0, decode_hours = 0, loaded_idle_hours = 0;  // of a month
};

/// What an unknown architecture takes beyond its weights, at least and at most, and the terms that
/// are missing for more.
struct MemoryBounds {
  hwdb::Bytes cache_low, cache_high, compute_low, compute_high;
  std::vector<std::string> missing;
};

/// How far each setting alone can go while the others stay and the plan fits at least this well.
struct Headroom {
  Fits fits = Fits::gpu;
  std::uint64_t max_ctx = 0;    // of a sequence; 0: none
  std::uint32_t max_n_seq = 0;  // sequences, each with the plan's context; 0: none
  std::string largest_quant;    // "": none fits, or none was tried
  hwdb::Bytes largest_quant_bytes;
  /// Blocks (the output counts as one) that stay in RAM, and blocks of which only the experts do.
  /// Absent without a GPU, without experts, or where RAM is too small for the rest.
  std::optional<std::uint32_t> fewest_cpu_layers, fewest_cpu_expert_layers;
};

/// The answer. `ok` is false only with `error` set; "does not fit" is an answer.
struct Plan {
  std::string model_name, quant, machine_name;
  Scenario scenario;
  hwdb::Bytes file_size;
  Placement placement;
  MemoryPlan memory;
  SpeedEstimate speed;
  std::vector<SpeedAtDepth> speed_by_depth;  // at Scenario::depths; empty where nobody asked
  std::vector<SpeedAtBatch> speed_by_batch;  // fewest first; empty where nobody asked
  EnergyEstimate energy;
  CostEstimate cost;
  std::vector<Headroom> headroom;  // by grade of fit, strictest first; empty where nobody asked
  std::uint64_t max_ctx = 0;       // largest context with this placement's kind of fit; 0: none
  bool sizes_only = false;  // unknown architecture: cache and buffers are not in `memory`, and the
                            // verdict is on the weights alone
  std::optional<MemoryBounds> bounds;  // with sizes_only, where the file states enough
  bool speed_known = true;  // false: unknown architecture, or a device whose bandwidth nobody knows
  std::vector<std::string> notes;  // what was assumed or left out, in sentences
};

}  // namespace planner
