// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "hwdb/gguf.h"
#include "hwdb/result.h"

namespace engine {

inline constexpr TokenId kNoToken = -1;

/// tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t {
  undefined,
  normal,
  unknown,
  control,
  user_defined,
  unused,
  byte
};

/// Texts by number, all in one block of memory, with a search by text.
class TextTable {
 public:
  void reserve(std::size_t n_texts);
  void add(std::string_view text);
  /// Makes find() work; afterwards nothing is added. Of equal texts the first is found. False when
  /// the texts were made to collide.
  [[nodiscard]] bool build_index();

  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(block_).substr(begin, ends_[i] - begin);
  }
  /// kNoToken when there is none.
  TokenId find(std::string_view text) const;
  std::size_t longest() const { return longest_; }
  std::size_t bytes() const { return block_.size(); }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    TokenId id = kNoToken;
  };
  std::string block_;
  std::vector<std::uint32_t> ends_;
  std::vector<Slot> slots_;
  std::size_t longest_ = 0, n_not_empty_ = 0;
};

/// Two tokens that become one, the lower rank first.
struct Merge {
  std::uint32_t rank = 0;
  TokenId joined = kNoToken;  // kNoToken when the joined text is no token
};

/// The merges of a BPE vocabulary by their pair of tokens.
class MergeTable {
 public:
  void reserve(std::size_t n_merges);
  /// Keeps the first of a pair that comes twice. False when the pairs were made to collide.
  [[nodiscard]] bool add(TokenId left, TokenId right, Merge merge);
  /// Null when the pair is not merged.
  const Merge* find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t pair = kFree;
    Merge merge;
  };
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  static std::uint64_t pair_of(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
  }
  static std::size_t hash_of(std::uint64_t pair) {
    pair *= 0x9E3779B97F4A7C15u;
    pair = (pair ^ pair >> 32) * 0xC2B2AE3D27D4EB4Fu;
    return static_cast<std::size_t>(pair >> 32);
  }
  bool insert(const Slot& slot);
  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

/// How tokens spell text.
enum class Spelling : std::uint8_t {
  byte_alphabet,  // each byte as one printable character (GPT-2)
  text            // as it is, U+2581 for a space, <0xHH> for bytes
};

/// The tokens of a file.
struct Vocabulary {
  Spelling spelling = Spelling::text;
  TextTable texts;  // as the file spells them
  std::vector<TokenType> types;
  std::vector<float> scores;  // empty: all equal
  MergeTable merges;
  std::array<TokenId, 256> byte_tokens{};
  /// True when no token has U+2581 after another character: words never join over a space.
  bool splits_at_spaces = false;

  TokenType type(TokenId id) const { return types[static_cast<std::size_t>(id)]; }
  std::string_view text(TokenId id) const { return texts[static_cast<std::size_t>(id)]; }
};

/// The byte that "<0xHH>" stands for; absent for other texts.
std::optional<std::uint8_t> read_byte_token(std::string_view text);

/// Reads tokens, scores, types and (for BPE) merges. Errors: vocab.token_length (a token of over
/// 64 KiB, or over 256 MiB in all), vocab.collision (made to be slow), vocab.merge, file.*.
hwdb::Result<Vocabulary> read_vocabulary(const hwdb::GgufFile& gguf, Spelling spelling,
                                         bool with_merges);

}  // namespace engine
