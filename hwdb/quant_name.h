// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hwdb/model.h"

namespace hwdb {

/// The preset that a file name ends on, as in "Model-8B-Q4_K_M.gguf" or
/// "model.IQ2_XXS-00001-of-00002.gguf";
/// "" when there is none.
std::string preset_in_file_name(std::string_view path);

/// What the tensors are made of, largest share of bytes first.
std::vector<ModelFile::Dtype> dtypes_of(const std::vector<TensorInfo>& tensors);

}  // namespace hwdb
