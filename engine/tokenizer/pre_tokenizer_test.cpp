// SPDX-License-Identifier: MIT
#include "engine/tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/special_tokens.h"
#include "hwdb/testing/limits_watch.h"

namespace engine {
namespace {

using Words = std::vector<std::string>;

Words words_of(std::string_view name, std::string_view text) {
  const PreTokenizer* rule = find_pre_tokenizer(name);
  EXPECT_NE(rule, nullptr) << name;
  Words words;
  split_words(text, *rule, [&](std::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(CharClass, FollowsUnicode) {
  using namespace char_class;
  constexpr std::uint32_t kCategories = letter | mark | number | punctuation | symbol;
  const auto category = [&](char32_t code) { return char_classes(code) & kCategories; };
  EXPECT_EQ(category('a'), letter);
  EXPECT_EQ(category(0x4E2D), letter);
  EXPECT_EQ(category(0x2A6D6), letter);  // beyond the table
  EXPECT_EQ(category(0x301), mark);
  EXPECT_EQ(category(0x966), number);   // Devanagari zero
  EXPECT_EQ(category(0x2167), number);  // Roman eight
  EXPECT_EQ(category(0xBF), punctuation);
  EXPECT_EQ(category('+'), symbol);
  EXPECT_EQ(category(0x1F600), symbol);
  EXPECT_EQ(category(' '), 0u);
  EXPECT_EQ(category(0x10FFFF), 0u);
  EXPECT_EQ(category(0x31350), letter);  // Unicode 15.0
  EXPECT_EQ(category(0x2EBF0), letter);  // Unicode 15.1
  EXPECT_NE(char_classes(0x3000) & white, 0u);
  EXPECT_NE(char_classes(0x85) & white, 0u);
  EXPECT_EQ(char_classes(0x200B) & white, 0u);
}

TEST(PreTokenizers, NamesAreThereOnce) {
  std::set<std::string_view> names;
  for (const PreTokenizer& rule : pre_tokenizers()) {
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    EXPECT_FALSE(rule.passes.empty());
  }
  EXPECT_EQ(find_pre_tokenizer("nothing"), nullptr);
}

TEST(PreTokenizers, Gpt2) {
  EXPECT_EQ(words_of("gpt-2", "I'll go,  there's 12345!\n\n x"),
            (Words{"I", "'ll", " go", ",", " ", " there", "'s", " 12345", "!", "\n\n", " x"}));
  EXPECT_EQ(words_of("gpt-2", "I'LL"), (Words{"I", "'", "LL"}));
  EXPECT_EQ(words_of("gpt-2", "a   "), (Words{"a", "   "}));
  EXPECT_EQ(words_of("gpt-2", ""), Words{});
}

TEST(PreTokenizers, Llama3AndQwen2) {
  EXPECT_EQ(words_of("llama-bpe", "I'LL go,\n  \n there 12345!\r\nx (y)"),
            (Words{"I", "'LL", " go", ",\n", "  \n", " there", " ", "123", "45", "!\r\n", "x", " (",
                   "y", ")"}));
  EXPECT_EQ(words_of("qwen2", "a12"), (Words{"a", "1", "2"}));
  EXPECT_EQ(words_of("qwen2", "\tx$y"), (Words{"\tx", "$y"}));
  // Combining marks are letters' company for Qwen 3.5 only.
  EXPECT_EQ(words_of("qwen2", "e\u0301a"), (Words{"e", "\u0301a"}));
  EXPECT_EQ(words_of("qwen35", "e\u0301a"), (Words{"e\u0301a"}));
}

TEST(PreTokenizers, CasedLetters) {
  EXPECT_EQ(words_of("gpt-4o", "helloWorld's HTMLParser/\n x"),
            (Words{"hello", "World's", " HTMLParser", "/\n", " x"}));
  EXPECT_EQ(words_of("tekken", "helloWorld's 123"),
            (Words{"hello", "World", "'s", " ", "1", "2", "3"}));
  // Letters without case end a run of capitals as well as begin one of small letters.
  EXPECT_EQ(words_of("tekken", "ABC漢D"), (Words{"ABC漢", "D"}));
}

TEST(PreTokenizers, SeveralPasses) {
  EXPECT_EQ(words_of("smollm", "a 123"), (Words{"a", " ", "1", "2", "3"}));
  EXPECT_EQ(words_of("falcon", "x== 12345"), (Words{"x", "==", " ", "123", "45"}));
  EXPECT_EQ(words_of("default", "12345 a"), (Words{"123", "45", " a"}));
  EXPECT_EQ(words_of("deepseek-llm", "Hi 世界 abc, 12\n  "),
            (Words{"Hi", " ", "世界", " abc", ",", " ", "12", "\n", "  "}));
  EXPECT_EQ(words_of("deepseek-coder", "a12 b\n"), (Words{"a", "1", "2", " b", "\n"}));
  EXPECT_EQ(words_of("deepseek-v3", "_foo 1234世 bar?!\n"),
            (Words{"_foo", " ", "123", "4", "世", " bar", "?!\n"}));
  EXPECT_EQ(words_of("bloom", "a, b."), (Words{"a", ",", " b", "."}));
}

TEST(PreTokenizers, KeepEveryByteAndTakeLinearTime) {
  const std::size_t n = hwdb::testing::kSanitized ? 100'000 : 400'000;
  std::string mixed;
  while (mixed.size() < n) mixed += "A\u00e9 \n x'\t漢7";
  std::string spaced(n, ' ');
  for (std::size_t i = 999; i < n; i += 1000) spaced[i] = 'x';
  const std::string texts[] = {std::string(n, ' '),
                               std::string(n, 'a'),
                               std::string(n, 'A'),
                               std::string(n, '7'),
                               std::string(n, '\n'),
                               std::string(n, '\''),
                               std::string(n, '\1'),
                               spaced,
                               mixed};
  std::set<const PreTokenizerPass*> done;  // rules of several names once
  for (const PreTokenizer& rule : pre_tokenizers()) {
    if (!done.insert(rule.passes.data()).second) continue;
    const hwdb::testing::Watchdog watchdog(20);
    for (const std::string& text : texts) {
      std::size_t at = 0;
      bool in_order = true;
      split_words(text, rule, [&](std::string_view word) {
        in_order = in_order && word.data() == text.data() + at && !word.empty();
        at += word.size();
      });
      EXPECT_TRUE(in_order) << rule.name;
      EXPECT_EQ(at, text.size()) << rule.name;
    }
  }
}

struct Cut {
  std::string text;
  TokenId token;
  bool operator==(const Cut&) const = default;
};

std::vector<Cut> cuts(const SpecialTokens& tokens, std::string_view text, bool with_control) {
  std::vector<Cut> list;
  for (const Fragment& f : tokens.partition(text, with_control)) {
    list.push_back({std::string(f.text), f.token});
  }
  return list;
}

TEST(SpecialTokenSearch, LongerOnesFirst) {
  SpecialTokens tokens;
  tokens.build({{"aa", 1}, {"aaa", 2}, {"<|x|>", 3, true}, {"baab", 4}});
  // "baab" is longest and takes the a's that "aaa" and "aa" could have had.
  EXPECT_EQ(cuts(tokens, "aaabaabaa", false), (std::vector<Cut>{{"", 2}, {"", 4}, {"", 1}}));
  EXPECT_EQ(cuts(tokens, "x<|x|>aaaay", false),
            (std::vector<Cut>{{"x<|x|>", kNoToken}, {"", 2}, {"ay", kNoToken}}));
  EXPECT_EQ(cuts(tokens, "x<|x|>", true), (std::vector<Cut>{{"x", kNoToken}, {"", 3}}));
  EXPECT_EQ(cuts(tokens, "", true), std::vector<Cut>{});
}

TEST(SpecialTokenSearch, StripsWhiteSpace) {
  SpecialTokens tokens;
  tokens.build({{"<r>", 1, false, false, true}, {"<l>", 2, false, true, false}});
  EXPECT_EQ(
      cuts(tokens, "a <r> \n b <l> c", false),
      (std::vector<Cut>{{"a ", kNoToken}, {"", 1}, {"b", kNoToken}, {"", 2}, {" c", kNoToken}}));
  EXPECT_EQ(cuts(tokens, " <l>", false), (std::vector<Cut>{{"", 2}}));
}

}  // namespace
}  // namespace engine
