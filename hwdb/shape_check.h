// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// Whether a shape of a known architecture makes sense: counts above 0 and within the limits, heads
/// that divide, per-layer lists of the right length, experts, window and rotary base. Errors:
/// model.range, model.array_length; `where` names the file.
Status check_shape(const ModelShape& shape, const std::string& where);

/// All equal values become one; an empty list stays empty.
PerLayer collapse(std::vector<std::uint32_t> values);

/// Describes the layers that have experts by first_dense_layers, moe_layer_step and
/// moe_layer_offset; false when no such rule gives exactly these.
bool describe_moe_layers(const std::vector<std::uint32_t>& layers, ModelShape* shape);

}  // namespace hwdb
