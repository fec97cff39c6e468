// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace engine {

/// A set of characters by their classes (char_class.h).
struct CharSet {
  std::uint32_t classes = 0;
  bool inverted = false;
  bool has(std::uint32_t classes_of_char) const {
    return ((classes_of_char & classes) != 0) != inverted;
  }
  bool is_empty() const { return classes == 0 && !inverted; }
};

/// One thing that a rule looks for at a place of the text.
struct WordPattern {
  enum class Kind : std::uint8_t {
    run,            // [before]? body{min,max} after*
    signed_run,     // before body+
    cased_letters,  // [before]? letters split where A-Z follows a-z, then a contraction
    contraction,    // 's 't 'm 'd 're 've 'll
    contraction_nocase,
    line_ends,          // white space up to its last line end
    white_space,        // white space but for its last character before something else
    final_white_space,  // white space at the end
  } kind = Kind::run;
  CharSet before{}, body{}, after{};
  std::uint8_t min = 1, max = 0;  // characters of the body; max 0: any number
  bool takes_contraction = false;
};

/// A pass over the pieces: finds its patterns, the first that fits at each place; what lies between
/// becomes a piece as well.
using PreTokenizerPass = std::span<const WordPattern>;

/// How a family of byte-level or raw BPE vocabularies is cut into words.
struct PreTokenizer {
  std::string_view name;  // as tokenizer.ggml.pre has it
  std::span<const PreTokenizerPass> passes;
  bool whole_words = false;  // a word that is a token is taken without merging
  bool adds_bos = false;     // unless the file says otherwise
  // Tokens are text with U+2581 for spaces, not the byte alphabet; line ends that are a token are
  // taken without merging.
  bool raw_text = false;
};

/// By the name in the file; null when there is none.
const PreTokenizer* find_pre_tokenizer(std::string_view name);
std::span<const PreTokenizer> pre_tokenizers();

/// Cuts valid UTF-8 text into words and calls `visit` for each, in order and without gaps. Linear
/// in the text.
void split_words(std::string_view text, const PreTokenizer& rule,
                 const std::function<void(std::string_view word)>& visit);

}  // namespace engine
