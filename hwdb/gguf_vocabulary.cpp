// SPDX-License-Identifier: MIT
#include "hwdb/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "hwdb/limits.h"
#include "hwdb/name_hash.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens", kScores = "tokenizer.ggml.scores",
                           kTokenType = "tokenizer.ggml.token_type",
                           kMerges = "tokenizer.ggml.merges";
constexpr std::uint32_t kByteToken = 6;  // token_type of a byte
constexpr std::uint64_t kTemplateHeadBytes = 200;
// Longer texts are told apart by their length and their beginning; a whole one would not fit the
// window.
constexpr std::uint64_t kComparedBytes = 16 * 1024;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// "<0x0A>": exactly two hex digits.
bool is_byte_token(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' && is_hex(text[3]) &&
         is_hex(text[4]);
}

/// Calls `visit(index, text)` for each string of an array; stops when it returns false. Text beyond
/// kComparedBytes is left out.
template <class Visit>
Status for_each_string(const GgufFile& gguf, const GgufValue& array, Visit&& visit) {
  WindowReader in(gguf.file(), array.offset);
  for (std::uint64_t i = 0; i < array.count; ++i) {
    std::uint64_t length = 0;
    if (!in.need(8)) break;
    std::memcpy(&length, in.data(), 8);
    in.advance(8);
    const std::uint64_t seen = std::min(length, kComparedBytes);
    if (!in.need(static_cast<std::size_t>(seen))) break;
    const std::string_view text(reinterpret_cast<const char*>(in.data()),
                                static_cast<std::size_t>(seen));
    if (!visit(i, text)) return Ok{};
    in.skip(length);
  }
  return in.status();
}

class VocabularyReader {
 public:
  explicit VocabularyReader(const GgufFile& gguf) : gguf_(gguf) {}

  Result<VocabularyInfo> read() {
    if (Status s = read_texts(); !s) return s.error();
    if (Status s = check_lengths(); !s) return s.error();
    if (Status s = check_ids(); !s) return s.error();
    if (tokens_ == nullptr) return std::move(info_);
    if (Status s = read_tokens(); !s) return s.error();
    if (Status s = check_byte_tokens(); !s) return s.error();
    if (Status s = check_merges(); !s) return s.error();
    return std::move(info_);
  }

 private:
  Status read_texts() {
    for (const auto& [key, member] : {std::pair{"tokenizer.ggml.model", &VocabularyInfo::model},
                                      std::pair{"tokenizer.ggml.pre", &VocabularyInfo::pre}}) {
      auto text = gguf_.text(key, 256);
      if (!text) return text.error();
      info_.*member = text->value_or("");
    }
    auto chat = gguf_.text("tokenizer.chat_template", kTemplateHeadBytes);
    if (!chat) return chat.error();
    info_.has_chat_template = chat->has_value();
    info_.chat_template_head = chat->value_or("");
    return Ok{};
  }

  /// The array of that key with elements of one of the types; null when absent.
  Result<const GgufValue*> array(std::string_view key,
                                 std::initializer_list<GgufType> elements) const {
    const GgufValue* value = gguf_.find(key);
    if (value == nullptr) return value;
    if (value->type != GgufType::array ||
        std::ranges::find(elements, value->element) == elements.end()) {
      return gguf_.key_error("gguf.key_type", key,
                             fmt::format("is not an array of {}", to_string(*elements.begin())));
    }
    return value;
  }

  Status check_lengths() {
    const auto tokens = array(kTokens, {GgufType::string});
    if (!tokens) return tokens.error();
    const auto scores = array(kScores, {GgufType::f32});
    if (!scores) return scores.error();
    const auto types = array(kTokenType, {GgufType::i32, GgufType::u32});
    if (!types) return types.error();
    const auto merges = array(kMerges, {GgufType::string});
    if (!merges) return merges.error();
    tokens_ = *tokens;
    types_ = *types;
    merges_ = *merges;
    const std::uint64_t n = tokens_ != nullptr ? tokens_->count : 0;
    if (n > limits::kVocabulary) {
      return gguf_.key_error(
          "vocab.length", kTokens,
          fmt::format("has {} tokens, at most {} are read", n, limits::kVocabulary));
    }
    for (const auto& [key, other] : {std::pair{kScores, *scores}, std::pair{kTokenType, *types}}) {
      if (other != nullptr && other->count != n) {
        return gguf_.key_error("vocab.length", key,
                               fmt::format("has {} entries for {} tokens", other->count, n));
      }
    }
    info_.n_tokens = n;
    info_.n_merges = merges_ != nullptr ? merges_->count : 0;
    return Ok{};
  }

