// SPDX-License-Identifier: MIT
#include "engine/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/tokenizer/byte_alphabet.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/special_tokens.h"
#include "engine/tokenizer/text_encoder.h"
#include "engine/tokenizer/token_roles.h"
#include "engine/tokenizer/utf8.h"
#include "engine/tokenizer/vocabulary.h"
#include "hwdb/gguf_vocabulary.h"
#include "hwdb/text_escape.h"

namespace engine {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  while (true) {
    const std::size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

bool is_special(TokenType type) {
  return type == TokenType::control || type == TokenType::user_defined ||
         type == TokenType::unknown;
}

std::string lower_ascii(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

/// Which special tokens take the white space beside them along. Files do not say it; their names
/// do.
struct StripRule {
  bool phi3 = false, mask_strips_left = false;

  bool strips_right(std::string_view text) const {
    return phi3 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
  }
  bool strips_left(std::string_view text) const { return mask_strips_left && text == "<mask>"; }
};

}  // namespace

struct Tokenizer::Data {
  enum class Kind { bytes, raw, pieces } kind = Kind::pieces;
  Vocabulary vocabulary;
  const PreTokenizer* rule = nullptr;  // null for SentencePiece
  std::vector<std::uint32_t> ranks;    // by token, for SentencePiece
  SpecialTokens special;
  TokenRoles roles;
  bool adds_bos = false, adds_eos = false, adds_space = false;

