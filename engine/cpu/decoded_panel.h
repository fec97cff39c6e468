// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cpu/panel_layout.h"

namespace engine::cpu {

/// For a type without panels: the layout that decode_panel makes of its rows. Null for a type that
/// has panels, or that the engine does not run.
const PanelLayout* find_decoded_layout(hwdb::TensorType type);
/// Decodes up to 16 rows of a type without panels into one panel.
void decode_panel(hwdb::TensorType type, const std::byte* const (&rows)[kPanelRows],
                  std::uint32_t n_cols, std::byte* panel);

}  // namespace engine::cpu
