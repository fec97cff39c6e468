// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "hwdb/model.h"

namespace tests {

/// A model of the catalogue made so small that it runs in a test: few and narrow layers, the traits
/// of its architecture (windows, experts, latents, norms) as they are. Throws std::runtime_error
/// for an unknown name.
hwdb::ModelShape tiny_shape(const std::string& catalog_model);

/// Writes such a model with random weights at `path`, its types by the preset's rules. Throws as
/// above.
void write_tiny_model(const std::string& catalog_model, const std::string& preset,
                      const std::string& path);

}  // namespace tests
