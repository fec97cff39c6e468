// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace engine::cpu {

/// The sets of instructions that kernels are written for, plainest first. Each has one row of
/// kernels in a file of its own, with compile flags of its own.
enum class Isa { plain, avx2, avx_vnni, avx512, avx512_vnni, neon, neon_dotprod, neon_i8mm };

std::string_view to_string(Isa isa);
/// Those that this build has and this processor runs, plainest first.
std::span<const Isa> available_isas();
/// The one in use: the best available, or what force_isa chose.
Isa current_isa();
/// Makes every later call use `isa`, which must be available; empty takes the best again. Not
/// while kernels run.
void force_isa(std::optional<Isa> isa);
/// Absent for a name that is none of to_string's.
std::optional<Isa> find_isa(std::string_view name);

}  // namespace engine::cpu
