// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/panel_format.h"

/// The loops of products, one table for each instruction set. As panel_format.h: no inline
/// functions here.
namespace engine::cpu {

/// Packed panels times a few columns: to[x][16 * panel + row], row x of `to` beginning at
/// to + x * to_stride.
struct PanelJob {
  const std::byte* panels = nullptr;
  std::size_t panel_bytes = 0;
  unsigned n_panels = 0;
  unsigned n_cols = 0;
  const std::byte* const* x = nullptr;  // one pointer a column: its records (or floats)
  unsigned n_x = 0;
  float* to = nullptr;
  std::size_t to_stride = 0;
};

/// One panel unpacked: a byte a code in groups (or floats, 16 rows for each column), and a float
/// scale and minimum for each row and 16 or 32 columns.
struct UnpackedPanel {
  std::uint8_t* codes = nullptr;
  float* scales = nullptr;
  float* minimums = nullptr;
};

/// The same product on unpacked panels, for many columns.
struct TileJob {
  const UnpackedPanel* panels = nullptr;
  unsigned n_panels = 0;
  unsigned n_cols = 0;
  const std::byte* const* x = nullptr;
  unsigned n_x = 0;
  float* to = nullptr;
  std::size_t to_stride = 0;
};

struct MatMulKernels {
  /// Indexed by PanelFormat.
  void (*multiply_panels[kPanelFormats])(const PanelJob* job);
  void (*unpack[kPanelFormats])(const std::byte* panel, unsigned n_cols, const UnpackedPanel* to);
  void (*multiply_tiles[kPanelFormats])(const TileJob* job);
  /// Indexed by XForm; null for f32. `to` receives the records of n_cols floats.
  void (*quantize[kXForms])(const float* from, unsigned n_cols, std::byte* to);
};

/// Null where this build has none. Calling what the processor lacks ends the program: ask isa.h.
const MatMulKernels* plain_mat_mul_kernels();  // never null
const MatMulKernels* avx2_mat_mul_kernels();
const MatMulKernels* avx_vnni_mat_mul_kernels();
const MatMulKernels* avx512_mat_mul_kernels();
const MatMulKernels* avx512_vnni_mat_mul_kernels();
const MatMulKernels* neon_mat_mul_kernels();
const MatMulKernels* neon_dotprod_mat_mul_kernels();
const MatMulKernels* neon_i8mm_mat_mul_kernels();

}  // namespace engine::cpu
