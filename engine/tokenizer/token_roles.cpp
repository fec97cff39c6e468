// SPDX-License-Identifier: MIT
#include "engine/tokenizer/token_roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>

namespace engine {
namespace {

constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<|flush|>",
                                          "<|calls|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "</s>",
                                          "<|eom_id|>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<|end_of_text|>",
                                          "<end_of_utterance>",
                                          "<eos>",
                                          "<turn|>",
                                          "<|tool_response>",
                                          "<｜end▁of▁sentence｜>",
                                          "[e~["};

/// Tokens that fill-in-the-middle models use; a key of the file comes before the texts.
struct FimRole {
  std::string_view key, old_key;
  bool ends_answer;
  std::span<const std::string_view> texts;
};
constexpr std::string_view kFimPrefix[] = {"<|fim_prefix|>",  "<fim-prefix>", "<fim_prefix>",
                                           "<｜fim▁begin｜>", "<PRE>",        "▁<PRE>",
                                           "<|code_prefix|>", "<|prefix|>"};
constexpr std::string_view kFimSuffix[] = {"<|fim_suffix|>",  "<fim-suffix>", "<fim_suffix>",
                                           "<｜fim▁hole｜>",  "<SUF>",        "▁<SUF>",
                                           "<|code_suffix|>", "<|suffix|>"};
constexpr std::string_view kFimMiddle[] = {"<|fim_middle|>",  "<fim-middle>", "<fim_middle>",
                                           "<｜fim▁end｜>",   "<MID>",        "▁<MID>",
                                           "<|code_middle|>", "<|middle|>"};
constexpr std::string_view kFimPad[] = {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"};
constexpr std::string_view kFimRepository[] = {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>",
                                               "<REPO>", "<reponame>"};
constexpr std::string_view kFimSeparator[] = {"<|file_sep|>"};
constexpr FimRole kFimRoles[] = {
    {"fim_pre", "prefix", false, kFimPrefix}, {"fim_suf", "suffix", false, kFimSuffix},
    {"fim_mid", "middle", false, kFimMiddle}, {"fim_pad", "", true, kFimPad},
    {"fim_rep", "", true, kFimRepository},    {"fim_sep", "", true, kFimSeparator}};

// What gpt-oss writes between its channels is part of the answer.
constexpr std::string_view kChannelTexts[] = {"<|channel|>", "<|message|>", "<|start|>",
                                              "<|constrain|>"};

class Reader {
 public:
  Reader(const hwdb::GgufFile& gguf, Vocabulary* vocabulary)
      : gguf_(gguf), vocabulary_(*vocabulary) {}

  hwdb::Result<TokenRoles> read(bool is_sentence_piece) {
    for (const auto& [name, member, otherwise] :
         {std::tuple{"unknown", &TokenRoles::unknown, 0}, std::tuple{"bos", &TokenRoles::bos, 1},
          std::tuple{"eos", &TokenRoles::eos, 2}}) {
      auto id = read_id(name);
      if (!id) return id.error();
      roles_.*member = *id;
      if (!*id && is_sentence_piece && static_cast<std::size_t>(otherwise) < n_tokens()) {
        roles_.*member = otherwise;
      }
    }
    for (const FimRole& role : kFimRoles) {
      if (auto s = read_fim(role); !s) return s.error();
    }
    for (const std::string_view text : kEndTexts) mark_control(text, true);
    for (const std::string_view text : kChannelTexts) set_type(text, TokenType::user_defined);
    if (roles_.eos) add_end(*roles_.eos);
    for (const char* name : {"eot", "eom"}) {
      auto id = read_id(name);
      if (!id) return id.error();
      if (*id) add_end(**id);
    }
    drop_ends_that_are_not();
    std::ranges::sort(roles_.ends);
    roles_.ends.erase(std::unique(roles_.ends.begin(), roles_.ends.end()), roles_.ends.end());
    return std::move(roles_);
  }

 private:
  std::size_t n_tokens() const { return vocabulary_.texts.size(); }

  hwdb::Result<std::optional<TokenId>> read_id(std::string_view name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    auto value = gguf_.integer(key);
    if (!value) return value.error();
    if (!*value) return std::optional<TokenId>();
    if (**value >= n_tokens()) {
      return gguf_.key_error(
          "vocab.id", key,
          fmt::format("is {}, expected less than the {} tokens", **value, n_tokens()));
    }
    return std::optional(static_cast<TokenId>(**value));
  }

  hwdb::Status read_fim(const FimRole& role) {
    for (const std::string_view key : {role.key, role.old_key}) {
      if (key.empty()) continue;
      auto id = read_id(key);
      if (!id) return id.error();
      if (!*id) continue;
      if (role.ends_answer) add_end(**id);
      return hwdb::Ok{};
    }
    for (const std::string_view text : role.texts) mark_control(text, role.ends_answer);
    return hwdb::Ok{};
  }

  void add_end(TokenId id) { roles_.ends.push_back(id); }

  void mark_control(std::string_view text, bool ends_answer) {
    const TokenId id = vocabulary_.texts.find(text);
    if (id == kNoToken) return;
    vocabulary_.types[static_cast<std::size_t>(id)] = TokenType::control;
    if (ends_answer) add_end(id);
  }

  bool set_type(std::string_view text, TokenType type) {
    const TokenId id = vocabulary_.texts.find(text);
    if (id != kNoToken) vocabulary_.types[static_cast<std::size_t>(id)] = type;
    return id != kNoToken;
  }

  bool is_end(std::string_view text) const {
    const TokenId id = vocabulary_.texts.find(text);
    return id != kNoToken && std::ranges::find(roles_.ends, id) != roles_.ends.end();
  }

  void drop_end(std::string_view text, TokenType type) {
    std::erase(roles_.ends, vocabulary_.texts.find(text));
    set_type(text, type);
  }

  /// Texts that end answers in most files and mean something else beside these others.
  void drop_ends_that_are_not() {
    const bool is_harmony = is_end("<|return|>") && is_end("<|call|>");
    const bool is_solar = is_end("<|flush|>") && (is_end("<|call|>") || is_end("<|calls|>"));
    if ((is_harmony || is_solar) && is_end("<|end|>")) drop_end("<|end|>", TokenType::user_defined);
    if (is_end("<|tool_response>") && is_end("</s>")) drop_end("</s>", TokenType::normal);
  }

  const hwdb::GgufFile& gguf_;
  Vocabulary& vocabulary_;
  TokenRoles roles_;
};

}  // namespace

hwdb::Result<TokenRoles> read_token_roles(const hwdb::GgufFile& gguf, bool is_sentence_piece,
                                          Vocabulary* vocabulary) {
  return Reader(gguf, vocabulary).read(is_sentence_piece);
}

}  // namespace engine
