// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/run/sampler.h"
#include "engine/run/token_model.h"
#include "engine/tokenizer/tokenizer.h"
#include "hwdb/result.h"

namespace engine {

struct GenerationOptions {
  std::optional<std::uint32_t> n_tokens;  // at most; absent: until the answer or the context ends
  std::uint32_t n_batch = 2048;           // tokens of the prompt in one call
  SamplerOptions sampler;
  /// Called with text as it becomes known: whole characters only.
  std::function<void(std::string_view text)> on_text;
  /// Called while the prompt is run, with the tokens that are done.
  std::function<void(std::size_t done)> on_prompt;
};

enum class StopReason { answer_ended, token_limit, context_full, interrupted };
std::string_view to_string(StopReason reason);

/// An answer and what it took.
struct Generation {
  std::vector<TokenId> tokens;  // without the one that ended it
  std::string text;
  StopReason stop = StopReason::answer_ended;
  std::optional<hwdb::Error> full;  // what the context said, when it was full

  std::uint64_t n_prefill = 0, n_decode = 0;  // tokens that were run
  std::uint64_t prefill_ns = 0, decode_ns = 0;
  OpCounts prefill, decode;
};

/// Runs a prompt in sequence 0 and answers it token by token. The model's cancel flag ends it with
/// what there is. Errors: those of Context::decode for the prompt, and others than a full context
/// or an interruption later.
hwdb::Result<Generation> generate(TokenModel& model, const Tokenizer& tokenizer,
                                  std::span<const TokenId> prompt,
                                  const GenerationOptions& options);

}  // namespace engine
