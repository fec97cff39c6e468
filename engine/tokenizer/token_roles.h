// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/tokenizer/vocabulary.h"
#include "hwdb/gguf.h"
#include "hwdb/result.h"

namespace engine {

/// What single tokens are for, by the keys of a file and by well-known texts.
struct TokenRoles {
  std::optional<TokenId> bos, eos, unknown;
  std::vector<TokenId> ends;  // at which an answer ends; sorted
};

/// Finds the roles, and corrects the types of tokens whose texts say that they are control tokens
/// (many files have them as normal ones). SentencePiece files have the ids 0, 1, 2 where they do
/// not say. Errors: vocab.id, gguf.key_type.
hwdb::Result<TokenRoles> read_token_roles(const hwdb::GgufFile& gguf, bool is_sentence_piece,
                                          Vocabulary* vocabulary);

}  // namespace engine
