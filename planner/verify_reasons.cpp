// SPDX-License-Identifier: MIT
#include "planner/verify_reasons.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "planner/make_plan.h"

namespace planner {
namespace {

using hwdb::RuntimeBuffer;
using Reasons = std::vector<GapReason>;

// llama.cpp v0.5.0 (2026-09-28), whose graphs the compute buffers are modelled on, came after this
// build of the running count (2026-09-10); archives without a history say build 1.
constexpr std::uint64_t kModelledBuild = 10884;

std::string size_text(double bytes) {
  const double mib = std::fabs(bytes) / hwdb::kMiB;
  return mib < 10 ? fmt::format("{:.2f} MiB", mib) : fmt::format("{:.1f} MiB", mib);
}

bool any_label(const GapContext& c, std::string_view part) {
  return std::ranges::any_of(c.buffers, [&](const RuntimeBuffer* buffer) {
    return buffer->device.find(part) != std::string::npos;
  });
}

/// A memory map spans the file from its first to its last tensor for the host, so weights that
/// stand on a GPU or in a layout of the CPU's own are in it a second time.
void counted_twice(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "weights" || !c.is_host || !c.load.tensor_bytes) return;
  const bool repacked = any_label(c, "_REPACK") || any_label(c, "_AARCH64") || any_label(c, "AMX");
  if (!any_label(c, "_Mapped") || (!repacked && c.gpu_weights <= 0)) return;
  // A tied vocabulary matrix stands on the GPU and on the host, once in the file.
  const double tied = c.model.output_is_tied && c.plan.placement.output_on_gpu
                          ? static_cast<double>(c.model.output_bytes)
                          : 0;
  const double left = c.load.tensor_bytes->bytes + tied - c.gpu_weights;
  const double twice = *c.row.actual - left;
  if (twice <= c.row.rounding) return;
  reasons->push_back({"counted_twice",
                      fmt::format("the memory map spans {} that also stand {}", size_text(twice),
                                  c.gpu_weights <= 0 ? "in a layout for this CPU"
                                  : repacked         ? "on the GPU or in a layout for this CPU"
                                                     : "on the GPU"),
                      twice});
}

/// The file that ran is not the one that was planned.
void other_file(const GapContext& c, Reasons* reasons) {
  if ((c.row.term != "weights" && c.row.term != "tensors") || !c.load.tensor_bytes) return;
  const double gap = c.load.tensor_bytes->bytes - static_cast<double>(c.model.tensor_bytes);
  if (std::fabs(gap) <= c.load.tensor_bytes->rounding_bytes) return;
  std::string text =
      fmt::format("the file that ran has {} of tensors, the planned one {}",
                  size_text(c.load.tensor_bytes->bytes), size_text(c.model.tensor_bytes * 1.0));
  if (!c.load.file_type.empty()) {
    text += fmt::format(": it says \"{}\", planned was {}", c.load.file_type, c.model.quant);
  }
  const bool whole = c.row.term == "weights" && c.alone;
  reasons->push_back(
      {"other_file", std::move(text), whole ? std::optional<double>(gap) : std::nullopt});
}

/// The vocabulary matrix once more or once less than planned.
void tied_output(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "weights" || !c.model.output_is_tied) return;
  const double output = static_cast<double>(c.model.output_bytes);
  if (output <= 0 || std::fabs(std::fabs(c.row.difference()) - output) > c.row.rounding + 4096) {
    return;
  }
  reasons->push_back({"tied_output",
                      c.row.difference() > 0
                          ? "the tied vocabulary matrix is held here once more than planned"
                          : "the tied vocabulary matrix is not held here",
                      c.row.difference()});
}

