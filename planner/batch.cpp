// SPDX-License-Identifier: MIT
#include "planner/batch.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/result_json.h"

namespace planner {
namespace {

// Names remembered of each kind. A model of 100 layers takes about 10 KB, so a full cache stays
// within a few megabytes.
constexpr std::size_t kRemembered = 512;
// A model's graphs can take a few hundred kilobytes.
constexpr std::size_t kRememberedGraphs = 64;

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// What can be said about a projector of unknown size: how much room is left for it.
std::string projector_room(const Plan& plan) {
  const DeviceMemory& home = plan.memory.devices.front();
  const hwdb::Bytes left = home.budget > home.total() ? home.budget - home.total() : hwdb::Bytes(0);
  return fmt::format(
      "The projector's size is not known and not in the figures: it fits while it takes, with its "
      "scratch, no more than the {} left on {}. Name its file with --mmproj to count it.",
      hwdb::format_bytes(left), home.device);
}

}  // namespace

hwdb::Result<Plan> plan_scenario(const Scenario& scenario, const ResolvedModel& model,
                                 const hwdb::Machine& machine, const hwdb::TariffRow* tariff,
                                 const Assumptions* assumptions, const hwdb::CacheRecipe* recipe,
                                 ComputeMemo* memo, const Attachments* attachments,
                                 std::span<const Calibration> calibrations) {
  PlanInputs inputs;
  inputs.model = &model.costs;
  inputs.machine = &machine;
  inputs.settings = scenario.settings;
  inputs.attachments = attachments;
  inputs.calibrations = calibrations;
  if (attachments != nullptr && attachments->moved && attachments->moved->cpu_moe_layers) {
    // The same as --n-cpu-moe, so the plan is the same.
    inputs.settings.n_cpu_moe = *attachments->moved->cpu_moe_layers;
    inputs.settings.cpu_moe = false;
    inputs.settings.override_tensor.clear();
  }
  inputs.workload = scenario.workload;
  inputs.tariff = tariff;
  inputs.assumptions = assumptions;
  inputs.cache_recipe = recipe;
  inputs.compute_memo = memo;
  auto plan = make_plan(inputs);
  if (!plan) return plan;
  plan->scenario = scenario;
  plan->scenario.settings = inputs.settings;
  plan->model_name = model.name;
  plan->quant = model.costs.quant;
  plan->machine_name = machine.name;
  if (!scenario.depths.empty() && plan->speed_known && plan->memory.fits != Fits::no) {
    auto speeds = speed_at_depths(inputs, plan->placement, scenario.depths);
    if (!speeds) return speeds.error();
    plan->speed_by_depth = std::move(*speeds);
  }
  const std::uint64_t trained = model.costs.shape.n_ctx_train.value_or(0);
  const std::uint64_t asked = scenario.settings.n_ctx / std::max(scenario.settings.n_seq, 1u);
  if (trained > 0 && asked > trained) {
    plan->notes.push_back(fmt::format(
        "{} tokens of context are asked of a model that was trained on {}.", asked, trained));
  }
  if (context_needed(scenario.workload) > asked && asked > 0) {
    const Workload& w = scenario.workload;
    plan->notes.push_back(
        fmt::format("A request of {:.0f} tokens does not fit the {} of a sequence's context.",
                    w.depth + w.n_prompt + w.n_gen, asked));
  }
  if (attachments != nullptr) {
    plan->notes.insert(plan->notes.end(), attachments->notes.begin(), attachments->notes.end());
    if (attachments->projector_unknown) plan->notes.push_back(projector_room(*plan));
  }
  if (inputs.settings.kv_on_host && plan->memory.devices.size() > 1) {
    plan->notes.emplace_back(inputs.settings.flash_attn
                                 ? "With the cache in RAM flash attention stays on the GPU: each "
                                   "pass copies the cache over the link."
                                 : "With the cache in RAM attention is computed by the processor.");
  }
  plan->notes.insert(plan->notes.end(), model.notes.begin(), model.notes.end());
  plan->notes.insert(plan->notes.end(), machine.notes.begin(), machine.notes.end());
  return plan;
}

template <class T, class Find>
const hwdb::Result<T>& Batch::cached(Cache<T>* cache, const std::string& key, const Find& find) {
  const auto it = cache->find(key);
  if (it != cache->end()) return it->second;
  // Dropping all is enough: a run that names more than this has no favourites.
  if (cache->size() >=
      (std::is_same_v<T, std::shared_ptr<ComputeMemo>> ? kRememberedGraphs : kRemembered))
    cache->clear();
  return cache->emplace(key, find()).first->second;
}

hwdb::Result<Plan> Batch::plan(const Scenario& scenario) {
  key_.assign(scenario.model).push_back('\n');
  key_ += scenario.quant;
  const auto& model = cached<std::shared_ptr<const ResolvedModel>>(
      &models_, key_, [&] { return sources_.model(scenario.model, scenario.quant); });
  if (!model) return model.error();
  const bool bare = !scenario.calibrated && sources_.unmeasured_machine;
  const auto& machine = cached<std::shared_ptr<const hwdb::Machine>>(
      bare ? &unmeasured_machines_ : &machines_, scenario.on, [&] {
        return bare ? sources_.unmeasured_machine(scenario.on) : sources_.machine(scenario.on);
      });
  if (!machine) return machine.error();
  const auto& tariff = cached<const hwdb::TariffRow*>(
      &tariffs_, scenario.tariff, [&] { return sources_.tariff(scenario.tariff); });
  if (!tariff) return tariff.error();

  // Everything of the settings that the cache's rules depend on.
  const RunSettings& settings = scenario.settings;
  key_ += '\n';
  key_ += settings.cache_type_k;
  key_ += '/';
  key_ += settings.cache_type_v;
  key_ += static_cast<char>('a' + static_cast<int>(settings.runtime));
  key_ += settings.flash_attn ? '+' : '-';
  using Recipe = std::shared_ptr<const hwdb::CacheRecipe>;
  const auto& recipe = cached<Recipe>(&recipes_, key_, [&]() -> hwdb::Result<Recipe> {
    const auto request = cache_request_of(settings);
    if (!request) return request.error();
    auto made = hwdb::make_cache_recipe((*model)->costs.shape, *request);
    if (!made) return made.error();
    return std::make_shared<const hwdb::CacheRecipe>(std::move(*made));
  });
  const auto& memo = cached<std::shared_ptr<ComputeMemo>>(&memos_, scenario.model, [&] {
    return std::make_shared<ComputeMemo>((*model)->costs.shape);
  });
  // Without one make_plan tells the error, or that only sizes are known.
  std::optional<Attachments> attachments;
  if (needs_attachments(settings, **machine)) {
    auto found = find_attachments(scenario, **model, **machine, sources_);
    if (!found) return found.error();
    attachments = std::move(*found);
  }
  return plan_scenario(
      scenario, **model, **machine, *tariff, sources_.assumptions, recipe ? recipe->get() : nullptr,
      memo->get(), attachments ? &*attachments : nullptr,
      sources_.calibrations && scenario.calibrated ? sources_.calibrations(**machine)
                                                   : std::span<const Calibration>{});
}

bool Batch::answer(std::string_view line, std::string* out) {
  if (blank(line)) return true;
  hwdb::JsonWriter writer(out);
  const auto fail = [&](const std::optional<hwdb::Json>& id, const hwdb::Error& error) {
    append_failure_json(&writer, id, error);
    out->push_back('\n');
    return false;
  };
  auto json = hwdb::parse_json(line, "", kBatchLineBytes);
  if (!json) return fail(std::nullopt, json.error());
  // A line that is refused is still answered under its own id.
  const auto id = [&]() -> std::optional<hwdb::Json> {
    const hwdb::Json* given = json->find("id");
    if (given == nullptr || given->is_array() || given->is_object()) return std::nullopt;
    return *given;
  };
  const auto scenario = scenario_from_json(*json);
  if (!scenario) return fail(id(), scenario.error());
  const auto answer = plan(*scenario);
  if (!answer) return fail(scenario->id, answer.error());
  append_result_json(&writer, *answer);
  out->push_back('\n');
  return true;
}

}  // namespace planner
