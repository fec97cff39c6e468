// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/gguf.h"
#include "hwdb/result.h"

namespace engine {

using TokenId = std::int32_t;

/// Text to tokens and back, by the vocabulary of a GGUF file. Safe to use from several threads.
class Tokenizer {
 public:
  struct Options {
    bool add_special = true;     // begin (and end) tokens as the file wants them
    bool parse_special = false;  // text such as "<|im_end|>" becomes the control token
  };

  /// Errors: those of read_gguf_vocabulary; vocab.missing (the file has no tokenizer);
  /// vocab.unsupported (a model or pre-tokenizer that we do not have; the message names it).
  static hwdb::Result<Tokenizer> open(const hwdb::GgufFile& gguf);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<TokenId> encode(std::string_view text, const Options& options) const;
  /// The bytes of one token: possibly a part of a UTF-8 character; "" for control tokens unless
  /// `show_special`, and for ids out of range.
  std::string piece(TokenId token, bool show_special = false) const;
  /// The text of several tokens; a leading space that the encoder put there is taken off.
  std::string decode(const std::vector<TokenId>& tokens, bool show_special = false) const;

  std::size_t n_tokens() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool adds_bos() const;
  /// True when the encoder puts a space before the text.
  bool adds_space() const;
  /// True for tokens at which an answer ends (eos, eot, <|im_end|> and their kin).
  bool ends_answer(TokenId token) const;
  /// The id of a token by its exact text; absent when there is none.
  std::optional<TokenId> find(std::string_view text) const;

 private:
  struct Data;
  explicit Tokenizer(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

/// Turns a stream of tokens into text as it comes: holds back the bytes of a character that is not
/// whole yet.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  /// The text that this token completes; "" while a character is incomplete.
  std::string push(TokenId token);
  /// What is left: bytes that never became a character, each as U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
  bool first_ = true;
};

}  // namespace engine
