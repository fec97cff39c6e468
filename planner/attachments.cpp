// SPDX-License-Identifier: MIT
#include "planner/attachments.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "planner/batch.h"
#include "planner/plan_basis.h"

namespace planner {
namespace {

using hwdb::Error;
using Backend = hwdb::GpuInfo::Backend;

constexpr std::string_view kRank = "rank=", kCatalogue = "catalogue";

std::string_view buffer_prefix(Backend backend) {
  switch (backend) {
    case Backend::cuda:
      return "CUDA";
    case Backend::rocm:
      return "ROCm";
    case Backend::vulkan:
      return "Vulkan";
    case Backend::metal:
      return "MTL";
    case Backend::sycl:
      return "SYCL";
  }
  return "GPU";
}

bool splits_matrices(const RunSettings& settings) {
  return settings.split_mode == SplitMode::row || settings.split_mode == SplitMode::tensor;
}

using Tensors = std::vector<hwdb::PlannedTensor>;

/// The model's tensors, listed at the first use.
class TensorSource {
 public:
  explicit TensorSource(const ResolvedModel& model) : model_(model) {}
  hwdb::Result<const Tensors*> list(std::string_view what) {
    if (!tensors_) {
      if (!model_.tensors) {
        return Error{"usage.value", fmt::format("{} names tensors of a GGUF file", what),
                     std::string(what), "this format keeps its tensors otherwise"};
      }
      auto listed = model_.tensors();
      if (!listed) return listed.error();
      tensors_ = std::move(*listed);
    }
    return &*tensors_;
  }

 private:
  const ResolvedModel& model_;
  std::optional<Tensors> tensors_;
};

/// The patterns of -ot, then those that --n-cpu-moe and --cpu-moe stand for: the order in which the
/// launch line has them.
std::string all_patterns(const RunSettings& settings, std::uint32_t n_layers) {
  constexpr std::string_view kExperts = R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU)";
  std::string text = settings.override_tensor;
  if (settings.cpu_moe) return text + "," + std::string(kExperts);
  const std::uint32_t layers = std::min(settings.n_cpu_moe.value_or(0), n_layers);
  for (std::uint32_t i = 0; i < layers; ++i) text += fmt::format(",blk\\.{}{}", i, kExperts);
  return text;
}

hwdb::Status move_tensors(const RunSettings& settings, const ResolvedModel& model,
                          const hwdb::Machine& machine, TensorSource* source, Attachments* out) {
  const auto buffers = buffer_names(settings, machine);
  const auto overrides =
      hwdb::parse_overrides(all_patterns(settings, model.costs.shape.n_layers), buffers);
  if (!overrides) return overrides.error();
  const auto tensors = source->list("override_tensor");
  if (!tensors) return tensors.error();
  auto moved = hwdb::resolve_overrides(model.costs.shape, **tensors, *overrides);
  if (!moved) return moved.error();
  const bool plain = moved->cpu_moe_layers && std::ranges::all_of(moved->uses, [](const auto& use) {
                       return use.tensors > 0;
                     });
  if (plain) {  // the same as --n-cpu-moe, which needs no words either
    out->moved = std::move(*moved);
    return hwdb::Ok{};
  }
  const auto given =
      static_cast<std::size_t>(std::ranges::count(settings.override_tensor, ',')) + 1;
  for (std::size_t i = 0; i < std::min(given, moved->uses.size()); ++i) {
    const auto& use = moved->uses[i];
    const std::string& pattern = (*overrides)[i].pattern.text();
    if (use.tensors == 0) {
      out->notes.push_back(fmt::format("No tensor is left for the pattern \"{}\".", pattern));
    } else {
      out->notes.push_back(fmt::format("\"{}\" puts {} tensors ({}) on {}.", pattern, use.tensors,
                                       hwdb::format_bytes(hwdb::Bytes(use.bytes)),
                                       (*overrides)[i].buffer));
    }
  }
  if (!moved->cpu_moe_layers && !moved->parts.empty()) {
    out->notes.emplace_back(
        "Compute buffers with single tensors elsewhere are those of the nearest placement by "
        "layers, and room for the largest tensor that a GPU borrows.");
  }
  out->moved = std::move(*moved);
  return hwdb::Ok{};
}

hwdb::Status slice(const RunSettings& settings, const ResolvedModel& model,
                   const hwdb::Machine& machine, TensorSource* source, Attachments* out) {
  const GpusInUse used = gpus_in_use(settings, machine);
  const auto gpus = used.list();
  if (gpus.size() < 2) return hwdb::Ok{};
  const auto tensors = source->list("split_mode");
  if (!tensors) return tensors.error();
  const bool rows = settings.split_mode == SplitMode::row;
  hwdb::SliceRequest request;
  request.rule = rows ? hwdb::SliceRule::rows : hwdb::SliceRule::heads;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const hwdb::GpuInfo& gpu = machine.gpus[gpus[i]];
    // Without -ts rows go by the cards' memory and heads in equal parts.
    const double own = rows ? gpu.memory.value.as_double() : 1.0;
    request.shares.push_back(settings.tensor_split.size() == gpus.size() ? settings.tensor_split[i]
                                                                         : own);
  }
  auto slices = hwdb::slice_tensors(model.costs.shape, **tensors, request);
  if (!slices) return slices.error();
  out->slices = std::move(*slices);
  const Backend backend = settings.backend.value_or(machine.gpus[gpus.front()].backend);
  if (rows && backend != Backend::sycl) {
    out->notes.emplace_back(
        backend == Backend::cuda || backend == Backend::rocm
            ? "Splitting by rows is left to the SYCL backend in llama.cpp of 2026-09-28; older "
              "builds have it for CUDA and ROCm. Cache and compute follow the layers."
            : "llama.cpp has no split by rows for this backend: it refuses to load.");
  }
  if (!rows) {
    out->notes.emplace_back(
        "Split by tensors is experimental in llama.cpp. Each GPU's compute buffer is counted as "
        "that of one GPU with all of the model, which is an upper bound.");
  }
  return hwdb::Ok{};
}

