// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cpu/panel_format.h"
#include "hwdb/quant_format.h"

namespace engine::cpu {

/// What is known of a panel format.
struct PanelLayout {
  PanelFormat format{};
  XForm x_form{};               // what it is multiplied with
  std::uint32_t columns = 1;    // of a block of a row
  std::uint32_t bytes = 0;      // of a block of a row, and so 1/16 of a panel's block
  std::uint32_t sub_block = 0;  // columns for each scale; 0: floats, no scales
  std::int32_t centre = 0;      // the code that means zero; 0: codes with a minimum to add
  /// Lays the rows (null: a row of zeros) of a panel side by side.
  void (*pack)(const std::byte* const (&rows)[kPanelRows], std::uint32_t n_cols,
               std::byte* panel) = nullptr;
};

/// Null for a type without panels.
const PanelLayout* find_panel_layout(hwdb::TensorType type);
/// Bytes of one panel; n_cols a multiple of the layout's columns.
std::size_t bytes_of_panel(const PanelLayout& layout, std::uint32_t n_cols);

/// Bytes of activations of one row in that form (0 for f32, which is not copied).
std::size_t record_bytes(XForm form, std::uint32_t n_cols);

}  // namespace engine::cpu
