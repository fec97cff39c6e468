// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace probes {

/// Which of a server's doors answers are asked at, and in which form.
enum class EndpointForm {
  llama_server,       // POST /completion
  ollama,             // POST /api/generate
  lmstudio,           // POST /api/v0/completions, whole answers
  completions_extra,  // POST /v1/completions with what llama.cpp, vLLM and SGLang take besides
  completions,        // the same without
  chat_extra,         // POST /v1/chat/completions, the same two
  chat,
};

/// Where that form is asked.
std::string_view path_of(EndpointForm form);
/// The body that asks for `n_gen` tokens after `prompt`, always the likeliest ones.
std::string request_body(EndpointForm form, std::string_view model, std::string_view prompt,
                         std::uint32_t n_gen);

/// Text of common English words in random order: new each time, so that nothing is in a cache.
class PromptMaker {
 public:
  PromptMaker() : random_(std::random_device{}()) {}
  std::string words(std::uint32_t count);

 private:
  std::mt19937_64 random_;
};

}  // namespace probes