hwdb::Status add_projector(const Scenario& scenario, const ResolvedModel& model,
                           const BatchSources& sources, Attachments* out) {
  const std::string& name = scenario.settings.mmproj;
  if (name == kCatalogue) {
    if (!model.costs.shape.vision) {
      return Error{"usage.value",
                   fmt::format("nothing says that {} takes images or sound", model.name), "mmproj",
                   "name the projector's file"};
    }
    out->projector_unknown = true;
    return hwdb::Ok{};
  }
  auto projector = sources.projector ? sources.projector(name) : hwdb::projector_costs(name);
  if (!projector) return projector.error();
  if (projector->audio) {
    out->notes.push_back(fmt::format(
        "{} has an encoder for sound, whose scratch is not in the figures.", projector->name));
  }
  if (projector->scratch_bytes == 0) {
    out->notes.push_back(
        fmt::format("{} does not say enough about its shape: its scratch is not in the figures.",
                    projector->name));
  }
  out->projector = std::move(*projector);
  return hwdb::Ok{};
}

hwdb::Status add_adapter(const std::string& name, const ResolvedModel& model,
                         const BatchSources& sources, TensorSource* source, Attachments* out) {
  if (!name.starts_with(kRank)) {
    auto adapter = sources.adapter ? sources.adapter(name, model.costs.shape)
                                   : hwdb::adapter_costs(name, model.costs.shape);
    if (!adapter) return adapter.error();
    out->adapters.push_back(std::move(*adapter));
    return hwdb::Ok{};
  }
  std::uint32_t rank = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kRank.size(), end, rank);
  if (error != std::errc{} || stop != end) {
    return Error{"usage.value", fmt::format("\"{}\" is no rank", name), "lora", "as rank=16"};
  }
  const auto tensors = source->list("lora");
  if (!tensors) return tensors.error();
  auto adapter = hwdb::estimate_adapter(model.costs.shape, **tensors, rank);
  if (!adapter) return adapter.error();
  out->notes.push_back(fmt::format(
      "The adapter of rank {} is taken as 32-bit pairs on every matrix of the blocks but router "
      "and routed experts.",
      rank));
  out->adapters.push_back(std::move(*adapter));
  return hwdb::Ok{};
}

