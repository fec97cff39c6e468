// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/vocabulary.h"
#include "engine/tokenizer/word_merger.h"

namespace engine {

/// Turns text without special tokens into tokens. One for each call of encode(): it keeps scratch
/// memory.
class TextEncoder {
 public:
  TextEncoder(const Vocabulary& vocabulary, const PreTokenizer* rule,
              const std::vector<std::uint32_t>& ranks, TokenId unknown)
      : vocabulary_(vocabulary), rule_(rule), ranks_(ranks), unknown_(unknown) {}

  /// Byte-level BPE, of valid UTF-8.
  void encode_bytes(std::string_view text, std::vector<TokenId>* out);
  /// BPE with merges over text, of valid UTF-8 with U+2581 for spaces.
  void encode_raw(std::string_view text, std::vector<TokenId>* out);
  /// SentencePiece BPE by scores, of any bytes with U+2581 for spaces.
  void encode_pieces(std::string_view text, std::vector<TokenId>* out);

 private:
  /// Words that came lately and where their tokens are in the output.
  struct SeenWord {
    std::string_view text;
    std::size_t begin = 0, size = 0;
  };
  template <class Encode>
  void encode_word(std::string_view word, std::vector<TokenId>* out, Encode&& encode);
  void start_fragment(std::string_view text);
  /// Cuts where a space mark follows something else; whole when tokens cross such places.
  template <class Visit>
  void for_each_spaced_word(std::string_view text, Visit&& visit) const;
  void merge_bytes(std::string_view word, std::vector<TokenId>* out);
  void merge_raw(std::string_view word, std::vector<TokenId>* out);
  void merge_pieces(std::string_view word, std::vector<TokenId>* out);
  void add_chars(std::string_view word);
  void join_by_merges();
  void put_symbols(std::string_view word, std::vector<TokenId>* out) const;
  TokenId find_whole(std::string_view word);
  void put_bytes(std::string_view bytes, std::vector<TokenId>* out) const;

  const Vocabulary& vocabulary_;
  const PreTokenizer* rule_;
  const std::vector<std::uint32_t>& ranks_;
  TokenId unknown_;
  WordMerger merger_;
  std::string spelled_;
  std::vector<SeenWord> seen_;
  bool remembers_ = false;
};

/// Ranks of tokens by score, best first.
std::vector<std::uint32_t> ranks_by_score(const Vocabulary& vocabulary);

/// Bytes of the character that begins with this byte, as SentencePiece counts them.
std::size_t piece_char_size(char first);

}  // namespace engine
