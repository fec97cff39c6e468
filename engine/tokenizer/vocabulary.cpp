// SPDX-License-Identifier: MIT
#include "engine/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "engine/tokenizer/byte_alphabet.h"
#include "hwdb/name_hash.h"
#include "hwdb/text_escape.h"

namespace engine {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens", kScores = "tokenizer.ggml.scores",
                           kTypes = "tokenizer.ggml.token_type", kMerges = "tokenizer.ggml.merges";
// Far above any real token and vocabulary.
constexpr std::uint64_t kTokenBytes = 64 * 1024, kVocabularyBytes = 256ull << 20;
// Of one token; two of them and a space.
constexpr std::uint64_t kMergeBytes = 2 * kTokenBytes + 1;
// Room made before merges are read; more grows.
constexpr std::uint64_t kReservedMerges = 1u << 19;
// Places looked at for one entry. A half full table of 2^24 entries needs below 100 by chance.
constexpr std::size_t kMaxSteps = 256;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

std::size_t slots_for(std::size_t n) {
  return std::bit_ceil(std::max<std::size_t>(n * 2, 16));
}

/// True when a space mark follows something else.
bool has_inner_space(std::string_view text) {
  for (std::size_t at = text.find(kSpaceMark, 1); at != std::string_view::npos;
       at = text.find(kSpaceMark, at + 1)) {
    if (at < kSpaceMark.size() ||
        text.substr(at - kSpaceMark.size(), kSpaceMark.size()) != kSpaceMark) {
      return true;
    }
  }
  return false;
}

class Reader {
 public:
  Reader(const hwdb::GgufFile& gguf, Vocabulary* out) : gguf_(gguf), out_(*out) {}

  hwdb::Status read_tokens() {
    const hwdb::GgufValue& tokens = *gguf_.find(kTokens);
    out_.texts.reserve(static_cast<std::size_t>(tokens.count));
    const bool marks_spaces = out_.spelling == Spelling::text;
    out_.splits_at_spaces = marks_spaces;
    hwdb::Status walked =
        for_each_text(kTokens, tokens, kTokenBytes, [&](std::uint64_t, std::string_view text) {
          out_.texts.add(text);
          if (marks_spaces && has_inner_space(text)) out_.splits_at_spaces = false;
          return out_.texts.bytes() <= kVocabularyBytes;
        });
    if (!walked) return walked;
    if (out_.texts.bytes() > kVocabularyBytes) {
      return gguf_.key_error("vocab.token_length", kTokens,
                             fmt::format("has over {} bytes of text", kVocabularyBytes));
    }
    if (!out_.texts.build_index()) return collision(kTokens);
    return hwdb::Ok{};
  }

  hwdb::Status read_numbers() {
    const std::size_t n = out_.texts.size();
    out_.types.assign(n, TokenType::normal);
    if (const hwdb::GgufValue* types = gguf_.find(kTypes); types != nullptr) {
      std::vector<std::uint32_t> raw(n);
      if (auto s = gguf_.file().read(types->offset, std::as_writable_bytes(std::span(raw))); !s) {
        return s;
      }
      std::ranges::transform(raw, out_.types.begin(), [](std::uint32_t type) {
        return type <= static_cast<std::uint32_t>(TokenType::byte) ? static_cast<TokenType>(type)
                                                                   : TokenType::undefined;
      });
    }
    if (const hwdb::GgufValue* scores = gguf_.find(kScores); scores != nullptr) {
      out_.scores.resize(n);
      return gguf_.file().read(scores->offset, std::as_writable_bytes(std::span(out_.scores)));
    }
    return hwdb::Ok{};
  }

