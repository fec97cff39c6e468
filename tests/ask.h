// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "hwdb/catalog.h"
#include "hwdb/op_counts.h"
#include "planner/assumptions.h"
#include "planner/make_plan.h"
#include "planner/rig/rig.h"

namespace tests {

/// A question as a user would put it, and everything the answer is made of.
struct Answer {
  hwdb::ModelCosts model;
  hwdb::Machine machine;
  planner::Plan plan;
};

/// Plans `model` at `quant` on the machine that `rig` describes; throws std::runtime_error with the
/// error's text, so that a test fails with it. The assumptions and the tariff are the catalogue's
/// own.
std::unique_ptr<Answer> ask(const std::string& model, const std::string& quant,
                            const std::string& rig, std::uint64_t n_ctx = 4096);

/// The same inputs, for other questions about them.
planner::PlanInputs inputs_of(const Answer& answer);

}  // namespace tests
