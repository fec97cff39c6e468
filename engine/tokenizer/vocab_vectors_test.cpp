// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "hwdb/testing/shared_facts.h"

namespace engine {
namespace {

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Texts of a .inp file: each ended by a line of its own.
std::vector<std::string> read_texts(const std::string& path) {
  const std::string all = read_all(path), end = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (std::size_t at = all.find(end); at != std::string::npos; at = all.find(end, begin)) {
    texts.push_back(all.substr(begin, at - begin));
    begin = at + end.size();
  }
  return texts;
}

std::vector<std::vector<TokenId>> read_tokens(const std::string& path) {
  std::vector<std::vector<TokenId>> lists;
  std::istringstream in(read_all(path));
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    lists.emplace_back();
    for (TokenId id = 0; numbers >> id;) lists.back().push_back(id);
  }
  return lists;
}

class VocabVectors : public testing::TestWithParam<const char*> {};

TEST_P(VocabVectors, TokenizeAsPublished) {
  const std::string path =
      hwdb::testing::shared_fact(std::string("vocab/ggml-vocab-") + GetParam() + ".gguf");
  if (path.empty()) GTEST_SKIP() << "the published vocabularies are not here";
  auto file = hwdb::FileReader::open(path);
  ASSERT_TRUE(file);
  auto gguf = hwdb::GgufFile::open(*std::move(file));
  ASSERT_TRUE(gguf);
  auto tokenizer = Tokenizer::open(*gguf);
  ASSERT_TRUE(tokenizer) << tokenizer.error().what;

  const auto texts = read_texts(path + ".inp");
  const auto expected = read_tokens(path + ".out");
  ASSERT_EQ(texts.size(), 46u);
  ASSERT_EQ(expected.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto got = tokenizer->encode(texts[i], {.add_special = false, .parse_special = false});
    EXPECT_EQ(got, expected[i]) << "text " << i << ": " << texts[i];
    EXPECT_EQ(tokenizer->decode(got, true), texts[i]);
    Detokenizer stream(*tokenizer);
    std::string streamed;
    for (const TokenId id : got) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.finish(), texts[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Six, VocabVectors,
                         testing::Values("llama-bpe", "qwen2", "deepseek-llm", "gpt-2", "phi-3",
                                         "llama-spm"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace engine
