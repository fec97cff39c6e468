// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

#include "hwdb/quant_format.h"

namespace engine {

/// How one tensor type is read and made: plain loops, the truth that fast kernels are held against.
/// `n_weights` is a multiple of the type's block; source and target do not overlap.
struct QuantCodec {
  hwdb::TensorType type{};
  /// Writes n_weights floats.
  void (*decode)(const std::byte* from, std::size_t n_weights, float* to) = nullptr;
  /// Writes the blocks of n_weights floats, with the least squared error that a search finds;
  /// `importance` is null or one non-negative factor a weight that the error is weighed by. Where
  /// it is null, Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 round in their one obvious way, bit for bit as
  /// other programs do. A weight that is not finite counts as 0 in types with scales (see
  /// all_finite), and scales beyond the largest half-precision number are cut there. The blocks
  /// are the same on every machine. The function is null for a type that tokwatt reads but does not
  /// make.
  void (*encode)(const float* from, std::size_t n_weights, const float* importance,
                 std::byte* to) = nullptr;
};

/// Every type that the engine runs.
std::span<const QuantCodec> quant_codecs();
/// Null for a type that the engine does not run.
const QuantCodec* find_quant_codec(hwdb::TensorType type);

/// False when a weight is an infinity or NaN: a damaged file, that nothing should be made from.
bool all_finite(std::span<const float> weights);

}  // namespace engine
