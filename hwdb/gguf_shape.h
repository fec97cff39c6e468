// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hwdb/gguf.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// A shape and what was noticed while it was read.
struct ShapeReading {
  ModelShape shape;
  std::vector<std::string> warnings, unknown_terms;
};

/// The shape of a model from its GGUF keys and, where they are there, its tensors. `n_tokens` is
/// the length of the token list, 0 when there is none. An architecture without a row of traits
/// gives what the keys say, with known_architecture false. Errors: model.missing_key, model.range,
/// model.array_length, model.inconsistent, gguf.key_type.
Result<ShapeReading> read_gguf_shape(const GgufFile& gguf, std::span<const TensorInfo> tensors,
                                     std::uint64_t n_tokens);

/// Checks the arrays and sizes of a projector file (mmproj). Errors: model.array_length,
/// model.range, gguf.key_type.
Status check_gguf_projector(const GgufFile& gguf);

}  // namespace hwdb
