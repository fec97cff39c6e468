// SPDX-License-Identifier: MIT
#include "planner/plan_extras.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "hwdb/tensor_traits.h"
#include "planner/batch.h"
#include "planner/placement.h"
#include "planner/speed_estimate.h"

namespace planner {
namespace {

using hwdb::kHostDevice;

hwdb::Bytes to_bytes(double value) {
  return hwdb::Bytes(value <= 0 ? 0 : static_cast<std::uint64_t>(value + 0.5));
}

/// One run of blocks and who has them.
struct Segment {
  std::int32_t owner = kHostDevice;
  std::uint32_t first = 0, last = 0;
};

std::vector<Segment> segments_of(const PlanBasis& basis, const Placement& placement) {
  std::vector<Segment> segments;
  std::uint32_t first = first_gpu_block(basis, placement);
  if (first > 0) segments.push_back({kHostDevice, 0, first});
  for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g) {
    const std::uint32_t last = std::min(first + placement.layers_on_gpu[g], basis.n_layers());
    if (last > first) segments.push_back({static_cast<std::int32_t>(g), first, last});
    first = last;
  }
  return segments;
}

/// The GPU with the output; kHostDevice when it is not on one.
std::int32_t output_owner(const Placement& placement) {
  if (!placement.output_on_gpu) return kHostDevice;
  std::int32_t last = 0;
  for (std::size_t g = 0; g < placement.layers_on_gpu.size(); ++g)
    if (placement.layers_on_gpu[g] > 0) last = static_cast<std::int32_t>(g);
  return last;
}

DeviceBytes& device(PlacedBytes* placed, std::int32_t which) {
  return which == kHostDevice ? placed->host : placed->gpu[static_cast<std::size_t>(which)];
}

MovedSums& sums_for(std::int32_t device, std::uint32_t n_layers, PlanExtras* extras) {
  auto found = std::ranges::find(extras->moved, device, &MovedSums::device);
  if (found == extras->moved.end()) {
    MovedSums& sums = extras->moved.emplace_back();
    sums.device = device;
    sums.sums.resize(n_layers + 1);
    return sums;
  }
  return *found;
}

void add_moved(const hwdb::MovedTensors& moved, std::uint32_t n_layers, PlanExtras* extras) {
  using Place = hwdb::MovedPart::Place;
  for (const hwdb::MovedPart& part : moved.parts) {
    MovedSums& sums = sums_for(part.device, n_layers, extras);
    const auto bytes = static_cast<double>(part.bytes());
    if (part.place == Place::embedding) {
      sums.embedding_bytes += bytes;
    } else if (part.place == Place::output) {
      sums.output_bytes += bytes;
      sums.output_flops += part.output_flops_per_token;
    } else if (part.layer < n_layers) {
      MovedSums::At& at = sums.sums[part.layer + 1];  // made cumulative below
      at.dense += static_cast<double>(part.attention_bytes + part.dense_ffn_bytes);
      at.experts += static_cast<double>(part.expert_bytes);
      at.dense_flops += part.dense_flops_per_token;
      at.expert_flops += part.expert_flops_per_token;
      at.groups += (part.attention_bytes > 0 ? 1 : 0) +
                   (part.dense_ffn_bytes + part.expert_bytes > 0 ? 1 : 0);
      if (part.expert_bytes > 0) sums.expert_layers = std::max(sums.expert_layers, part.layer + 1);
      if (part.attention_bytes + part.dense_ffn_bytes > 0) {
        sums.largest_bytes = std::max(sums.largest_bytes, static_cast<double>(part.largest_bytes));
      }
    }
  }
  for (MovedSums& sums : extras->moved) {
    for (std::size_t i = 1; i < sums.sums.size(); ++i) {
      const MovedSums::At& before = sums.sums[i - 1];
      MovedSums::At& at = sums.sums[i];
      at.dense += before.dense, at.experts += before.experts;
      at.dense_flops += before.dense_flops, at.expert_flops += before.expert_flops;
      at.groups += before.groups;
    }
  }
}

/// An adapter's pairs lie with their matrices: they make each layer a little heavier.
void add_adapters(const std::vector<hwdb::AdapterCosts>& adapters, PlanBasis* basis) {
  for (const hwdb::AdapterCosts& adapter : adapters) {
    const auto total = static_cast<double>(adapter.total());
    const double flops_per_byte = total > 0 ? 2 * adapter.elements / total : 0;
    double sum = 0;
    for (std::size_t i = 0; i < adapter.layer_bytes.size() && i + 1 < basis->sums.size(); ++i) {
      sum += static_cast<double>(adapter.layer_bytes[i]);
      basis->sums[i + 1].weights += sum;
      basis->sums[i + 1].dense_flops += sum * flops_per_byte;
    }
    basis->extras->host.weights += static_cast<double>(adapter.embedding_bytes);
    // The output's pair goes where the output goes in a full offload.
    DeviceBytes& last =
        basis->gpus.empty() ? basis->extras->host : basis->extras->gpus[basis->gpus.size() - 1];
    last.weights += static_cast<double>(adapter.output_bytes);
    AttachedMemory memory;
    memory.kind = AttachedMemory::Kind::adapter;
    memory.name = adapter.name;
    memory.gpu = basis->gpus.empty() ? -1 : basis->gpus.back().gpu;
    memory.weights = hwdb::Bytes(adapter.total());
    memory.weights_estimated = adapter.estimated;
    basis->extras->attached.push_back(std::move(memory));
  }
}

/// llama.cpp loads all of a projector to the first GPU, or to the processor.
void add_projector(const hwdb::ProjectorCosts& projector, PlanBasis* basis) {
  const RunSettings& settings = *basis->settings;
  const bool on_gpu = settings.mmproj_on_gpu && !basis->gpus.empty();
  const std::uint64_t scratch =
      settings.flash_attn ? projector.scratch_bytes : projector.scratch_bytes_without_flash;
  DeviceBytes& home = on_gpu ? basis->extras->gpus.front() : basis->extras->host;
  home.weights += static_cast<double>(projector.weight_bytes);
  home.compute += static_cast<double>(scratch);
  AttachedMemory memory;
  memory.kind = AttachedMemory::Kind::projector;
  memory.name = projector.name;
  memory.gpu = on_gpu ? basis->gpus.front().gpu : -1;
  memory.weights = hwdb::Bytes(projector.weight_bytes);
  memory.compute = hwdb::Bytes(scratch);
  memory.compute_bound = true;
  basis->extras->attached.push_back(std::move(memory));
}

void attach(AttachedMemory::Kind kind, const std::string& name, const PlacedBytes& placed,
            PlanBasis* basis) {
  const auto one = [&](const DeviceBytes& bytes, std::int32_t gpu) {
    if (bytes.weights + bytes.kv + bytes.state + bytes.compute + bytes.output <= 0) return;
    AttachedMemory memory;
    memory.kind = kind;
    memory.name = name;
    memory.gpu = gpu;
    memory.weights = to_bytes(bytes.weights);
    memory.cache = to_bytes(bytes.kv + bytes.state);
    memory.compute = to_bytes(bytes.compute + bytes.output);
    basis->extras->attached.push_back(std::move(memory));
  };
  for (std::size_t g = 0; g < basis->gpus.size(); ++g) {
    DeviceBytes bytes = placed.gpu[g];
    bytes.overhead = 0;  // one process: the device's context is there once
    basis->extras->gpus[g].add(bytes);
    one(bytes, basis->gpus[g].gpu);
  }
  DeviceBytes host = placed.host;
  host.overhead = 0;
  basis->extras->host.add(host);
  one(host, -1);
}

/// The settings under which a drafting context runs: those of the model it drafts for, but for its
/// cache types (common_base_params_to_speculative, llama.cpp de3ff815).
RunSettings draft_settings(const RunSettings& settings) {
  RunSettings own = settings;
  own.cache_type_k = settings.draft.cache_type_k;
  own.cache_type_v = settings.draft.cache_type_v;
  if (settings.draft.n_ctx > 0) own.n_ctx = settings.draft.n_ctx;
  own.n_gpu_layers = settings.draft.n_gpu_layers.value_or(std::numeric_limits<std::int32_t>::max());
  own.n_cpu_moe = 0;
  own.override_tensor.clear();
  own.mmproj.clear();
  own.lora.clear();
  own.draft = {};
  own.n_outputs.reset();
  if (own.split_mode != SplitMode::none) own.split_mode = SplitMode::layer;
  return own;
}

hwdb::Status add_draft_model(const PlanInputs& inputs, const ResolvedModel& draft,
                             PlanBasis* basis) {
  PlanInputs own = inputs;
  own.model = &draft.costs;
  own.settings = draft_settings(inputs.settings);
  own.cache_recipe = nullptr;
  own.compute_memo = nullptr;
  own.attachments = nullptr;
  const auto second = prepare(own);
  if (!second) return second.error();
  const Placement placement = place(*second, *own.settings.n_gpu_layers, 0);
  basis->extras->draft_step_s = decode_step(*second, placement, nullptr).seconds();
  attach(AttachedMemory::Kind::draft_model, draft.name + " " + draft.costs.quant,
         placed_bytes(*second, placement), basis);
  return hwdb::Ok{};
}

/// The shape of the draft layers alone: blocks like the last one that attends.
hwdb::ModelShape draft_layers_shape(const hwdb::ModelShape& shape) {
  const auto layers = hwdb::layers_of(shape);
  const auto attends = [](const hwdb::LayerShape& layer) {
    return layer.kind != hwdb::LayerKind::recurrent && layer.kind != hwdb::LayerKind::none;
  };
  const auto last = std::find_if(layers.rbegin(), layers.rend(), attends);
  hwdb::ModelShape own = shape;
  own.n_layers = std::max(shape.mtp_layers, 1u);
  own.mtp_layers = 0;
  own.first_dense_layers = 0;
  own.moe_layer_step = 1;
  own.moe_layer_offset = 0;
  own.sliding_window = own.chunked_attention = 0;
  own.global_layers.clear();
  own.attention_layers.clear();
  own.hybrid = own.ssm_beside_attention = false;
  own.layer_pattern.clear();
  own.ssm.reset();
  own.kv_shared_layers = 0;
  own.per_layer_dim = 0;
  own.n_ff = shape.n_ff.at(shape.n_layers - 1);
  if (last != layers.rend()) {
    own.n_heads = last->n_heads;
    own.n_kv_heads = last->n_kv_heads;
    own.head_dim_k = last->head_dim_k;
    own.head_dim_v = last->head_dim_v;
  }
  return own;
}

/// One pass over the draft layers' weights and the output for each sequence. What they attend to is
/// small beside it.
double draft_layers_seconds(const hwdb::ModelCosts& model, std::int32_t home,
                            const PlanBasis& basis) {
  Work work;
  work.tokens = work.output_tokens = basis.batch;
  work.weight_bytes = static_cast<double>(model.mtp_bytes);
  if (model.bits_per_weight > 0)
    work.weight_flops = basis.batch * 2 * 8 * work.weight_bytes / model.bits_per_weight;
  work.output_bytes = static_cast<double>(model.output_bytes);
  work.output_flops = basis.batch * model.output_flops_per_token;
  TimeSum sum(nullptr);
  add_work(work, home < 0 ? basis.host : basis.gpus[static_cast<std::size_t>(home)], &sum);
  return sum.seconds();
}

/// llama.cpp opens a second context on the draft layers: their weights are part of the model's file
/// and lie behind its last block; the cache and the buffers are the context's own.
hwdb::Status add_draft_layers(const PlanInputs& inputs, PlanBasis* basis) {
  hwdb::ModelCosts costs;
  costs.shape = draft_layers_shape(inputs.model->shape);
  costs.layers.resize(costs.shape.n_layers);
  costs.largest = inputs.model->largest;
  PlanInputs own = inputs;
  own.model = &costs;
  own.settings = draft_settings(inputs.settings);
  // As the blocks before them: with any layer on a GPU these are.
  const std::uint32_t asked = inputs.settings.n_gpu_layers.value_or(1);
  own.settings.n_gpu_layers = asked > 0 ? std::numeric_limits<std::int32_t>::max() : 0;
  own.settings.tensor_split.clear();
  own.cache_recipe = nullptr;
  own.compute_memo = nullptr;
  own.attachments = nullptr;
  const auto second = prepare(own);
  if (!second) return second.error();
  Placement placement = place(*second, *own.settings.n_gpu_layers, 0);
  if (placement.layers_on_gpu.size() > 1) {
    std::ranges::fill(placement.layers_on_gpu, 0);
    placement.layers_on_gpu.back() = costs.shape.n_layers;
  }
  PlacedBytes placed = placed_bytes(*second, placement);
  const std::int32_t home = placement.layers_on_gpu.empty()
                                ? kHostDevice
                                : static_cast<std::int32_t>(placement.layers_on_gpu.size()) - 1;
  device(&placed, home).weights += static_cast<double>(inputs.model->mtp_bytes);
  basis->extras->draft_step_s = draft_layers_seconds(*inputs.model, home, *basis);
  attach(AttachedMemory::Kind::draft_layers, "draft layers", placed, basis);
  return hwdb::Ok{};
}

/// Where every GPU has a part of every layer.
void apply_slices(const PlanBasis& basis, const Placement& placement, PlacedBytes* placed) {
  const hwdb::TensorSlices& slices = *basis.extras->slices;
  const std::size_t n = slices.n_gpus;
  if (n != placement.layers_on_gpu.size() || placement.n_gpu_layers == 0) return;
  const bool heads = slices.rule == hwdb::SliceRule::heads;
  DeviceBytes whole;  // of the one device that all GPUs form under -sm tensor
  for (std::size_t g = 0; g < n; ++g) {
    DeviceBytes& bytes = placed->gpu[g];
    bytes.weights = 0;
    bytes.overhead = basis.gpus[g].overhead;
    whole.compute = std::max(whole.compute, bytes.compute);
    if (heads) bytes.kv = bytes.state = 0;
  }
  for (const Segment& segment : segments_of(basis, placement)) {
    if (segment.owner == kHostDevice) continue;
    const auto owner = static_cast<std::size_t>(segment.owner);
    for (std::uint32_t i = segment.first; i < segment.last; ++i) {
      const hwdb::TensorSlices::Layer& layer = slices.layers[i];
      const double kv = basis.sums[i + 1].kv - basis.sums[i].kv;
      const double state = basis.sums[i + 1].state - basis.sums[i].state;
      for (std::size_t g = 0; g < n; ++g) {
        DeviceBytes& bytes = placed->gpu[g];
        bytes.weights += static_cast<double>(layer.dense[owner * n + g]);
        if (i >= placement.n_cpu_moe)
          bytes.weights += static_cast<double>(layer.experts[owner * n + g]);
        if (!heads) continue;
        bytes.kv += kv * layer.kv_share[g];
        bytes.state += state * layer.state_share[g];
      }
    }
  }
  const std::int32_t output = output_owner(placement);
  for (std::size_t g = 0; g < n; ++g) {
    if (output != kHostDevice) {
      const std::size_t at = static_cast<std::size_t>(output) * n + g;
      placed->gpu[g].weights += static_cast<double>(slices.output[at]);
    }
    if (heads) placed->gpu[g].compute = whole.compute;
  }
}

void apply_moved(const PlanBasis& basis, const Placement& placement, PlacedBytes* placed) {
  const PlanExtras& extras = *basis.extras;
  const auto segments = segments_of(basis, placement);
  const std::int32_t output = output_owner(placement);
  double borrowed = 0;
  for (const MovedSums& moved : extras.moved) {
    DeviceBytes& to = device(placed, moved.device);
    for (const Segment& segment : segments) {
      if (segment.owner == moved.device) continue;
      const MovedSums::At part = moved.between(segment.first, segment.last);
      device(placed, segment.owner).weights -= part.dense + part.experts;
      to.weights += part.dense + part.experts;
    }
    // A tied table that stays on the host is the embedding itself and has no bytes of its own.
    const bool shared = basis.model->output_is_tied;
    if (moved.output_bytes > 0 && output != moved.device) {
      if (output != kHostDevice || !shared) device(placed, output).weights -= moved.output_bytes;
      if (moved.device != kHostDevice || !shared) to.weights += moved.output_bytes;
    }
    if (moved.device != kHostDevice) {
      placed->host.weights -= moved.embedding_bytes;
      to.weights += moved.embedding_bytes;
    } else {
      borrowed = moved.largest_bytes;
    }
  }
  for (std::size_t g = 0; g < basis.gpus.size(); ++g) {
    DeviceBytes& bytes = placed->gpu[g];
    // The driver is there for single tensors, too; and prompts borrow what lies on the host.
    if (bytes.weights > 0 && bytes.overhead <= 0) bytes.overhead = basis.gpus[g].overhead;
    if (bytes.weights > 0 && !basis.gpus[g].shares_host_memory) bytes.compute += borrowed;
  }
}

}  // namespace

