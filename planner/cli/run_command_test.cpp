// SPDX-License-Identifier: MIT
// `tokwatt run` as a user runs it, with a model whose answers can be worked out by hand.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "engine/tokenizer/testing/tiny_vocab.h"
#include "hwdb/json.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/cli/program_test.h"

namespace cli {
namespace {

using engine::TokenId;
using engine::testing::TinyVocab;

/// A model of zero weights but for its embedding, norms and output: a token's answer is another
/// token, by a table. Its output rows are the embeddings of the tokens that lead there.
std::string chain_model(const TinyVocab* vocab, const std::map<TokenId, TokenId>& next,
                        std::string_view chat_template = "") {
  hwdb::testing::GgufBuilder b;
  hwdb::testing::TinyLlama shape;
  shape.n_vocab = vocab != nullptr ? static_cast<std::uint32_t>(vocab->tokens.size()) : 96;
  shape.n_ctx = 1u << 20;
  shape.add_keys(&b);
  b.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  if (vocab != nullptr) vocab->add_keys(&b);
  if (!chat_template.empty()) b.text("tokenizer.chat_template", chat_template);
  shape.add_tensors(&b);
  b.tensor("output.weight", {shape.n_embd, shape.n_vocab});
  std::string file = b.build();

  const std::size_t data = file.size() - b.data_bytes();
  const std::size_t n = shape.n_embd;
  std::vector<float> embedding(n * shape.n_vocab), output(n * shape.n_vocab, 0.0f);
  std::mt19937_64 random(3);
  for (float& x : embedding) x = random() % 2 == 0 ? 1.0f : -1.0f;
  for (const auto& [token, follower] : next) {
    for (std::size_t i = 0; i < n; ++i) {
      output[static_cast<std::size_t>(follower) * n + i] +=
          embedding[static_cast<std::size_t>(token) * n + i];
    }
  }
  for (const auto& tensor : b.tensors) {
    std::vector<float> values(tensor.bytes / sizeof(float), 0.0f);
    if (tensor.name.ends_with("norm.weight")) values.assign(values.size(), 1.0f);
    if (tensor.name == "token_embd.weight") values = embedding;
    if (tensor.name == "output.weight") values = output;
    std::memcpy(file.data() + data + tensor.offset, values.data(), tensor.bytes);
  }
  return file;
}

class RunCommand : public ::testing::Test {
 protected:
  std::string write(const std::string& bytes) { return folder_.write("chain.gguf", bytes); }
  ProgramRun run(const std::string& path, const std::string& arguments) {
    return run_program("run " + path + " -t 1 --no-state " + arguments);
  }
  static std::string code_of(const ProgramRun& run) {
    const std::size_t open = run.err.find("error["), close = run.err.find(']', open);
    return open == std::string::npos ? "" : run.err.substr(open + 6, close - open - 6);
  }

