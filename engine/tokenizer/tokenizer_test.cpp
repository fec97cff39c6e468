// SPDX-License-Identifier: MIT
#include "engine/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <random>

#include "engine/tokenizer/testing/tiny_vocab.h"
#include "hwdb/name_hash.h"
#include "hwdb/testing/limits_watch.h"

namespace engine {
namespace {

using testing::build_file;
using testing::open_bytes;
using testing::TinyVocab;

constexpr Tokenizer::Options kPlain{.add_special = false, .parse_special = false};
constexpr Tokenizer::Options kParsed{.add_special = false, .parse_special = true};

Tokenizer open_vocab(const TinyVocab& vocab) {
  auto tokenizer = open_bytes(build_file(vocab));
  EXPECT_TRUE(tokenizer) << tokenizer.error().code << ": " << tokenizer.error().what;
  return *std::move(tokenizer);
}

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::string_view text,
                                   const Tokenizer::Options& options = kPlain) {
  std::vector<std::string> pieces;
  for (const TokenId id : tokenizer.encode(text, options)) {
    pieces.push_back(tokenizer.piece(id, true));
  }
  return pieces;
}
using Pieces = std::vector<std::string>;

TEST(ByteLevelBpe, MergesByRankFromTheLeft) {
  const Tokenizer t = open_vocab(testing::tiny_bpe());
  EXPECT_EQ(pieces_of(t, "hello world"), (Pieces{"hello", " wo", "r", "l", "d"}));
  // "ll" comes before "llo", of three l the first two.
  EXPECT_EQ(pieces_of(t, "lllo"), (Pieces{"ll", "l", "o"}));
  EXPECT_EQ(pieces_of(t, "1212 12"), (Pieces{"12", "12", " ", "12"}));
  EXPECT_EQ(pieces_of(t, ""), Pieces{});
}

TEST(ByteLevelBpe, JoinedTextThatIsNoTokenFallsIntoBytes) {
  TinyVocab v = testing::tiny_bpe();
  v.merges.push_back("x y");  // "xy" is no token
  EXPECT_EQ(pieces_of(open_vocab(v), "xyz"), (Pieces{"x", "y", "z"}));
}

TEST(ByteLevelBpe, WholeWordsBeforeMergesWhereTheRuleSaysSo) {
  TinyVocab v = testing::tiny_bpe("llama-bpe");
  const TokenId whole = v.add("Ġxyz");  // no merge leads there
  const Tokenizer t = open_vocab(v);
  EXPECT_EQ(t.encode("a xyz", kPlain), (std::vector<TokenId>{'a', whole}));
  v.pre = "gpt-2";
  EXPECT_EQ(pieces_of(open_vocab(v), " xyz"), (Pieces{" ", "x", "y", "z"}));
}

TEST(ByteLevelBpe, MissingByteTokensAreLeftOut) {
  TinyVocab v = testing::tiny_bpe();
  v.tokens[static_cast<std::size_t>('q')] = "another";
  EXPECT_EQ(pieces_of(open_vocab(v), "aqb"), (Pieces{"a", "b"}));
}

TEST(ByteLevelBpe, BytesThatAreNoCharacterBecomeReplacementCharacters) {
  const Tokenizer t = open_vocab(testing::tiny_bpe());
  const auto text_of = [&](std::string_view text) { return t.decode(t.encode(text, kPlain)); };
  EXPECT_EQ(text_of("a\xFF"
                    "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(text_of("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");                  // overlong
  EXPECT_EQ(text_of("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");  // surrogate
  EXPECT_EQ(text_of("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");                  // cut
  EXPECT_EQ(text_of(std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

TEST(SpecialTokens, UserDefinedAlwaysControlWhenAsked) {
  const Tokenizer t = open_vocab(testing::tiny_bpe());
  EXPECT_EQ(pieces_of(t, "a<tool>b"), (Pieces{"a", "<tool>", "b"}));
  EXPECT_EQ(t.encode("<|im_end|>", kParsed), std::vector<TokenId>{*t.eos()});
  EXPECT_EQ(t.encode("<|im_end|>", kPlain).size(), 10u);
  EXPECT_EQ(t.piece(*t.eos()), "");
  EXPECT_EQ(t.piece(*t.eos(), true), "<|im_end|>");
  EXPECT_EQ(t.decode({*t.bos(), 'a', *t.eos()}), "a");
}

TEST(SpecialTokens, BeginAndEndAsTheFileSays) {
  TinyVocab v = testing::tiny_bpe();
  const Tokenizer::Options options{.add_special = true, .parse_special = false};
  EXPECT_FALSE(open_vocab(v).adds_bos());
  EXPECT_EQ(pieces_of(open_vocab(v), "a", options), Pieces{"a"});
  v.add_bos = v.add_eos = true;
  EXPECT_EQ(pieces_of(open_vocab(v), "a", options), (Pieces{"<|begin|>", "a", "<|im_end|>"}));
  v.pre = "llama-bpe";  // adds one unless the file says no
  v.add_bos = v.add_eos = std::nullopt;
  EXPECT_TRUE(open_vocab(v).adds_bos());
  v.add_bos = false;
  EXPECT_FALSE(open_vocab(v).adds_bos());
}

TEST(SpecialTokens, Phi3TakesWhiteSpaceAfterThemAlong) {
  TinyVocab v = testing::tiny_pieces();
  v.add("<|user|>", testing::kControl);
  EXPECT_EQ(pieces_of(open_vocab(v), "<|user|>\n\nhe", kParsed),
            (Pieces{"<|user|>", " ", "\n", "\n", "he"}));
  v.name = "Phi-3 Mini";
  EXPECT_EQ(pieces_of(open_vocab(v), "<|user|>\n\nhe", kParsed), (Pieces{"<|user|>", " he"}));
}

TEST(SpecialTokens, TextsThatSayWhereAnswersEnd) {
  TinyVocab v = testing::tiny_bpe();
  const TokenId turn = v.add("<end_of_turn>");  // files have it as normal
  const TokenId end = v.add("<|end|>", testing::kControl);
  {
    const Tokenizer t = open_vocab(v);
    EXPECT_TRUE(t.ends_answer(*t.eos()));
    EXPECT_TRUE(t.ends_answer(turn));
    EXPECT_TRUE(t.ends_answer(end));
    EXPECT_FALSE(t.ends_answer(*t.bos()));
    EXPECT_FALSE(t.ends_answer(-1));
    EXPECT_FALSE(t.ends_answer(1 << 30));
    EXPECT_EQ(t.piece(turn), "");  // a control token now
  }
  // Harmony: <|end|> closes a channel, not the answer.
  v.add("<|return|>", testing::kControl);
  v.add("<|call|>", testing::kControl);
  v.add("<|channel|>", testing::kControl);
  const Tokenizer t = open_vocab(v);
  EXPECT_FALSE(t.ends_answer(end));
  EXPECT_EQ(t.piece(end), "<|end|>");
  EXPECT_EQ(t.piece(*t.find("<|channel|>")), "<|channel|>");
  EXPECT_TRUE(t.ends_answer(*t.find("<|return|>")));
}

TEST(SentencePiece, MergesByScoreWithByteFallback) {
  const Tokenizer t = open_vocab(testing::tiny_pieces());
  // The better scores join "he" first; "▁" + "he" and "▁he" + "llo" follow.
  EXPECT_EQ(pieces_of(t, "hello world"), (Pieces{" hello", " w", "or", "ld"}));
  EXPECT_EQ(pieces_of(t, "é!"), (Pieces{" ", "é", "!"}));
  EXPECT_EQ(t.encode("!", kPlain).back(), *t.find("<0x21>"));
  EXPECT_EQ(pieces_of(t, "\xFF"), (Pieces{" ", "\xFF"}));
  EXPECT_EQ(t.decode(t.encode("hello world", kPlain)), "hello world");
  EXPECT_EQ(t.encode("", {}), std::vector<TokenId>{1});
  EXPECT_TRUE(t.adds_bos());
  EXPECT_TRUE(t.adds_space());
}

TEST(SentencePiece, NoSpaceInFrontWhereTheFileSaysSo) {
  TinyVocab v = testing::tiny_pieces();
  v.add_space = false;
  const Tokenizer t = open_vocab(v);
  EXPECT_EQ(pieces_of(t, "hello"), (Pieces{"he", "llo"}));
  EXPECT_EQ(t.decode(t.encode(" hello", kPlain)), " hello");
}

TEST(SentencePiece, TokensAcrossSpacesAreFound) {
  TinyVocab v = testing::tiny_pieces();
  v.add("o▁", testing::kNormal, 5);
  EXPECT_EQ(pieces_of(open_vocab(v), "lo w"), (Pieces{" ", "l", "o ", "w"}));
}

TEST(SentencePiece, WithoutByteTokensTheUnknownOneStands) {
  TinyVocab v = testing::tiny_pieces();
  for (std::size_t i = 3; i < 259; ++i) {
    v.tokens[i] = "[unused" + std::to_string(i) + "]";
    v.types[i] = testing::kUnused;
  }
  const Tokenizer t = open_vocab(v);
  EXPECT_EQ(t.encode("h!", kPlain).back(), 0);
}

TEST(RawBpe, MergesTextAndKeepsLineEndsWhole) {
  const Tokenizer t = open_vocab(testing::tiny_raw());
  EXPECT_EQ(pieces_of(t, "hello  w\n\nh!"), (Pieces{"he", "llo", " ", " w", "\n\n", "h", "!"}));
  EXPECT_TRUE(t.adds_bos());
  EXPECT_EQ(t.decode(t.encode(" he wor\n", kPlain)), " he wor\n");
}

/// Texts of all kinds: letters, spaces, line ends, many scripts, marks.
std::string random_text(std::mt19937_64* random) {
  std::string text;
  const auto pick = [&](std::uint64_t n) { return (*random)() % n; };
  for (std::uint64_t n = pick(60); n > 0; --n) {
    switch (pick(5)) {
      case 0:
        text += "hello";
        break;
      case 1:
        text += " \n\t  \r\n"[pick(7)];
        break;
      case 2:
        text += static_cast<char>(pick(128));
        break;
      case 3:
        text += std::array{"é", "漢字", "👍🏽", "ʼn", "\u0301", "क्षि"}[pick(6)];
        break;
      default:
        text += "he'LL 123 wo!?";
        break;
    }
  }
  return text;
}

TEST(Tokenizers, DecodeGivesTheTextBack) {
  std::mt19937_64 random(7);
  for (const TinyVocab& vocab :
       {testing::tiny_bpe(), testing::tiny_bpe("deepseek-v3"), testing::tiny_bpe("falcon"),
        testing::tiny_pieces(), testing::tiny_raw()}) {
    const Tokenizer t = open_vocab(vocab);
    for (int i = 0; i < 500; ++i) {
      const std::string text = random_text(&random);
      const auto tokens = t.encode(text, kPlain);
      ASSERT_EQ(t.decode(tokens, true), text) << vocab.model << " " << vocab.pre;
      Detokenizer stream(t);
      std::string streamed;
      for (const TokenId id : tokens) streamed += stream.push(id);
      ASSERT_EQ(streamed + stream.finish(), text);
    }
  }
}

TEST(Tokenizers, RememberedWordsAreTheSameAsNewOnes) {
  // Long texts keep the words that came before; the result must not show it. There are more words
  // of one length than are kept, so that they share places.
  std::mt19937_64 random(11);
  for (const TinyVocab& vocab : {testing::tiny_bpe("llama-bpe"), testing::tiny_pieces()}) {
    const Tokenizer t = open_vocab(vocab);
    std::string text;
    std::vector<TokenId> expected;
    for (int i = 0; i < 20'000; ++i) {
      // Each begins with a space, so that no word goes over their border.
      std::string word = " ";
      for (int k = 0; k < 4; ++k) word += "helowrdq"[random() % 8];
      const auto tokens = t.encode(t.adds_space() ? word.substr(1) : word, kPlain);
      expected.insert(expected.end(), tokens.begin(), tokens.end());
      text += word;
    }
    ASSERT_EQ(t.encode(t.adds_space() ? text.substr(1) : text, kPlain), expected);
  }
}

TEST(Detokenizer, HoldsBackCharactersThatAreNotWhole) {
  const Tokenizer t = open_vocab(testing::tiny_bpe());
  Detokenizer stream(t);
  const auto tokens = t.encode("a漢", kPlain);
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(stream.push(tokens[0]), "a");
  EXPECT_EQ(stream.push(tokens[1]), "");
  EXPECT_EQ(stream.push(tokens[2]), "");
  EXPECT_EQ(stream.push(tokens[3]), "漢");
  EXPECT_EQ(stream.push(tokens[1]), "");
  // Another character begins: what was held will never be one.
  EXPECT_EQ(stream.push(tokens[0]),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream.push(tokens[1]), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Detokenizer, TakesTheFirstSpaceOff) {
  const Tokenizer t = open_vocab(testing::tiny_pieces());
  Detokenizer stream(t);
  EXPECT_EQ(stream.push(*t.bos()), "");
  EXPECT_EQ(stream.push(*t.find("▁hello")), "hello");
  EXPECT_EQ(stream.push(*t.find("▁hello")), " hello");
}

TEST(Tokenizers, IdsOutOfRangeAreNothing) {
  const Tokenizer t = open_vocab(testing::tiny_bpe());
  EXPECT_EQ(t.piece(-1, true), "");
  EXPECT_EQ(t.piece(static_cast<TokenId>(t.n_tokens()), true), "");
  EXPECT_EQ(t.decode({-5, 'a', 1 << 30}), "a");
  EXPECT_FALSE(t.find("no such token"));
  EXPECT_EQ(t.find("hello"), 259);
}

std::string error_code(const TinyVocab& vocab) {
  const hwdb::testing::Watchdog watchdog;
  auto tokenizer = open_bytes(build_file(vocab));
  return tokenizer ? "ok" : tokenizer.error().code;
}

TEST(MalformedVocabularies, EndInCodedErrors) {
  EXPECT_EQ(error_code(testing::tiny_bpe()), "ok");
  {
    TinyVocab v = testing::tiny_bpe("no-such-rule");
    auto tokenizer = open_bytes(build_file(v));
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, "vocab.unsupported");
    EXPECT_NE(tokenizer.error().what.find("no-such-rule"), std::string::npos);
    v.pre = "";  // none: the default
    EXPECT_EQ(error_code(v), "ok");
    v.model = "bert";
    EXPECT_EQ(error_code(v), "vocab.unsupported");
  }
  TinyVocab v = testing::tiny_bpe();
  v.tokens.clear();
  v.types.clear();
  EXPECT_EQ(open_bytes(build_file(v)).error().code, "vocab.id");
  v.bos = v.eos = std::nullopt;
  v.merges.clear();
  EXPECT_EQ(error_code(v), "vocab.missing");

  v = testing::tiny_bpe();
  v.merges.push_back("h nowhere");
  EXPECT_EQ(error_code(v), "vocab.merge");
  v.merges.back() = "h";
  EXPECT_EQ(error_code(v), "vocab.merge");
  v = testing::tiny_bpe();
  v.eos = static_cast<std::uint32_t>(v.tokens.size());
  EXPECT_EQ(error_code(v), "vocab.id");
  v = testing::tiny_bpe();
  v.add(std::string(64 * 1024 + 1, 'x'));
  EXPECT_EQ(error_code(v), "vocab.token_length");
  v.tokens.back().pop_back();
  EXPECT_EQ(error_code(v), "ok");
  v = testing::tiny_pieces();
  v.tokens[5] = "<0xZZ>";
  EXPECT_EQ(error_code(v), "vocab.byte_token");
  v = testing::tiny_pieces();
  v.scores.pop_back();
  EXPECT_EQ(error_code(v), "vocab.length");
}

TEST(MalformedVocabularies, TokensMadeToCollideAreRefused) {
  TinyVocab v = testing::tiny_bpe();
  // All of them belong to one place of a table of 2048.
  for (int i = 0; v.tokens.size() < 700; ++i) {
    const std::string text = "token " + std::to_string(i);
    if ((hwdb::hash_text(text) & 2047) == 5) v.add(text);
  }
  EXPECT_EQ(error_code(v), "vocab.collision");
}

TEST(MalformedVocabularies, OddOnesWork) {
  TinyVocab v = testing::tiny_pieces();
  for (float& score : v.scores) score = std::numeric_limits<float>::quiet_NaN();
  v.types[0] = 77;
  v.add("");
  v.add("h");  // twice
  const Tokenizer t = open_vocab(v);
  EXPECT_EQ(t.decode(t.encode("hello", kPlain)), "hello");
  EXPECT_EQ(t.find("h"), 260);

  TinyVocab one;
  one.model = "gpt2";
  one.add("a");
  const Tokenizer small = open_vocab(one);
  EXPECT_EQ(small.encode("bab a", {}), (std::vector<TokenId>{0, 0}));
  EXPECT_FALSE(small.bos());
}

TEST(MalformedVocabularies, CutAnywhereIsAnError) {
  const std::string bytes = build_file(testing::tiny_pieces());
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    auto tokenizer = open_bytes(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(tokenizer) << size;
    EXPECT_FALSE(tokenizer.error().code.empty());
  }
}

TEST(LongTexts, TakeTimeInProportion) {
  const Tokenizer bpe = open_vocab(testing::tiny_bpe("llama-bpe"));
  const Tokenizer pieces = open_vocab(testing::tiny_pieces());
  const std::size_t n = hwdb::testing::kSanitized ? 200'000 : 2'000'000;
  std::string special;
  for (std::size_t i = 0; i < n / 6; ++i) special += "<tool>";
  for (const std::string& text : {std::string(n, ' '), std::string(n, 'l'), std::string(n, '\n'),
                                  std::string(n, '\0'), std::string(n, '\xE2'), special}) {
    const hwdb::testing::Watchdog watchdog(20);
    const hwdb::testing::PeakMemory memory;
    const auto tokens = bpe.encode(text, kPlain);
    EXPECT_FALSE(tokens.empty());
    EXPECT_EQ(pieces.decode(pieces.encode(text, kPlain), true), text);
    EXPECT_LT(memory.growth(), 250 * n);
  }
}

}  // namespace
}  // namespace engine