void DeviceBytes::add(const DeviceBytes& more) {
  weights += more.weights, kv += more.kv, state += more.state;
  compute += more.compute, output += more.output, overhead += more.overhead;
}

MovedSums::At MovedSums::between(std::uint32_t first, std::uint32_t last) const {
  const At &a = sums[first], &b = sums[last];
  return {b.dense - a.dense, b.experts - a.experts, b.dense_flops - a.dense_flops,
          b.expert_flops - a.expert_flops, b.groups - a.groups};
}

hwdb::Result<PlanBasis> prepare_all(const PlanInputs& inputs) {
  auto basis = prepare(inputs);  // the one thing returned, so that it is not moved
  if (basis && inputs.attachments != nullptr) {
    if (auto ok = add_extras(inputs, &*basis); !ok) basis = ok.error();
  }
  return basis;
}

hwdb::Status add_extras(const PlanInputs& inputs, PlanBasis* basis) {
  if (inputs.attachments == nullptr) return hwdb::Ok{};
  const Attachments& attachments = *inputs.attachments;
  basis->extras = std::make_unique<PlanExtras>();
  PlanExtras& extras = *basis->extras;
  extras.gpus.resize(basis->gpus.size());
  if (attachments.moved && !attachments.moved->cpu_moe_layers)
    add_moved(*attachments.moved, basis->n_layers(), &extras);
  if (attachments.slices && attachments.slices->n_gpus == basis->gpus.size())
    extras.slices = &*attachments.slices;
  add_adapters(attachments.adapters, basis);
  if (attachments.projector) add_projector(*attachments.projector, basis);
  if (attachments.draft)
    if (auto ok = add_draft_model(inputs, *attachments.draft, basis); !ok) return ok;
  if (inputs.settings.draft.mtp && inputs.model->mtp_bytes > 0)
    if (auto ok = add_draft_layers(inputs, basis); !ok) return ok;
  return hwdb::Ok{};
}