  void find_byte_tokens() {
    for (std::size_t byte = 0; byte < out_.byte_tokens.size(); ++byte) {
      const auto value = static_cast<std::uint8_t>(byte);
      if (out_.spelling == Spelling::byte_alphabet) {
        out_.byte_tokens[byte] = out_.texts.find(ByteAlphabet::get().spell(value));
        continue;
      }
      TokenId id = out_.texts.find(fmt::format("<0x{:02X}>", byte));
      if (id != kNoToken && gguf_.find(kTypes) == nullptr) {
        out_.types[static_cast<std::size_t>(id)] = TokenType::byte;
      }
      const char plain = static_cast<char>(value);
      if (id == kNoToken) id = out_.texts.find({&plain, 1});
      out_.byte_tokens[byte] = id;
    }
  }

  hwdb::Status read_merges() {
    const hwdb::GgufValue* merges = gguf_.find(kMerges);
    if (merges == nullptr) {
      return gguf_.key_error("vocab.merge", kMerges, "is missing, expected merges of BPE tokens");
    }
    std::string joined, problem;
    bool collides = false;
    TokenId known = 0;
    out_.merges.reserve(std::min<std::uint64_t>(merges->count, kReservedMerges));
    hwdb::Status walked =
        for_each_text(kMerges, *merges, kMergeBytes, [&](std::uint64_t i, std::string_view text) {
          const std::size_t space = text.find(' ', 1);
          const bool has_space = !text.empty() && space != std::string_view::npos;
          const TokenId left = has_space ? out_.texts.find(text.substr(0, space)) : kNoToken;
          const TokenId right = has_space ? out_.texts.find(text.substr(space + 1)) : kNoToken;
          if (left == kNoToken || right == kNoToken) {
            problem = fmt::format("merge {} is \"{}\", expected two tokens with a space between", i,
                                  hwdb::escape_text(text, 80));
            return false;
          }
          joined.assign(text.substr(0, space)).append(text.substr(space + 1));
          if (out_.splits_at_spaces && has_inner_space(joined)) out_.splits_at_spaces = false;
          known = find_near(joined, known);
          collides = !out_.merges.add(left, right, {static_cast<std::uint32_t>(i), known});
          return !collides;
        });
    if (!walked) return walked;
    if (!problem.empty()) return gguf_.key_error("vocab.merge", kMerges, problem);
    if (collides) return collision(kMerges);
    return hwdb::Ok{};
  }

 private:
  /// Calls `visit(index, text)` until it returns false.
  template <class Visit>
  hwdb::Status for_each_text(std::string_view key, const hwdb::GgufValue& array,
                             std::uint64_t max_bytes, Visit&& visit) {
    hwdb::WindowReader in(gguf_.file(), array.offset);
    for (std::uint64_t i = 0; i < array.count; ++i) {
      std::uint64_t size = 0;
      if (!in.need(8)) return end_error(key, in);
      std::memcpy(&size, in.data(), 8);
      in.advance(8);
      if (size > max_bytes) {
        return gguf_.key_error(
            "vocab.token_length", key,
            fmt::format("entry {} has {} bytes, at most {} are taken", i, size, max_bytes));
      }
      if (!in.need(static_cast<std::size_t>(size))) return end_error(key, in);
      const bool more = visit(i, std::string_view(reinterpret_cast<const char*>(in.data()),
                                                  static_cast<std::size_t>(size)));
      in.advance(static_cast<std::size_t>(size));
      if (!more) break;
    }
    return hwdb::Ok{};
  }

  /// Merges stand mostly in the order of the tokens that they make, several for each: a look at the
  /// last one and its neighbour saves most searches.
  TokenId find_near(std::string_view text, TokenId last) const {
    for (TokenId id = std::max(last, 0); id < std::max(last, 0) + 2; ++id) {
      const auto i = static_cast<std::size_t>(id);
      if (i < out_.texts.size() && out_.texts[i] == text) return id;
    }
    return out_.texts.find(text);
  }

  hwdb::Error collision(std::string_view key) const {
    return gguf_.key_error("vocab.collision", key,
                           "has entries that were made to share one place of a table");
  }

  hwdb::Error end_error(std::string_view key, const hwdb::WindowReader& in) const {
    if (!in.status()) return in.status().error();
    return gguf_.key_error("file.changed", key, "ends before its last entry");
  }

