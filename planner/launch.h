// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "planner/plan.h"

namespace planner {

/// The line that starts llama.cpp's server as planned. A model that is no file yet gets the usual
/// file name.
std::string llama_server_line(const Plan& plan);
/// The lines that make the model known to Ollama with the planned settings and start it; "" when
/// Ollama has no setting for the plan (experts kept in RAM, tensor overrides, formats other than
/// GGUF).
std::string ollama_line(const Plan& plan);
/// The environment that Ollama's server needs for the plan, as a line that starts it; "" when its
/// defaults do.
std::string ollama_serve_line(const Plan& plan);

/// `text` as one word of a POSIX shell.
std::string shell_word(std::string_view text);

}  // namespace planner
