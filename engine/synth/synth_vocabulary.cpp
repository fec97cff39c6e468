// SPDX-License-Identifier: MIT
#include "engine/synth/synth_vocabulary.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace engine {
namespace {

constexpr std::string_view kLetters = "etaoinshrdlucmfwypvbgkjqxz";
// llama.cpp looks for it in every model with Phi 3 in its name.
constexpr std::string_view kEndOfText = "<|endoftext|>";
constexpr std::string_view kSpaceMark = "\u2581";  // before a word in SentencePiece
enum TokenKind : std::int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

/// The words of letters in order: e, t, ..., z, ee, et, ...: number 1 is "e". Each word without its
/// last letter is an earlier word.
std::string word(std::uint64_t number) {
  std::string letters;
  for (; number > 0; number = (number - 1) / kLetters.size()) {
    letters.insert(letters.begin(), kLetters[(number - 1) % kLetters.size()]);
  }
  return letters;
}

std::string utf8(std::uint32_t point) {
  if (point < 0x80) return {static_cast<char>(point)};
  return {static_cast<char>(0xc0 | point >> 6), static_cast<char>(0x80 | (point & 0x3f))};
}

/// The printable character that stands for a byte in byte-level BPE: itself where it is one, else
/// one from 256 on.
std::vector<std::string> byte_characters() {
  std::vector<std::string> out;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) ||
                           (byte >= 0xae && byte <= 0xff);
    out.push_back(utf8(printable ? byte : next++));
  }
  return out;
}

struct Vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<float> scores;
  std::vector<std::int32_t> kinds;
  std::uint32_t bos = 0, eos = 0;

  void add(std::string text, TokenKind kind) {
    tokens.push_back(std::move(text));
    kinds.push_back(kind);
  }
};

Vocabulary sentence_pieces(std::uint64_t n) {
  Vocabulary v;
  v.add("<unk>", kUnknown);
  v.add("<s>", kControl);
  v.add("</s>", kControl);
  for (int byte = 0; byte < 256; ++byte) v.add(fmt::format("<0x{:02X}>", byte), kByte);
  v.bos = 1;
  v.eos = 2;
  v.add(std::string(kEndOfText), kControl);
  const std::uint64_t first = v.tokens.size();
  if (first < n) v.add(std::string(kSpaceMark), kNormal);
  for (char c = '!'; c <= '~' && v.tokens.size() < n; ++c) {
    if (c < 'a' || c > 'z') v.add(std::string(1, c), kNormal);
  }
  for (std::uint64_t number = 1; v.tokens.size() < n; ++number) {
    const std::string text = word(number);
    v.add(text, kNormal);
    if (v.tokens.size() < n) v.add(std::string(kSpaceMark) + text, kNormal);
  }
  // Longer pieces come later and would lose; a piece beats what it is made of when its score is
  // higher, so scores fall with the number as in a trained vocabulary.
  for (std::uint64_t i = 0; i < n; ++i) {
    v.scores.push_back(i < first ? 0.0f : -static_cast<float>(i - first));
  }
  return v;
}

Vocabulary byte_pairs(std::uint64_t n) {
  Vocabulary v;
  const std::vector<std::string> bytes = byte_characters();
  for (const std::string& text : bytes) v.add(text, kNormal);
  const std::uint64_t n_words = n - 2;  // the control tokens stand at the end
  const std::string& space = bytes[' '];
  const auto add = [&](const std::string& left, char right) {
    if (v.tokens.size() >= n_words) return;
    v.merges.push_back(fmt::format("{} {}", left, right));
    v.add(left + right, kNormal);
  };
  for (std::uint64_t number = 1; v.tokens.size() < n_words; ++number) {
    const std::string text = word(number), head = text.substr(0, text.size() - 1);
    if (!head.empty()) add(head, text.back());
    add(space + head, text.back());
  }
  v.bos = static_cast<std::uint32_t>(n - 2);
  v.eos = static_cast<std::uint32_t>(n - 1);
  v.add("<|begin_of_text|>", kControl);
  v.add(std::string(kEndOfText), kControl);
  return v;
}

}  // namespace

hwdb::Status add_vocabulary_keys(std::uint64_t n_tokens, const SynthTraits& traits,
                                 hwdb::GgufKeys* keys) {
  if (n_tokens < kSmallestVocabulary) {
    return hwdb::Error{
        "synth.vocabulary",
        fmt::format("{} tokens are too few: 256 bytes and the control tokens need {}", n_tokens,
                    kSmallestVocabulary),
        {},
        {}};
  }
  const bool pieces = traits.tokenizer == "llama";
  const Vocabulary v = pieces ? sentence_pieces(n_tokens) : byte_pairs(n_tokens);
  keys->add("tokenizer.ggml.model", traits.tokenizer);
  keys->add("tokenizer.ggml.pre", traits.pre);
  keys->add_texts("tokenizer.ggml.tokens", v.tokens);
  if (pieces) keys->add_array<float>("tokenizer.ggml.scores", v.scores);
  keys->add_array<std::int32_t>("tokenizer.ggml.token_type", v.kinds);
  if (!pieces) keys->add_texts("tokenizer.ggml.merges", v.merges);
  keys->add("tokenizer.ggml.bos_token_id", v.bos);
  keys->add("tokenizer.ggml.eos_token_id", v.eos);
  if (pieces) keys->add("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
  keys->add("tokenizer.ggml.add_bos_token", traits.add_bos);
  return keys->status();
}

}  // namespace engine
