// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "planner/fitting/measured_rows.h"

/// What the columns for people say, as far as a rule or the estimator needs it.
namespace fitting {

/// In lower case, ASCII only.
std::string lowered(std::string_view text);
/// True when `text` holds `words`, which must be in lower case; case does not matter.
bool says(std::string_view text, std::string_view words);
/// Parts between `separator`, blanks trimmed, empty ones left out; separators inside parentheses
/// are part of the text.
std::vector<std::string> parts_of(std::string_view text, char separator);

/// "cuda" for "CUDA", "CUDA+CPU" and "cuda"; "metal" for "MTL,BLAS"; what is not known in lower
/// case.
std::string backend_of(std::string_view words);

/// Reads notes and placement words into `row`: micro-batch, batch, threads, split mode, layers on
/// the card, experts in RAM, host and memory.
void read_notes(MeasuredRow* row);
/// The notes again, with no more than read_notes() and the rules need.
std::string short_notes(const MeasuredRow& row);

/// How much of a model the source says is on the card.
enum class Placement {
  all,
  cpu,
  layers,   // reading.n_gpu_layers of them; it may be all
  experts,  // all but experts: reading.n_cpu_moe layers' experts in RAM
  unclear
};
Placement placement_of(const MeasuredRow& row);

}  // namespace fitting
