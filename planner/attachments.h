// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hwdb/model_attachments.h"
#include "hwdb/op_counts.h"
#include "hwdb/result.h"
#include "hwdb/tensor_overrides.h"
#include "hwdb/tensor_slices.h"
#include "planner/plan.h"

namespace planner {

struct BatchSources;
struct ResolvedModel;

/// All of a scenario that needs more than the sums of its model: single tensors, further files, a
/// second model. Looked up once; plans without any of it have none.
struct Attachments {
  std::optional<hwdb::MovedTensors> moved;
  std::optional<hwdb::TensorSlices> slices;
  std::optional<hwdb::ProjectorCosts> projector;
  bool projector_unknown = false;  // asked for, but no file says its size
  std::vector<hwdb::AdapterCosts> adapters;
  std::shared_ptr<const ResolvedModel> draft;
  std::vector<std::string> notes;  // what was found out, in sentences
};

/// True when settings ask for anything of the kind.
bool needs_attachments(const RunSettings& settings, const hwdb::Machine& machine);

/// Looks everything up. Errors: usage.value (a pattern, a buffer, a rank, a split that the runtime
/// does not make), model.inconsistent, and those of the files.
hwdb::Result<Attachments> find_attachments(const Scenario& scenario, const ResolvedModel& model,
                                           const hwdb::Machine& machine,
                                           const BatchSources& sources);

/// The names that llama.cpp gives to the buffers of a machine: CPU, CUDA0...
std::vector<hwdb::BufferName> buffer_names(const RunSettings& settings,
                                           const hwdb::Machine& machine);

}  // namespace planner
