// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "engine/runtime/vulkan_compute.h"

namespace probes {

/// A kernel that keeps `rows` x `columns` accumulators of one cooperative-matrix shape in
/// registers: in each turn every accumulator takes `rows` products, the one at (i, j) in turn's
/// step s being A[(i + s) mod rows] * B[j].
struct MatrixKernel {
  engine::MatrixShape shape;
  std::uint32_t rows = 2, columns = 2;
  std::uint32_t workgroup_size = 128;

  /// Two operations for each multiply-add, of one subgroup in one turn.
  std::uint64_t operations_per_turn() const {
    return std::uint64_t{2} * shape.m * shape.n * shape.k * rows * rows * columns;
  }
};

/// SPIR-V for it, written here because the GLSL compiler of Debian 12 knows no
/// VK_KHR_cooperative_matrix. Buffers: 0 the A tiles one after the other, row by row, 1 the B tiles
/// likewise, 2 the accumulators of each subgroup of each workgroup. Push constants: the number of
/// turns; a mask for the workgroup's number, so that many workgroups write the same results to few
/// places. Empty when a number type of the shape has no such kernel.
std::vector<std::uint32_t> make_matrix_shader(const MatrixKernel& kernel);

}  // namespace probes
