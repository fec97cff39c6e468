// SPDX-License-Identifier: MIT
#include "engine/tokenizer/text_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/tokenizer/byte_alphabet.h"
#include "hwdb/name_hash.h"

namespace engine {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
// Texts below are done before the memory of seen words would pay.
constexpr std::size_t kRememberFrom = 4096;
constexpr std::size_t kSeenWords = 8192;  // a power of two
constexpr std::size_t kSeenBytes = 64;
// Positions in a word are 32 bits wide.
constexpr std::size_t kWordBytes = std::size_t{1} << 30;

}  // namespace

std::size_t piece_char_size(char first) {
  const unsigned high = static_cast<unsigned char>(first) >> 4;
  return high < 12 ? 1 : high < 14 ? 2 : high == 14 ? 3 : 4;
}

std::vector<std::uint32_t> ranks_by_score(const Vocabulary& vocabulary) {
  std::vector<std::uint32_t> ranks(vocabulary.texts.size());
  for (std::size_t i = 0; i < vocabulary.scores.size(); ++i) {
    const float score = vocabulary.scores[i];
    if (std::isnan(score)) {
      ranks[i] = std::numeric_limits<std::uint32_t>::max();
      continue;
    }
    // Bits that order as the numbers do; adding 0 makes one zero of both.
    const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);
    const std::uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
    ranks[i] = ~ascending;
  }
  return ranks;
}

void TextEncoder::start_fragment(std::string_view text) {
  remembers_ = text.size() >= kRememberFrom;
  if (remembers_) seen_.assign(kSeenWords, {});
}

template <class Encode>
void TextEncoder::encode_word(std::string_view word, std::vector<TokenId>* out, Encode&& encode) {
  if (!remembers_ || word.size() > kSeenBytes) {
    for (; word.size() > kWordBytes; word.remove_prefix(kWordBytes)) {
      encode(word.substr(0, kWordBytes));
    }
    encode(word);
    return;
  }
  SeenWord& seen = seen_[static_cast<std::size_t>(hwdb::hash_text(word)) & (kSeenWords - 1)];
  if (seen.text == word && seen.text.data() != nullptr) {
    const std::size_t begin = out->size();
    out->resize(begin + seen.size);
    std::copy_n(out->begin() + static_cast<std::ptrdiff_t>(seen.begin), seen.size,
                out->begin() + static_cast<std::ptrdiff_t>(begin));
    return;
  }
  const std::size_t begin = out->size();
  encode(word);
  seen = {word, begin, out->size() - begin};
}

void TextEncoder::encode_bytes(std::string_view text, std::vector<TokenId>* out) {
  start_fragment(text);
  split_words(text, *rule_, [&](std::string_view word) {
    encode_word(word, out, [&](std::string_view part) { merge_bytes(part, out); });
  });
}

void TextEncoder::encode_raw(std::string_view text, std::vector<TokenId>* out) {
  start_fragment(text);
  split_words(text, *rule_, [&](std::string_view line) {
    if (line.front() == '\n') {
      if (const TokenId whole = vocabulary_.texts.find(line); whole != kNoToken) {
        out->push_back(whole);
        return;
      }
    }
    for_each_spaced_word(line, [&](std::string_view word) {
      encode_word(word, out, [&](std::string_view part) { merge_raw(part, out); });
    });
  });
}

void TextEncoder::encode_pieces(std::string_view text, std::vector<TokenId>* out) {
  start_fragment(text);
  for_each_spaced_word(text, [&](std::string_view word) {
    encode_word(word, out, [&](std::string_view part) { merge_pieces(part, out); });
  });
}

template <class Visit>
void TextEncoder::for_each_spaced_word(std::string_view text, Visit&& visit) const {
  if (!vocabulary_.splits_at_spaces) {
    if (!text.empty()) visit(text);
    return;
  }
  std::size_t begin = 0;
  bool after_mark = true;
  for (std::size_t at = 0; at < text.size(); at += piece_char_size(text[at])) {
    const bool is_mark = text.substr(at, kSpaceMark.size()) == kSpaceMark;
    if (is_mark && !after_mark) {
      visit(text.substr(begin, at - begin));
      begin = at;
    }
    after_mark = is_mark;
  }
  if (begin < text.size()) visit(text.substr(begin));
}

TokenId TextEncoder::find_whole(std::string_view word) {
  if (word.size() > vocabulary_.texts.longest()) return kNoToken;
  spelled_.clear();
  const ByteAlphabet& alphabet = ByteAlphabet::get();
  for (const char c : word) spelled_ += alphabet.spell(static_cast<std::uint8_t>(c));
  return vocabulary_.texts.find(spelled_);
}

void TextEncoder::add_chars(std::string_view word) {
  merger_.clear();
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t size = std::min(piece_char_size(word[at]), word.size() - at);
    merger_.add(static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size),
                vocabulary_.texts.find(word.substr(at, size)));
    at += size;
  }
}

void TextEncoder::join_by_merges() {
  merger_.join([&](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
    const Merge* merge = vocabulary_.merges.find(left.token, right.token);
    return merge == nullptr ? std::nullopt : std::optional<Merge>(*merge);
  });
}

void TextEncoder::put_symbols(std::string_view word, std::vector<TokenId>* out) const {
  merger_.for_each([&](const Symbol& symbol) {
    if (symbol.token != kNoToken) {
      out->push_back(symbol.token);
    } else {
      put_bytes(word.substr(symbol.begin, symbol.size), out);
    }
  });
}

void TextEncoder::merge_bytes(std::string_view word, std::vector<TokenId>* out) {
  if (rule_->whole_words) {
    if (const TokenId whole = find_whole(word); whole != kNoToken) {
      out->push_back(whole);
      return;
    }
  }
  merger_.clear();
  for (std::uint32_t i = 0; i < word.size(); ++i) {
    merger_.add(i, 1, vocabulary_.byte_tokens[static_cast<unsigned char>(word[i])]);
  }
  join_by_merges();
  put_symbols(word, out);
}

void TextEncoder::merge_raw(std::string_view word, std::vector<TokenId>* out) {
  add_chars(word);
  join_by_merges();
  put_symbols(word, out);
}

void TextEncoder::merge_pieces(std::string_view word, std::vector<TokenId>* out) {
  add_chars(word);
  merger_.join([&](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
    const TokenId joined = vocabulary_.texts.find(word.substr(left.begin, left.size + right.size));
    if (joined == kNoToken) return std::nullopt;
    return Merge{ranks_[static_cast<std::size_t>(joined)], joined};
  });
  put_symbols(word, out);
}

void TextEncoder::put_bytes(std::string_view bytes, std::vector<TokenId>* out) const {
  for (const char c : bytes) {
    const TokenId token = vocabulary_.byte_tokens[static_cast<unsigned char>(c)];
    if (token != kNoToken) {
      out->push_back(token);
    } else if (unknown_ != kNoToken) {
      out->push_back(unknown_);
    }
  }
}

}  // namespace engine