  const hwdb::GgufFile& gguf_;
  Vocabulary& out_;
};

}  // namespace

void TextTable::reserve(std::size_t n_texts) {
  ends_.reserve(n_texts);
  block_.reserve(n_texts);
}

void TextTable::add(std::string_view text) {
  block_ += text;
  ends_.push_back(static_cast<std::uint32_t>(block_.size()));
  longest_ = std::max(longest_, text.size());
  if (!text.empty()) ++n_not_empty_;
}

bool TextTable::build_index() {
  slots_.assign(slots_for(n_not_empty_), {});
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < size(); ++id) {
    const std::string_view text = (*this)[id];
    if (text.empty()) continue;
    const std::uint64_t hash = hwdb::hash_text(text);
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t at = static_cast<std::size_t>(hash) & mask, steps = 0;
    bool is_known = false;
    while (slots_[at].id != kNoToken && !is_known) {
      is_known = slots_[at].tag == tag && (*this)[static_cast<std::size_t>(slots_[at].id)] == text;
      at = (at + 1) & mask;
      if (++steps > kMaxSteps) return false;
    }
    if (!is_known) slots_[at] = {tag, static_cast<TokenId>(id)};
  }
  return true;
}

TokenId TextTable::find(std::string_view text) const {
  if (text.empty() || text.size() > longest_) return kNoToken;
  const std::uint64_t hash = hwdb::hash_text(text);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = static_cast<std::size_t>(hash) & mask; slots_[at].id != kNoToken;
       at = (at + 1) & mask) {
    if (slots_[at].tag == tag && (*this)[static_cast<std::size_t>(slots_[at].id)] == text) {
      return slots_[at].id;
    }
  }
  return kNoToken;
}

void MergeTable::reserve(std::size_t n_merges) {
  slots_.assign(slots_for(n_merges), {});
}

bool MergeTable::insert(const Slot& slot) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash_of(slot.pair) & mask, steps = 0;
  while (slots_[at].pair != kFree) {
    if (slots_[at].pair == slot.pair) return true;
    at = (at + 1) & mask;
    if (++steps > kMaxSteps) return false;
  }
  slots_[at] = slot;
  ++used_;
  return true;
}

bool MergeTable::add(TokenId left, TokenId right, Merge merge) {
  if (used_ * 2 >= slots_.size()) {
    const std::vector<Slot> old = std::move(slots_);
    slots_.assign(std::max<std::size_t>(old.size() * 4, 1024), {});
    used_ = 0;
    for (const Slot& slot : old) {
      if (slot.pair != kFree && !insert(slot)) return false;
    }
  }
  return insert({pair_of(left, right), merge});
}

const Merge* MergeTable::find(TokenId left, TokenId right) const {
  if (slots_.empty() || left == kNoToken || right == kNoToken) return nullptr;
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash_of(pair) & mask; slots_[at].pair != kFree; at = (at + 1) & mask) {
    if (slots_[at].pair == pair) return &slots_[at].merge;
  }
  return nullptr;
}

std::optional<std::uint8_t> read_byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  unsigned value = 0;
  const char* end = text.data() + 5;
  if (std::from_chars(text.data() + 3, end, value, 16).ptr != end) return std::nullopt;
  return static_cast<std::uint8_t>(value);
}

hwdb::Result<Vocabulary> read_vocabulary(const hwdb::GgufFile& gguf, Spelling spelling,
                                         bool with_merges) {
  Vocabulary vocabulary;
  vocabulary.spelling = spelling;
  Reader reader(gguf, &vocabulary);
  if (auto s = reader.read_tokens(); !s) return s.error();
  if (auto s = reader.read_numbers(); !s) return s.error();
  reader.find_byte_tokens();
  if (with_merges) {
    if (auto s = reader.read_merges(); !s) return s.error();
  }
  return vocabulary;
}

}  // namespace engine