/// Each tensor starts at a multiple of the backend's alignment.
void alignment(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "weights" || !c.load.n_tensors) return;
  const bool cuda = any_label(c, "CUDA") || any_label(c, "ROCm");
  if (!cuda && !c.is_host) return;
  const double room = static_cast<double>(*c.load.n_tensors) * (cuda ? 128 : 32);
  const double gap = c.row.difference();
  if (gap <= 0 || gap > room + c.row.rounding) return;
  reasons->push_back(
      {"alignment",
       fmt::format("{} tensors start at multiples of {} bytes", *c.load.n_tensors, cuda ? 128 : 32),
       gap});
}

/// Layers stand elsewhere than planned.
void placement(const GapContext& c, Reasons* reasons) {
  if (c.row.term == "output") return;
  const auto& offloaded = c.load.offloaded_layers;
  if (offloaded && *offloaded != c.plan.placement.n_gpu_layers) {
    reasons->push_back({"placement",
                        fmt::format("the run has {} layers on GPUs, the plan {}", *offloaded,
                                    c.plan.placement.n_gpu_layers),
                        {}});
  } else if (!c.is_host && c.plan.placement.layers_on_gpu.size() > 1 &&
             c.plan.scenario.settings.tensor_split.empty()) {
    reasons->push_back({"placement",
                        "the log does not say which layers each GPU has; the plan shares them out "
                        "by memory",
                        {}});
  }
}

/// Settings that the user gave in place of those that ran.
void settings(const GapContext& c, Reasons* reasons) {
  const RunSettings& planned = c.plan.scenario.settings;
  std::string text;
  const auto differs = [&](const char* name, const std::string& ran, const std::string& plan) {
    if (ran == plan) return;
    text += fmt::format("{}{} {} ran, {} was planned", text.empty() ? "" : "; ", name, ran, plan);
  };
  const auto count = [&](const char* name, const std::optional<std::uint64_t>& ran,
                         std::uint64_t plan) {
    if (ran) differs(name, fmt::format("{}", *ran), fmt::format("{}", plan));
  };
  const bool cache = c.row.term == "kv_cache" || c.row.term == "context";
  if (cache || c.row.term == "compute") count("context", c.load.n_ctx, planned.n_ctx);
  if (cache || c.row.term == "state" || c.row.term == "output") {
    count("sequences", c.load.n_seq_max, planned.n_seq);
  }
  if (cache) {
    if (!c.load.cache_type_k.empty()) {
      differs("cache type", c.load.cache_type_k, planned.cache_type_k);
    }
    if (!c.load.cache_type_v.empty() && c.load.cache_type_v != c.load.cache_type_k) {
      differs("cache type of V", c.load.cache_type_v, planned.cache_type_v);
    }
  }
  if (c.row.term == "compute" || (cache && c.model.shape.sliding_window > 0)) {
    count("micro-batch", c.load.n_ubatch, std::min(planned.n_ubatch, planned.n_batch));
  }
  if (c.load.flash_attn && (cache || c.row.term == "compute")) {
    differs("flash attention", *c.load.flash_attn ? "on" : "off",
            planned.flash_attn ? "on" : "off");
  }
  if (c.load.kv_unified && c.load.n_seq_max.value_or(1) > 1 && cache) {
    differs("a shared pool of cells", *c.load.kv_unified ? "on" : "off",
            planned.kv_unified ? "on" : "off");
  }
  if (!text.empty()) reasons->push_back({"settings", std::move(text), {}});
}

/// One cache of full length where a window would have been enough.
void full_window(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "kv_cache" || c.model.shape.sliding_window == 0 || c.row.difference() <= 0) {
    return;
  }
  const auto attention = std::ranges::count(c.load.caches, false, &hwdb::RuntimeCache::recurrent);
  if (attention != 1 || c.model.shape.all_layers_sliding) return;
  std::optional<double> bytes;
  auto request = cache_request_of(c.plan.scenario.settings);
  if (request && c.alone) {
    request->swa_full = true;
    const auto recipe = hwdb::make_cache_recipe(c.model.shape, *request);
    if (recipe) {
      const auto totals = hwdb::cache_totals(*recipe, *request);
      if (totals) bytes = totals->kv.as_double() - *c.row.predicted;
    }
  }
  reasons->push_back({"full_window",
                      "layers with a sliding window keep the whole context: --swa-full, or a build "
                      "from before 2025-05-20",
                      bytes});
}

