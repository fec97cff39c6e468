// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <vector>

#include "hwdb/op_counts.h"
#include "hwdb/weight_plan.h"

namespace planner {

/// The costs of one model at several presets: the same as hwdb::model_costs_of_preset, but the
/// tensor list is made once. The shape must outlive this.
class PresetCosts {
 public:
  explicit PresetCosts(const hwdb::ModelShape& shape) : shape_(shape) {}
  /// Errors: as hwdb::model_costs_of_preset.
  hwdb::Result<hwdb::ModelCosts> find(std::string_view preset);

 private:
  const hwdb::ModelShape& shape_;
  std::vector<hwdb::PlannedTensor> tensors_;
  struct Original {
    hwdb::TensorType type;
    std::uint64_t bytes;
  };
  std::vector<Original> originals_;  // of the 16-bit source, beside tensors_
};

}  // namespace planner
