// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/model/model_params.h"
#include "engine/model/model_weights.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace engine {

/// A part of a tensor that becomes a matrix: rows [first_row, first_row + n_rows) of each matrix of
/// the stack.
struct MatrixItem {
  const hwdb::TensorInfo* tensor = nullptr;
  std::uint32_t first_row = 0, n_rows = 0, n_cols = 0, n_matrices = 1;
  Matrix* target = nullptr;
};

/// A tensor that becomes floats.
struct VectorItem {
  const hwdb::TensorInfo* tensor = nullptr;
  std::uint64_t first = 0, n = 0;
  const float** target = nullptr;
};

/// What is to be loaded, and into which member; made of names and shapes alone.
struct WeightList {
  std::vector<MatrixItem> matrices;
  std::vector<VectorItem> vectors;
  const hwdb::TensorInfo* token_embedding = nullptr;
  const hwdb::TensorInfo* position_embedding = nullptr;  // null: none
};

/// Fills the list, whose targets point into `weights` (its layers are made here and must not be
/// resized afterwards). Error: run.tensor, naming the tensor and both shapes.
hwdb::Result<WeightList> find_weights(const hwdb::ModelFile& file, const ModelParams& params,
                                      ModelWeights* weights);

}  // namespace engine