/// More rows of logits than one a sequence.
void outputs(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "output" || c.model.shape.n_vocab == 0) return;
  const double row = 4.0 * c.model.shape.n_vocab;
  const double ran = std::round(*c.row.actual / row);
  const double planned = std::round(*c.row.predicted / row);
  if (ran < 1 || ran == planned || c.row.rounding > row / 4) return;
  if (std::fabs(*c.row.actual - ran * row) > c.row.rounding + 1) return;
  reasons->push_back(
      {"outputs", fmt::format("room for {:.0f} rows of logits, the plan has {:.0f}", ran, planned),
       (ran - planned) * row});
}

/// Copies of the inputs for several micro-batches on their way through several GPUs.
void pipeline(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "compute" || c.load.sched_copies.value_or(1) <= 1) return;
  reasons->push_back(
      {"pipeline",
       fmt::format("the scheduler keeps {} copies of the inputs", *c.load.sched_copies),
       {}});
}

/// Where CUDA puts the half-precision copy of a quantized cache depends on the build.
void cuda_pool(const GapContext& c, Reasons* reasons) {
  const auto quantized = [](std::string_view type) {
    return type.starts_with('q') || type.starts_with("iq");
  };
  if (c.row.term != "compute" || c.is_host || c.row.difference() >= 0) return;
  if (!any_label(c, "CUDA") && !any_label(c, "ROCm")) return;
  if (!quantized(c.load.cache_type_k) && !quantized(c.load.cache_type_v)) return;
  reasons->push_back(
      {"cuda_pool",
       "a quantized cache is copied to half precision beside flash attention; builds "
       "that take that from CUDA's own pool do not print it",
       {}});
}

/// Graphs change from build to build.
void build(const GapContext& c, Reasons* reasons) {
  if (c.row.term != "compute") return;
  if (c.report.runtime == "ik_llama.cpp") {
    reasons->push_back(
        {"build", "ik_llama.cpp has graphs of its own; the plan follows llama.cpp v0.5.0", {}});
  } else if (c.report.build_number && *c.report.build_number > 1 &&
             *c.report.build_number < kModelledBuild) {
    reasons->push_back({"build",
                        fmt::format("build b{} is older than llama.cpp v0.5.0, whose graphs the "
                                    "plan follows",
                                    *c.report.build_number),
                        {}});
  }
}

using Rule = void (*)(const GapContext&, Reasons*);
// Those that know bytes first: what they account for is taken off before the others are asked.
constexpr std::array<Rule, 6> kMeasuring = {counted_twice, other_file,  tied_output,
                                            alignment,     full_window, outputs};
constexpr std::array<Rule, 5> kNaming = {settings, placement, pipeline, cuda_pool, build};

}  // namespace

std::vector<GapReason> reasons_of_gap(const GapContext& context) {
  Reasons reasons;
  VerifyRow row = context.row;
  for (const Rule rule : kMeasuring) {
    if (std::fabs(row.unexplained()) <= row.rounding + 1) return reasons;
    Reasons found;
    rule(context, &found);
    for (GapReason& reason : found) {
      // One cause, one place: a reason that makes the gap larger explains something else.
      VerifyRow with = row;
      with.reasons.push_back(reason);
      if (reason.bytes && std::fabs(with.unexplained()) >= std::fabs(row.unexplained())) continue;
      row = std::move(with);
      reasons.push_back(std::move(reason));
    }
  }
  if (std::fabs(row.unexplained()) <= row.rounding + 1) return reasons;
  for (const Rule rule : kNaming) rule(context, &reasons);
  return reasons;
}

}  // namespace planner
