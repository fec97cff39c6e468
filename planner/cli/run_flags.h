// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/run/sampler.h"

namespace cli {

struct Flag;

/// What only `run` takes.
struct RunFlags {
  std::string prompt, prompt_file;  // one of them
  std::string system;
  std::string chat;  // "" the family of the file, "none", or a name
  bool raw = false;  // the prompt as it is, the same as chat "none"
  std::optional<std::uint32_t> n_predict;
  engine::SamplerOptions sampler;
};

/// The flags of run; a part of flags().
std::span<const Flag> run_flags();

}  // namespace cli
