// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/tokenizer.h"
#include "hwdb/gguf.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"

namespace engine::testing {

enum : std::int32_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

/// A vocabulary of a few hundred tokens that tests change and put into a GGUF file.
struct TinyVocab {
  std::string model, pre, name;
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  std::optional<std::uint32_t> bos, eos, unknown;
  std::optional<bool> add_bos, add_eos, add_space;

  TokenId add(std::string text, std::int32_t type = kNormal, float score = 0) {
    tokens.push_back(std::move(text));
    types.push_back(type);
    scores.push_back(score);
    return static_cast<TokenId>(tokens.size()) - 1;
  }
  /// A token and the merge that makes it.
  TokenId merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    return add(left + right);
  }
  void add_keys(hwdb::testing::GgufBuilder* b) const {
    using hwdb::GgufType;
    b->text("tokenizer.ggml.model", model);
    if (!pre.empty()) b->text("tokenizer.ggml.pre", pre);
    if (!name.empty()) b->text("general.name", name);
    b->texts("tokenizer.ggml.tokens", tokens);
    b->array("tokenizer.ggml.token_type", GgufType::i32, types);
    if (model == "llama") b->array("tokenizer.ggml.scores", GgufType::f32, scores);
    if (model != "llama") b->texts("tokenizer.ggml.merges", merges);
    const auto id = [&](std::string_view key, const std::optional<std::uint32_t>& value) {
      if (value) b->u32("tokenizer.ggml." + std::string(key) + "_token_id", *value);
    };
    id("bos", bos);
    id("eos", eos);
    id("unknown", unknown);
    const auto flag = [&](std::string_view key, const std::optional<bool>& value) {
      if (value) b->boolean("tokenizer.ggml." + std::string(key), *value);
    };
    flag("add_bos_token", add_bos);
    flag("add_eos_token", add_eos);
    flag("add_space_prefix", add_space);
  }
};

/// Byte-level BPE: all bytes, then "he" "ll" "llo" "hello" " w" " wo" "12" and three special ones.
inline TinyVocab tiny_bpe(std::string pre = "gpt-2") {
  TinyVocab v;
  v.model = "gpt2";
  v.pre = std::move(pre);
  for (int byte = 0; byte < 256; ++byte) {
    v.add(std::string(ByteAlphabet::get().spell(static_cast<std::uint8_t>(byte))));
  }
  v.merge("h", "e");
  v.merge("l", "l");
  v.merge("ll", "o");
  v.merge("he", "llo");
  v.merge("Ġ", "w");
  v.merge("Ġw", "o");
  v.merge("1", "2");
  v.bos = static_cast<std::uint32_t>(v.add("<|begin|>", kControl));
  v.eos = static_cast<std::uint32_t>(v.add("<|im_end|>", kControl));
  v.add("<tool>", kUserDefined);
  return v;
}

/// SentencePiece BPE: the three usual control tokens, all bytes, some pieces.
inline TinyVocab tiny_pieces() {
  TinyVocab v;
  v.model = "llama";
  v.unknown = static_cast<std::uint32_t>(v.add("<unk>", kUnknown));
  v.bos = static_cast<std::uint32_t>(v.add("<s>", kControl));
  v.eos = static_cast<std::uint32_t>(v.add("</s>", kControl));
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte) {
    v.add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", kByte);
  }
  const char* const pieces[] = {"▁",  "h",  "e",  "l",   "o",   "w",      "r",  "d",  "é", "▁▁",
                                "he", "ll", "▁h", "▁he", "llo", "▁hello", "▁w", "or", "ld"};
  float score = 0;
  for (const char* piece : pieces) v.add(piece, kNormal, score -= 1);
  return v;
}

/// BPE over text as Gemma 4 has it.
inline TinyVocab tiny_raw() {
  TinyVocab v = tiny_pieces();
  v.model = "gemma4";
  v.merges = {"h e", "l l", "ll o", "▁ w", "o r", "▁ ▁"};
  v.add("\n");
  v.add("\n\n");
  return v;
}

/// A file with that vocabulary and nothing else.
inline std::string build_file(const TinyVocab& vocab) {
  hwdb::testing::GgufBuilder b;
  vocab.add_keys(&b);
  return b.build();
}

inline hwdb::Result<Tokenizer> open_bytes(std::string_view bytes) {
  const hwdb::testing::TempFolder folder;
  auto file = hwdb::FileReader::open(folder.write("vocab.gguf", bytes));
  if (!file) return file.error();
  auto gguf = hwdb::GgufFile::open(*std::move(file));
  if (!gguf) return gguf.error();
  return Tokenizer::open(*gguf);
}

}  // namespace engine::testing