  bool has(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < vocabulary.texts.size();
  }
  void build_special(const StripRule& strip);
  void encode_fragment(std::string_view text, bool after_special, TextEncoder* encoder,
                       std::vector<TokenId>* out) const;
};

void Tokenizer::Data::build_special(const StripRule& strip) {
  std::vector<SpecialTokens::Entry> entries;
  for (std::size_t i = 0; i < vocabulary.texts.size(); ++i) {
    const TokenType type = vocabulary.types[i];
    if (!is_special(type)) continue;
    const std::string_view text = vocabulary.texts[i];
    entries.push_back({text, static_cast<TokenId>(i), type != TokenType::user_defined,
                       strip.strips_left(text), strip.strips_right(text)});
  }
  special.build(std::move(entries));
}

void Tokenizer::Data::encode_fragment(std::string_view text, bool after_special,
                                      TextEncoder* encoder, std::vector<TokenId>* out) const {
  switch (kind) {
    case Kind::bytes:
      encoder->encode_bytes(text, out);
      return;
    case Kind::raw:
      encoder->encode_raw(replace_all(text, " ", kSpaceMark), out);
      return;
    case Kind::pieces: {
      std::string marked(adds_space && after_special ? kSpaceMark : "");
      marked += replace_all(text, " ", kSpaceMark);
      encoder->encode_pieces(marked, out);
      return;
    }
  }
}

Tokenizer::Tokenizer(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

hwdb::Result<Tokenizer> Tokenizer::open(const hwdb::GgufFile& gguf) {
  auto info = hwdb::read_gguf_vocabulary(gguf);
  if (!info) return info.error();
  if (info->n_tokens == 0) {
    return gguf.key_error("vocab.missing", "tokenizer.ggml.tokens",
                          "is missing or empty, expected the tokens");
  }
  auto data = std::make_unique<Data>();
  if (info->model == "gpt2" || info->model == "gemma4") {
    const std::string_view pre = info->model == "gemma4" ? "gemma4" : std::string_view(info->pre);
    data->rule = find_pre_tokenizer(pre.empty() ? "default" : pre);
    if (data->rule == nullptr) {
      return gguf.key_error(
          "vocab.unsupported", "tokenizer.ggml.pre",
          fmt::format("is \"{}\", a pre-tokenizer that is not known", hwdb::escape_text(pre, 80)));
    }
    data->kind = data->rule->raw_text ? Data::Kind::raw : Data::Kind::bytes;
    data->adds_bos = data->rule->adds_bos;
  } else if (info->model == "llama") {
    data->adds_bos = data->adds_space = true;
  } else {
    return gguf.key_error("vocab.unsupported", "tokenizer.ggml.model",
                          fmt::format("is \"{}\", expected llama, gpt2 or gemma4",
                                      hwdb::escape_text(info->model, 80)));
  }

  const bool is_bpe = data->rule != nullptr;
  auto vocabulary = read_vocabulary(
      gguf, data->kind == Data::Kind::bytes ? Spelling::byte_alphabet : Spelling::text, is_bpe);
  if (!vocabulary) return vocabulary.error();
  data->vocabulary = *std::move(vocabulary);
  auto roles = read_token_roles(gguf, !is_bpe, &data->vocabulary);
  if (!roles) return roles.error();
  data->roles = *std::move(roles);
  if (!is_bpe) data->ranks = ranks_by_score(data->vocabulary);

  for (const auto& [key, flag] :
       {std::pair{"tokenizer.ggml.add_bos_token", &Data::adds_bos},
        std::pair{"tokenizer.ggml.add_eos_token", &Data::adds_eos},
        std::pair{"tokenizer.ggml.add_space_prefix", &Data::adds_space}}) {
    auto value = gguf.boolean(key);
    if (!value) return value.error();
    if (*value) (*data).*flag = **value;
  }
  // Files of Gemma 4 say that it adds none; it does not work without.
  if (data->kind == Data::Kind::raw) data->adds_bos = true;
  if (is_bpe) data->adds_space = false;

  auto name = gguf.text("general.name", 256);
  if (!name) return name.error();
  const std::string lower_name = lower_ascii(name->value_or(""));
  StripRule strip;
  strip.phi3 =
      lower_name.find("phi-3") != std::string::npos || lower_name.find("phi3") != std::string::npos;
  strip.mask_strips_left =
      info->pre == "jina-v2-de" || info->pre == "jina-v2-es" || info->pre == "jina-v2-code";
  data->build_special(strip);
  return Tokenizer(std::move(data));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const Options& options) const {
  const Data& d = *data_;
  std::vector<TokenId> out;
  if (options.add_special && d.adds_bos && d.roles.bos) out.push_back(*d.roles.bos);
  // SentencePiece has byte tokens for what is no character; byte-level BPE files expect UTF-8.
  std::string replaced;
  if (d.rule != nullptr && valid_utf8_prefix(text) != text.size()) {
    replaced = replace_invalid_utf8(text);
    text = replaced;
  }
  const TokenId unknown = d.rule == nullptr && d.roles.unknown ? *d.roles.unknown : kNoToken;
  TextEncoder encoder(d.vocabulary, d.rule, d.ranks, unknown);
  bool after_special = true;
  for (const Fragment& fragment : d.special.partition(text, options.parse_special)) {
    if (fragment.token != kNoToken) {
      out.push_back(fragment.token);
      after_special = true;
    } else {
      d.encode_fragment(fragment.text, after_special, &encoder, &out);
      after_special = false;
    }
  }
  if (options.add_special && d.adds_eos && d.roles.eos) out.push_back(*d.roles.eos);
  return out;
}

std::string Tokenizer::piece(TokenId token, bool show_special) const {
  const Data& d = *data_;
  if (!d.has(token)) return {};
  const TokenType type = d.vocabulary.type(token);
  const std::string_view text = d.vocabulary.text(token);
  if (type == TokenType::user_defined) return std::string(text);
  if (type == TokenType::control || type == TokenType::unknown) {
    return std::string(show_special ? text : std::string_view());
  }
  if (type == TokenType::byte) {
    const auto byte = read_byte_token(text);
    return byte ? std::string(1, static_cast<char>(*byte)) : std::string();
  }
  if (d.kind == Data::Kind::bytes) return ByteAlphabet::get().read(text);
  return replace_all(text, kSpaceMark, " ");
}

std::string Tokenizer::decode(const std::vector<TokenId>& tokens, bool show_special) const {
  const Data& d = *data_;
  std::string out;
  bool after_special = true;
  for (const TokenId token : tokens) {
    if (!d.has(token)) continue;
    const std::string text = piece(token, show_special);
    const bool special = is_special(d.vocabulary.type(token));
    const bool takes_space = d.adds_space && after_special && !special && text.starts_with(' ');
    out += std::string_view(text).substr(takes_space ? 1 : 0);
    after_special = special;
  }
  return out;
}

std::size_t Tokenizer::n_tokens() const {
  return data_->vocabulary.texts.size();
}
std::optional<TokenId> Tokenizer::bos() const {
  return data_->roles.bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return data_->roles.eos;
}
bool Tokenizer::adds_bos() const {
  return data_->adds_bos;
}
bool Tokenizer::adds_space() const {
  return data_->adds_space;
}

bool Tokenizer::ends_answer(TokenId token) const {
  return std::ranges::binary_search(data_->roles.ends, token);
}

std::optional<TokenId> Tokenizer::find(std::string_view text) const {
  const TokenId id = data_->vocabulary.texts.find(text);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

std::string Detokenizer::push(TokenId token) {
  std::string piece = tokenizer_->piece(token);
  if (first_ && !piece.empty()) {
    if (tokenizer_->adds_space() && piece.front() == ' ') piece.erase(0, 1);
    first_ = false;
  }
  pending_ += piece;
  std::string out;
  std::string_view rest = pending_;
  while (true) {
    const std::size_t good = valid_utf8_prefix(rest);
    out += rest.substr(0, good);
    rest.remove_prefix(good);
    bool cut = false;
    if (rest.empty() || (valid_char_size(rest, &cut) == 0 && cut)) break;
    out += kReplacementChar;
    rest.remove_prefix(1);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string Detokenizer::finish() {
  std::string out = replace_invalid_utf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace engine