  hwdb::testing::TempFolder folder_;
  TinyVocab vocab_ = engine::testing::tiny_bpe();
  const TokenId end_ = static_cast<TokenId>(*vocab_.eos);
};

TEST_F(RunCommand, StreamsTheAnswerAndSaysHowFastItWas) {
  const std::string path =
      write(chain_model(&vocab_, {{'?', 'Y'}, {'Y', 'e'}, {'e', 's'}, {'s', end_}}));
  const ProgramRun out = run(path, "-p 'Well?' --temp 0");
  EXPECT_EQ(out.status, 0) << out.err;
  EXPECT_EQ(out.out, "Yes\n");
  for (const char* text : {"prefill  4 tokens", "decode   3 tokens", "tok/s", "moved", "/s"}) {
    EXPECT_NE(out.err.find(text), std::string::npos) << text << "\n" << out.err;
  }
  EXPECT_EQ(run(path, "-p 'Well?' --temp 0 --quiet").err, "");
  const ProgramRun cut = run(path, "-p 'Well?' --temp 0 -n 2 --quiet");
  EXPECT_EQ(cut.out, "Ye\n");
  const std::string question = folder_.write("question.txt", "Well?\n");
  EXPECT_EQ(run(path, "-f " + question + " --temp 0 --quiet").out, "Yes\n");
  const std::string answer = folder_.file("answer.txt");
  EXPECT_EQ(run(path, "-p 'Well?' --temp 0 --quiet -o " + answer).out, "");
  EXPECT_EQ(run_shell("cat " + answer).out, "Yes\n");
}

TEST_F(RunCommand, JsonIsOneDocument) {
  const std::string path = write(chain_model(&vocab_, {{'?', 'Y'}, {'Y', 0x1B}, {0x1B, end_}}));
  const ProgramRun out = run(path, "-p 'A?' --temp 0 --json --storage mapped");
  EXPECT_EQ(out.status, 0) << out.err;
  const auto document = hwdb::parse_json(out.out, "run");
  ASSERT_TRUE(document) << out.out;
  EXPECT_EQ(*document->find("text")->as_string(), "Y\x1b");
  EXPECT_EQ(*document->find("stop")->as_string(), "answer_ended");
  EXPECT_EQ(document->find("n_prompt")->as_uint64(), 2u);
  EXPECT_EQ(document->find("n_answer")->as_uint64(), 2u);
  ASSERT_EQ(document->find("token_ids")->as_array()->size(), 2u);
  EXPECT_EQ((*document->find("token_ids")->as_array())[1].as_uint64(), 0x1Bu);
  EXPECT_GT(*document->find("decode_tok_per_s")->as_double(), 0);
  EXPECT_GT(*document->find("decode_bytes")->as_double(), 2.0 * 64 * 266 * 4);
  EXPECT_TRUE(document->find("chat")->is_null());
}

TEST_F(RunCommand, ControlBytesNeverReachTheTerminal) {
  const std::string path = write(chain_model(
      &vocab_, {{'?', 0x1B}, {0x1B, ']'}, {']', '\n'}, {'\n', 7}, {7, '\t'}, {'\t', end_}}));
  const ProgramRun out = run(path, "-p '?' --temp 0 --quiet");
  EXPECT_EQ(out.out, "\\x1b]\n\\x07\t\n");
}

TEST_F(RunCommand, TurnsAreMarkedAsTheFileWants) {
  const std::string path = write(
      chain_model(&vocab_, {{'\n', end_}, {'?', 'R'}, {'R', end_}},
                  "{{'<|im_start|>' + message['role'] + message['content'] + '<|im_end|>'}}"));
  const auto chat_of = [&](const std::string& arguments) {
    const ProgramRun out = run(path, "-p '?' --temp 0 --json " + arguments);
    const auto document = hwdb::parse_json(out.out, "run");
    if (!document || document->find("chat") == nullptr) return "error " + code_of(out);
    const std::string* chat = document->find("chat")->as_string();
    return (chat == nullptr ? "none" : *chat) + " " + *document->find("text")->as_string() + " " +
           std::to_string(*document->find("n_prompt")->as_uint64());
  };
  // <|im_end|> is one token, all else of the marks is bytes: 17 and "?", the end
  // token, a line end, and 22 before the answer.
  EXPECT_EQ(chat_of(""), "chatml  42");
  EXPECT_EQ(chat_of("--raw"), "none R 1");
  EXPECT_EQ(chat_of("--chat none"), "none R 1");
  EXPECT_EQ(chat_of("--chat vicuna").substr(0, 6), "vicuna");
  EXPECT_EQ(chat_of("--system Hi"), "chatml  65");
  EXPECT_EQ(chat_of("--raw --system Hi"), "error usage.arguments");
}

TEST_F(RunCommand, AnUnknownTemplateIsSaid) {
  const std::string path = write(chain_model(&vocab_, {{'?', end_}}, "{{ something_else }}"));
  const ProgramRun out = run(path, "-p '?' --temp 0");
  EXPECT_EQ(out.status, 0);
  EXPECT_NE(out.err.find("no known family"), std::string::npos) << out.err;
}

TEST_F(RunCommand, AFullContextIsAnError) {
  const std::string path = write(chain_model(&vocab_, {{'a', 'b'}, {'b', 'a'}}));
  const ProgramRun long_prompt = run(path, "-p 'xxxxxxxxxx' -c 8");
  EXPECT_EQ(long_prompt.status, 1);
  EXPECT_EQ(code_of(long_prompt), "run.context_full");
  EXPECT_NE(long_prompt.err.find("10 tokens, 8 fit"), std::string::npos) << long_prompt.err;
  const ProgramRun out = run(path, "-p 'xa' -c 8 --temp 0");
  EXPECT_EQ(out.status, 1);
  EXPECT_EQ(code_of(out), "run.context_full");
  EXPECT_EQ(out.out, "bababab\n");  // six run, the seventh does not fit
  EXPECT_NE(out.err.find("2 of the prompt and 6 of the answer"), std::string::npos) << out.err;
  EXPECT_NE(out.err.find("prefill"), std::string::npos);
}

TEST_F(RunCommand, SeedsRepeatAndTemperatureVaries) {
  const std::string path = write(chain_model(&vocab_, {}));  // every token is as likely
  const std::string arguments = "-p 'a' -n 12 --top-k 0 --top-p 1 --min-p 0 --json --seed ";
  const auto ids_of = [&](const std::string& seed) {
    std::vector<std::uint64_t> ids;
    const auto document = hwdb::parse_json(run(path, arguments + seed).out, "run");
    if (!document) return ids;
    for (const hwdb::Json& id : *document->find("token_ids")->as_array()) {
      ids.push_back(*id.as_uint64());
    }
    return ids;
  };
  const auto first = ids_of("7");
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first, ids_of("7"));
  EXPECT_NE(first, ids_of("8"));
}

TEST_F(RunCommand, CtrlCKeepsTheAnswerSoFar) {
  const std::string path = write(chain_model(&vocab_, {{'a', 'b'}, {'b', 'a'}}));
  const ProgramRun out = run_shell(
      "export XDG_STATE_HOME=/nonexistent HOME=/nonexistent\n" + std::string(kProgram) + " run " +
      path + " -t 1 -p a -c 200000 --temp 0 &\npid=$!\nsleep 1\nkill -INT $pid\nwait $pid");
  EXPECT_EQ(out.status, 130) << out.err;
  EXPECT_TRUE(out.out.starts_with("baba")) << out.out.substr(0, 100);
  EXPECT_NE(out.err.find("interrupted"), std::string::npos);
  EXPECT_NE(out.err.find("decode"), std::string::npos) << out.err;
}

TEST_F(RunCommand, WhatIsWrongHasItsExitCode) {
  const std::string path = write(chain_model(&vocab_, {{'?', end_}}));
  const auto status_and_code = [&](const std::string& file, const std::string& arguments) {
    const ProgramRun out = run(file, arguments);
    return std::to_string(out.status) + " " + code_of(out);
  };
  EXPECT_EQ(status_and_code(path, ""), "2 usage.arguments");
  EXPECT_EQ(status_and_code(path, "-p a -f b"), "2 usage.arguments");
  EXPECT_EQ(status_and_code(path, "-p a --chat klingon"), "2 usage.value");
  EXPECT_EQ(status_and_code(path, "-p a --temp hot"), "2 usage.value");
  EXPECT_EQ(status_and_code(path, "-p a --top-p 2"), "2 usage.value");
  EXPECT_EQ(status_and_code(path, "-f " + folder_.file("none.txt")), "3 file.open");
  EXPECT_EQ(status_and_code(folder_.file("none.gguf"), "-p a"), "3 file.open");
  const std::string no_words = folder_.write("no_words.gguf", chain_model(nullptr, {}));
  EXPECT_EQ(status_and_code(no_words, "-p a"), "3 vocab.missing");
  TinyVocab odd = vocab_;
  odd.pre = "unheard-of";
  const std::string unsupported = folder_.write("odd.gguf", chain_model(&odd, {}));
  EXPECT_EQ(status_and_code(unsupported, "-p a"), "3 vocab.unsupported");
}

}  // namespace
}  // namespace cli
