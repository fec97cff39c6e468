// SPDX-License-Identifier: MIT
#include "tests/ask.h"

#include <stdexcept>

namespace tests {
namespace {

template <class T>
T take(hwdb::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().code + ": " + result.error().what);
  return *std::move(result);
}

const planner::Assumptions& assumptions() {
  static const planner::Assumptions made = planner::assumptions_from(hwdb::Catalog::builtin());
  return made;
}

}  // namespace

planner::PlanInputs inputs_of(const Answer& answer) {
  planner::PlanInputs inputs;
  inputs.model = &answer.model;
  inputs.machine = &answer.machine;
  inputs.assumptions = &assumptions();
  inputs.settings = answer.plan.scenario.settings;
  return inputs;
}

std::unique_ptr<Answer> ask(const std::string& model, const std::string& quant,
                            const std::string& rig, std::uint64_t n_ctx) {
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  auto answer = std::make_unique<Answer>();
  const hwdb::ModelRow* row = take(catalog.find_model(model));
  answer->model = take(hwdb::model_costs_of_preset(row->shape, {.preset = quant}));
  answer->machine = take(planner::machine_from_words(catalog, rig));
  planner::PlanInputs inputs = inputs_of(*answer);
  inputs.settings.n_ctx = n_ctx;
  answer->plan = take(planner::make_plan(inputs));
  answer->plan.scenario.settings = inputs.settings;
  return answer;
}

}  // namespace tests