  Status check_ids() const {
    for (const std::string_view name :
         {"bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "cls", "mask"}) {
      const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
      const GgufValue* value = gguf_.find(key);
      if (value == nullptr) continue;
      auto id = gguf_.integer(key);
      if (!id) {
        Error error = id.error();
        if (error.code == "model.range") error.code = "vocab.id";
        return error;
      }
      if (tokens_ != nullptr && **id >= info_.n_tokens) {
        return gguf_.key_error(
            "vocab.id", key,
            fmt::format("is {}, expected less than the {} tokens", **id, info_.n_tokens));
      }
    }
    return Ok{};
  }

  Status read_tokens() {
    // A file without types still marks its bytes by their spelling.
    const bool guess_bytes = types_ == nullptr && info_.model == "llama";
    const bool want_hashes = merges_ != nullptr && merges_->count > 0;
    if (want_hashes) hashes_.reserve(static_cast<std::size_t>(info_.n_tokens));
    if (!want_hashes && types_ == nullptr && !guess_bytes) return Ok{};
    std::uint64_t bad = info_.n_tokens;
    Status walked = for_each_string(gguf_, *tokens_, [&](std::uint64_t i, std::string_view text) {
      if (want_hashes) hashes_.push_back(hash_text(text));
      if (text.starts_with("<0x")) {
        if (is_byte_token(text)) {
          byte_tokens_.push_back(static_cast<std::uint32_t>(i));
        } else if (guess_bytes && text.ends_with('>') && bad == info_.n_tokens) {
          bad = i;
        }
      }
      return true;
    });
    if (!walked) return walked;
    if (bad != info_.n_tokens) return byte_error(bad);
    return Ok{};
  }

  Error byte_error(std::uint64_t index) const {
    std::string shown;
    Status walked = for_each_string(gguf_, *tokens_, [&](std::uint64_t i, std::string_view text) {
      if (i == index) shown = escape_text(text, 40);
      return i < index;
    });
    if (!walked) return walked.error();
    return gguf_.key_error(
        "vocab.byte_token", kTokens,
        fmt::format("token {} is \"{}\", expected <0xHH> with two hex digits", index, shown));
  }

  /// Every token that is marked as a byte must spell one.
  Status check_byte_tokens() const {
    if (types_ == nullptr) return Ok{};
    WindowReader in(gguf_.file(), types_->offset);
    auto known = byte_tokens_.begin();
    std::uint32_t i = 0;
    while (i < types_->count) {
      if (!in.need(4)) return in.status();
      const std::size_t n =
          std::min<std::size_t>(in.visible() / 4, static_cast<std::size_t>(types_->count) - i);
      for (std::size_t k = 0; k < n; ++k, ++i) {
        std::uint32_t type = 0;
        std::memcpy(&type, in.data() + 4 * k, 4);
        if (type != kByteToken) continue;
        while (known != byte_tokens_.end() && *known < i) ++known;
        if (known == byte_tokens_.end() || *known != i) return byte_error(i);
      }
      in.advance(n * 4);
    }
    return Ok{};
  }

  /// A merge joins two pieces that are tokens, written with one space between; a piece may itself
  /// begin with a space.
  Status check_merges() {
    if (merges_ == nullptr || merges_->count == 0) return Ok{};
    const NameSet pieces(hashes_);
    hashes_ = {};
    std::string problem;
    Status walked = for_each_string(gguf_, *merges_, [&](std::uint64_t i, std::string_view text) {
      const std::size_t space = text.find(' ', 1);
      if (text.empty() || space == std::string_view::npos || space + 1 == text.size()) {
        problem = fmt::format("merge {} is \"{}\", expected two pieces with a space between", i,
                              escape_text(text, 80));
      } else if (!pieces.contains(hash_text(text.substr(0, space))) ||
                 !pieces.contains(hash_text(text.substr(space + 1)))) {
        problem = fmt::format("merge {} is \"{}\", whose pieces are not both tokens", i,
                              escape_text(text, 80));
      }
      return problem.empty();
    });
    if (!walked) return walked;
    if (!problem.empty()) return gguf_.key_error("vocab.merge", kMerges, problem);
    return Ok{};
  }

  const GgufFile& gguf_;
  VocabularyInfo info_;
  const GgufValue* tokens_ = nullptr;
  const GgufValue* types_ = nullptr;
  const GgufValue* merges_ = nullptr;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> byte_tokens_;  // ids, ascending
};

}  // namespace

Result<VocabularyInfo> read_gguf_vocabulary(const GgufFile& gguf) {
  return VocabularyReader(gguf).read();
}

}  // namespace hwdb
