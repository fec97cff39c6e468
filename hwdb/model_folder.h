// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// Opens a folder as publishers write it: config.json, and safetensors in one file or by an index.
/// With a configuration alone the model is there as a shape. Errors: index.*, st.*, json.*,
/// model.*, file.*.
Result<ModelFile> open_model_folder(const std::string& folder);

/// Opens a config.json without any weights.
Result<ModelFile> open_config_file(const std::string& path);

/// Opens one safetensors file, with the config.json beside it where there is one.
Result<ModelFile> open_safetensors_file(const std::string& path);

}  // namespace hwdb
