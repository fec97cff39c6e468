// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/synth/synth_traits.h"
#include "hwdb/gguf_writer.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace engine {

/// Adds the architecture's keys of a shape, as llama.cpp's converter names them: what
/// read_gguf_shape reads back, and the numbers that the graph needs besides. Keys that are there
/// already are left.
void add_shape_keys(const hwdb::ModelShape& shape, const SynthTraits& traits, hwdb::GgufKeys* keys);

/// general.file_type of a preset; absent for presets without a number of their own.
std::optional<std::uint32_t> file_type_of(std::string_view preset);

}  // namespace engine
