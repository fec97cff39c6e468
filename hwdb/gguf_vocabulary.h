// SPDX-License-Identifier: MIT
#pragma once

#include "hwdb/gguf.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// The tokenizer of a GGUF file, with its arrays checked against each other: lengths, ids, byte
/// tokens and merges. Empty when the file has none. Errors: vocab.length, vocab.id,
/// vocab.byte_token, vocab.merge, gguf.key_type, file.*.
Result<VocabularyInfo> read_gguf_vocabulary(const GgufFile& gguf);

}  // namespace hwdb
