// SPDX-License-Identifier: MIT
#include "planner/preset_costs.h"

#include <string>

namespace planner {

hwdb::Result<hwdb::ModelCosts> PresetCosts::find(std::string_view preset) {
  if (tensors_.empty()) {
    auto list = hwdb::tensor_list(shape_);
    if (!list) return list.error();
    tensors_ = std::move(*list);
    for (const hwdb::PlannedTensor& tensor : tensors_)
      originals_.push_back({tensor.info.type, tensor.info.bytes});
  } else {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i].info.type = originals_[i].type;
      tensors_[i].info.bytes = originals_[i].bytes;
    }
  }
  const hwdb::QuantOptions options{std::string(preset), false, false};
  if (const auto ok = hwdb::apply_preset(shape_, options, &tensors_); !ok) return ok.error();
  const auto data = hwdb::padded_tensor_bytes(tensors_);
  if (!data) return data.error();
  auto costs = hwdb::model_costs(shape_, options.preset, tensors_,
                                 *data + hwdb::estimate_header_bytes(shape_, tensors_));
  if (costs) costs->sizes_only = false;
  return costs;
}

}  // namespace planner