void apply_extras(const PlanBasis& basis, const Placement& placement, PlacedBytes* placed) {
  const PlanExtras& extras = *basis.extras;
  if (extras.slices != nullptr) apply_slices(basis, placement, placed);
  if (!extras.moved.empty()) apply_moved(basis, placement, placed);
  for (std::size_t g = 0; g < extras.gpus.size(); ++g) {
    DeviceBytes& bytes = placed->gpu[g];
    bytes.add(extras.gpus[g]);
    if (bytes.total() > 0 && bytes.overhead <= 0) bytes.overhead = basis.gpus[g].overhead;
  }
  placed->host.add(extras.host);
}

Work moved_away(const PlanBasis& basis, std::int32_t owner, std::uint32_t first, std::uint32_t last,
                double tokens, double expert_share) {
  Work work;
  for (const MovedSums& moved : basis.extras->moved) {
    if (moved.device == owner || first >= last) continue;
    const MovedSums::At part = moved.between(first, last);
    work.weight_bytes += part.dense;
    work.weight_flops += tokens * part.dense_flops;
    work.expert_bytes += part.experts * expert_share;
    work.expert_flops += tokens * part.expert_flops;
  }
  return work;
}

MovedWork moved_to(const PlanBasis& basis, const Placement& placement, std::int32_t device,
                   double tokens, double expert_share) {
  MovedWork out;
  for (const MovedSums& moved : basis.extras->moved) {
    if (moved.device != device) continue;
    for (const Segment& segment : segments_of(basis, placement)) {
      if (segment.owner == device) continue;
      const MovedSums::At part = moved.between(segment.first, segment.last);
      out.work.weight_bytes += part.dense;
      out.work.weight_flops += tokens * part.dense_flops;
      out.work.expert_bytes += part.experts * expert_share;
      out.work.expert_flops += tokens * part.expert_flops;
      out.hand_overs += 2 * part.groups;
    }
  }
  return out;
}

bool any_moved_to_host(const PlanBasis& basis) {
  return basis.extras != nullptr &&
         std::ranges::any_of(basis.extras->moved, [](const MovedSums& moved) {
           return moved.device == kHostDevice &&
                  (moved.sums.back().dense + moved.sums.back().experts > 0 ||
                   moved.output_bytes > 0);
         });
}

bool uses_gpu(const Placement& placement) {
  return placement.n_gpu_layers > 0 && !placement.layers_on_gpu.empty();
}

bool uses_host(const PlanBasis& basis, const Placement& placement) {
  return first_gpu_block(basis, placement) > 0 || placement.n_cpu_moe > 0 ||
         basis.settings->kv_on_host || any_moved_to_host(basis);
}

}  // namespace planner
