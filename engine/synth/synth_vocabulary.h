// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "engine/synth/synth_traits.h"
#include "hwdb/gguf_writer.h"
#include "hwdb/result.h"

namespace engine {

/// The smallest vocabulary that has all bytes and the control tokens.
inline constexpr std::uint64_t kSmallestVocabulary = 260;

/// Adds tokenizer.ggml.*: a made-up vocabulary of that size that encodes any text. Of the "llama"
/// kind with byte tokens and scores, or of the "gpt2" kind with byte characters and merges; words
/// are all combinations of letters, the commonest letters first. Error: synth.vocabulary (too
/// small).
hwdb::Status add_vocabulary_keys(std::uint64_t n_tokens, const SynthTraits& traits,
                                 hwdb::GgufKeys* keys);

}  // namespace engine
