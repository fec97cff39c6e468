// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "engine/cpu/mat_mul.h"
#include "engine/quant/quant_codec.h"
#include "engine/synth/synth_shape.h"
#include "hwdb/model_stores.h"
#include "hwdb/quant_presets.h"
#include "planner/cli/calibrate_steps.h"

namespace cli {
namespace {

using hwdb::Result;
using Question = engine::KernelBench::Question;
using Slice = CalibrationPlan::Slice;

// Small enough to be made in seconds; the first whose slice no cache holds is taken.
constexpr std::array<std::string_view, 3> kDefaultModels = {"tinyllama-1.1b", "llama-3.2-3b",
                                                            "llama-3.1-8b"};
constexpr std::string_view kTinyModel = "smollm2-135m", kExpertModel = "granite-3.0-1b-a400m",
                           kOtherShape = "qwen2.5-0.5b";
constexpr std::array<std::string_view, 6> kUsualTypes = {"Q4_0", "Q4_K", "Q5_K",
                                                         "Q6_K", "Q8_0", "F16"};
constexpr std::string_view kDefaultQuant = "Q4_K_M";
constexpr std::uint32_t kFew = 2, kMore = 4;  // layers: their difference is a layer's time

bool is_file(const std::string& name) {
  return name.find('/') != std::string::npos || name.ends_with(".gguf") ||
         name.ends_with(".json") || hwdb::is_store_name(name);
}

Result<hwdb::ModelCosts> slice_costs(const hwdb::ModelShape& shape, std::uint32_t layers,
                                     const std::string& quant) {
  engine::SynthCuts cuts;
  cuts.n_layers = layers;
  hwdb::QuantOptions how;
  how.preset = quant;
  return hwdb::model_costs_of_preset(engine::cut_shape(shape, cuts), how);
}

/// A model whose slice is more than the last-level cache holds, and not too much for the memory.
std::string default_model(Session& session, const hwdb::Machine& machine,
                          const std::string& quant) {
  const auto cache = static_cast<double>(machine.cpu.last_level_cache_total_bytes);
  const double memory = static_cast<double>(machine.memory.total.value.value);
  std::string chosen(kDefaultModels.front());
  for (const std::string_view name : kDefaultModels) {
    const auto shape = shape_of_model(session, std::string(name));
    if (!shape) continue;
    const auto costs = slice_costs(*shape, kMore, quant);
    if (!costs) continue;
    const auto bytes = static_cast<double>(costs->tensor_bytes);
    if (bytes > memory / 8) break;
    chosen = name;
    if (bytes >= 2 * cache) break;
  }
  return chosen;
}

/// Types that the slices are made of, the usual ones, or all that have a layout of their own.
std::set<hwdb::TensorType> kernel_types(const hwdb::ModelCosts& costs, bool full) {
  std::set<hwdb::TensorType> types;
  for (const std::string_view name : kUsualTypes) types.insert(hwdb::tensor_type(name));
  for (const auto* shares : {&costs.role_types.layers, &costs.role_types.output})
    for (const auto& share : *shares) types.insert(share.type);
  if (full) {
    for (const engine::QuantCodec& codec : engine::quant_codecs())
      if (engine::cpu::has_panels(codec.type)) types.insert(codec.type);
  }
  // Norms and biases are no products.
  types.erase(hwdb::tensor_type("F32"));
  return types;
}

Slice slice(const std::string& model, const std::string& quant, std::uint32_t layers,
            std::vector<std::uint32_t> depths, bool full) {
  Slice out;
  out.model = model;
  out.quant = quant;
  out.layers = layers;
  out.how.depths = std::move(depths);
  out.how.prompt_repetitions = full ? 5 : 3;
  out.how.gen_repetitions = full ? 9 : 5;
  return out;
}

}  // namespace

Result<hwdb::ModelShape> shape_of_model(Session& session, const std::string& name) {
  if (is_file(name)) {
    auto file = session.model_file(name);
    if (!file) return file.error();
    return file->shape;
  }
  auto row = session.catalog().find_model(name);
  if (!row) return row.error();
  return (*row)->shape;
}

std::shared_ptr<const planner::ResolvedModel> model_of_reading(Session& session,
                                                               const hwdb::SpeedReading& reading) {
  if (reading.slice_layers == 0) {
    auto model = session.model(reading.model, reading.quant);
    return model ? *model : nullptr;
  }
  const auto shape = shape_of_model(session, reading.model);
  if (!shape) return nullptr;
  auto costs = slice_costs(*shape, reading.slice_layers, reading.quant);
  if (!costs) return nullptr;
  planner::ResolvedModel model;
  model.name = reading.model;
  model.costs = *std::move(costs);
  return std::make_shared<const planner::ResolvedModel>(std::move(model));
}

Result<CalibrationPlan> calibration_plan(Session& session, const hwdb::Machine& machine,
                                         const std::string& model, const std::string& quant,
                                         bool full) {
  CalibrationPlan plan;
  plan.full = full;
  plan.quant = quant.empty() ? std::string(kDefaultQuant) : quant;
  if (hwdb::find_preset_rule(plan.quant) == nullptr)
    return hwdb::Error{"quant.unknown", "\"" + plan.quant + "\" is no preset", "--quant",
                       "see tokwatt list quants"};
  plan.model = model.empty() ? default_model(session, machine, plan.quant) : model;
  const auto shape = shape_of_model(session, plan.model);
  if (!shape) return shape.error();
  const auto costs = slice_costs(*shape, kFew, plan.quant);
  if (!costs) return costs.error();

  // The widest products of the model.
  const std::uint32_t width = shape->n_embd;
  const std::uint32_t dense = shape->n_ff.at(0);
  const std::uint32_t ff = dense > 0 ? dense : std::max<std::uint32_t>(shape->n_ff_expert, width);
  const std::vector<std::uint32_t> tokens =
      full ? std::vector<std::uint32_t>{1, 2, 4, 8, 16, 32, 128, 512}
           : std::vector<std::uint32_t>{1, 4, 16, 512};
  for (const hwdb::TensorType type : kernel_types(*costs, full)) {
    for (const std::uint32_t n : tokens) plan.kernels.push_back({type, ff, width, n});
    if (!full) continue;
    for (const std::uint32_t n : {1u, 512u}) plan.kernels.push_back({type, width, ff, n});
  }
  const auto& types = costs->role_types.layers;
  const auto most = std::ranges::max_element(types, {}, &hwdb::ModelCosts::TypeShare::bytes);
  for (const std::uint32_t n : {1u, 512u})
    if (most != types.end()) plan.kernels.push_back({most->type, width, width, n});

  const std::string& q = plan.quant;
  std::vector<std::uint32_t> depths = {0, 512, 3072};
  if (full) depths = {0, 256, 4096, 16384};
  plan.slices.push_back(slice(plan.model, q, kFew, depths, full));
  Slice cached = slice(plan.model, q, kFew, full ? depths : std::vector<std::uint32_t>{2048}, full);
  cached.cache_type = "q8_0";
  plan.slices.push_back(cached);
  plan.slices.push_back(slice(plan.model, q, kMore, {0}, full));
  // Its weights stay in the cache: what a token takes says nothing about memory.
  Slice tiny = slice(std::string(kTinyModel), "Q8_0", kFew, {0}, full);
  tiny.how.n_gen = 0;
  plan.slices.push_back(tiny);
  if (full) {
    // Other widths, heads and types than the model's own; and experts.
    plan.slices.push_back(slice(std::string(kOtherShape), "Q4_0", kMore, {0, 4096}, full));
    plan.slices.push_back(slice(std::string(kExpertModel), q, kMore, {0, 4096}, full));
  }
  return plan;
}

}  // namespace cli