hwdb::Status add_draft(const Scenario& scenario, const ResolvedModel& model,
                       const BatchSources& sources, Attachments* out) {
  const DraftSettings& draft = scenario.settings.draft;
  if (draft.mtp && model.costs.mtp_bytes == 0) {
    return Error{"usage.value", fmt::format("{} has no draft layers of its own", model.name),
                 "speculative", "name a draft model with --draft"};
  }
  out->notes.emplace_back("Speeds are those without speculative decoding.");
  if (draft.model.empty()) return hwdb::Ok{};
  auto found = sources.model(draft.model, draft.quant.empty() ? scenario.quant : draft.quant);
  if (!found) return found.error();
  if ((*found)->costs.shape.n_vocab != model.costs.shape.n_vocab) {
    out->notes.push_back(fmt::format(
        "{} has {} words and {} {}: drafts are only taken from a model with the same vocabulary.",
        model.name, model.costs.shape.n_vocab, (*found)->name, (*found)->costs.shape.n_vocab));
  }
  out->draft = std::move(*found);
  return hwdb::Ok{};
}

}  // namespace

std::vector<hwdb::BufferName> buffer_names(const RunSettings& settings,
                                           const hwdb::Machine& machine) {
  std::vector<hwdb::BufferName> names = {{"CPU", hwdb::kHostDevice}};
  std::array<int, 5> next{};  // llama.cpp numbers each backend's devices from 0
  const GpusInUse in_use = gpus_in_use(settings, machine);
  const auto used = in_use.list();
  for (std::size_t i = 0; i < used.size(); ++i) {
    const Backend backend = settings.backend.value_or(machine.gpus[used[i]].backend);
    const int number = next[static_cast<std::size_t>(backend)]++;
    const auto device = static_cast<std::int32_t>(i);
    names.push_back({fmt::format("{}{}", buffer_prefix(backend), number), device});
    // Builds before 2026 called Apple's one device so.
    if (backend == Backend::metal && number == 0) names.push_back({"Metal", device});
  }
  return names;
}

bool needs_attachments(const RunSettings& settings, const hwdb::Machine& machine) {
  return !settings.override_tensor.empty() || !settings.mmproj.empty() || !settings.lora.empty() ||
         settings.draft.active() || (splits_matrices(settings) && machine.gpus.size() > 1);
}

hwdb::Result<Attachments> find_attachments(const Scenario& scenario, const ResolvedModel& model,
                                           const hwdb::Machine& machine,
                                           const BatchSources& sources) {
  const RunSettings& settings = scenario.settings;
  Attachments out;
  TensorSource tensors(model);
  if (!settings.override_tensor.empty()) {
    if (splits_matrices(settings) && machine.gpus.size() > 1) {
      return Error{"usage.value",
                   "overrides and a split by rows or tensors are not planned together",
                   "override_tensor", "take --split-mode layer"};
    }
    if (auto ok = move_tensors(settings, model, machine, &tensors, &out); !ok) return ok.error();
  }
  if (splits_matrices(settings))
    if (auto ok = slice(settings, model, machine, &tensors, &out); !ok) return ok.error();
  if (!settings.mmproj.empty())
    if (auto ok = add_projector(scenario, model, sources, &out); !ok) return ok.error();
  for (const std::string& name : settings.lora)
    if (auto ok = add_adapter(name, model, sources, &tensors, &out); !ok) return ok.error();
  if (settings.draft.active())
    if (auto ok = add_draft(scenario, model, sources, &out); !ok) return ok.error();
  return out;
}

}  // namespace planner
