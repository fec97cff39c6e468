// SPDX-License-Identifier: MIT
// Small synthetic models of every architecture, run and held against log-probabilities that
// llama.cpp gave for the same files (tests/fixtures/golden_logits). The generator must write the
// same bytes as then: its own tests and the first check here watch over that. With
// TOKWATT_KEEP_MODELS=FOLDER the files stay there, for another engine to read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/model/model.h"
#include "engine/run/context.h"
#include "engine/synth/synthesize.h"
#include "hwdb/catalog.h"
#include "hwdb/json.h"
#include "hwdb/testing/temp_folder.h"

namespace engine {
namespace {

using hwdb::ModelShape;

struct Case {
  const char* model;  // of the catalogue
  const char* preset;
  double tolerance;  // of a log-probability
};

// 32-bit weights leave only the order of sums; 8-bit activations a few hundredths.
constexpr double kExact = 2e-3, kRounded = 0.12;
constexpr Case kCases[] = {
    {"llama-3.1-8b", "F32", kExact},      {"mistral-nemo-12b", "F32", kExact},
    {"mixtral-8x7b", "F32", kExact},      {"qwen2.5-0.5b", "F32", kExact},
    {"qwen3-0.6b", "F32", kExact},        {"gemma-2-2b", "F32", kExact},
    {"gemma-3-1b", "F32", kExact},        {"phi-3.5-mini", "F32", kExact},
    {"phi-4-mini-3.8b", "F32", kExact},   {"qwen3-30b-a3b", "F32", kExact},
    {"olmoe-1b-7b", "F32", kExact},       {"gpt-oss-20b", "F32", kExact},
    {"deepseek-v2-lite", "F32", kExact},  {"deepseek-v3-671b", "F32", kExact},
    {"granite-3.3-2b", "F32", kExact},    {"granite-3.0-1b-a400m", "F32", kExact},
    {"smollm3-3b", "F32", kExact},        {"gpt2", "F32", kExact},
    {"llama-3.1-8b", "Q8_0", kRounded},   {"llama-3.1-8b", "Q4_0", kRounded},
    {"llama-3.1-8b", "IQ4_NL", kRounded}, {"gpt-oss-20b", "F16", kRounded},
};

constexpr std::size_t kTokens = 24;
constexpr std::uint64_t kVocabulary = 320;

/// A model of the same make that fits a cache: all widths small, a window that a short text leaves.
ModelShape tiny(const ModelShape& from) {
  ModelShape shape = cut_shape(
      from,
      {.n_layers = from.sliding_window > 0 ? 7u : 4u, .n_experts = 6, .n_vocab = kVocabulary});
  const bool own_head_size = from.head_dim_k != from.n_embd / from.n_heads.at(0);
  const std::uint32_t kv = std::max(1u, 4 * from.n_kv_heads.at(0) / from.n_heads.at(0));
  shape.n_embd = 128;
  shape.n_heads = hwdb::PerLayer(4);
  shape.n_kv_heads = hwdb::PerLayer(kv);
  shape.head_dim_k = shape.head_dim_v = own_head_size ? 48 : 32;
  if (from.n_ff.at(0) > 0) shape.n_ff = hwdb::PerLayer(192);
  if (from.n_experts > 0) {
    shape.n_experts = 6;
    shape.n_experts_used = 2;
    shape.n_ff_expert = 96;
    if (from.n_ff_shared > 0) shape.n_ff_shared = 96;
  }
  if (shape.sliding_window > 0) shape.sliding_window = 8;
  if (shape.learned_positions > 0) {
    shape.learned_positions = 64;
    shape.n_ctx_train = 64;
  }
  if (shape.mla) {
    shape.mla->kv_lora_rank = 64;
    if (shape.mla->q_lora_rank > 0) shape.mla->q_lora_rank = 48;
    shape.mla->qk_nope_dim = 32;
    shape.mla->qk_rope_dim = 16;
    shape.mla->v_head_dim = 32;
    shape.head_dim_k = 48;
    shape.head_dim_v = 32;
    shape.n_kv_heads = hwdb::PerLayer(4);
  }
  return shape;
}

TokenId token_at(std::size_t i) {
  return static_cast<TokenId>((i * 37 + 11) % kVocabulary);
}

std::vector<double> log_probabilities(std::span<const float> logits) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(double{x} - top);
  std::vector<double> out;
  for (const float x : logits) out.push_back(double{x} - top - std::log(sum));
  return out;
}

/// The golden numbers of one file: position, token, log-probability.
struct Golden {
  std::uint64_t file_bytes = 0;
  struct Value {
    std::size_t position = 0, token = 0;
    double log_probability = 0;
  };
  std::vector<Value> values;
};

Golden read_golden(const std::string& name) {
  Golden golden;
  std::ifstream in(std::string(TOKWATT_SOURCE_DIR) + "/tests/fixtures/golden_logits/" + name +
                   ".txt");
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    Golden::Value value;
    if (golden.file_bytes == 0) {
      fields >> golden.file_bytes;
    } else if (fields >> value.position >> value.token >> value.log_probability) {
      golden.values.push_back(value);
    }
  }
  return golden;
}

class GoldenLogits : public ::testing::TestWithParam<Case> {};

TEST_P(GoldenLogits, AsLlamaCppHasThem) {
  const Case& c = GetParam();
  const std::string name = std::string(c.model) + "-" + c.preset;
  const auto row = hwdb::Catalog::builtin().find_model(c.model);
  ASSERT_TRUE(row);
  SynthRequest request;
  request.preset = c.preset;
  const auto plan = plan_synth(tiny((*row)->shape), request);
  ASSERT_TRUE(plan) << plan.error().what;
  const hwdb::testing::TempFolder folder;
  const char* keep = std::getenv("TOKWATT_KEEP_MODELS");
  const std::string path =
      keep != nullptr ? std::string(keep) + "/" + name + ".gguf" : folder.file(name + ".gguf");
  ThreadPool pool(2);
  SynthWriting writing;
  writing.overwrite = true;
  const auto bytes = write_synth(*plan, path, pool, writing);
  ASSERT_TRUE(bytes) << bytes.error().what;
  if (keep != nullptr) {
    std::ofstream tokens(std::string(keep) + "/tokens.txt");
    for (std::size_t i = 0; i < kTokens; ++i) tokens << token_at(i) << "\n";
  }

  const Golden golden = read_golden(name);
  ASSERT_FALSE(golden.values.empty()) << "no golden values of " << name;
  EXPECT_EQ(*bytes, golden.file_bytes) << "the generator makes another file than it did";

  const auto model = Model::open(path, pool, {});
  ASSERT_TRUE(model) << model.error().what;
  ContextOptions options;
  options.n_ctx = kTokens;
  options.type_k = options.type_v = hwdb::tensor_type("F32");
  const auto context = Context::make(**model, pool, options);
  ASSERT_TRUE(context) << context.error().what;
  // A prompt, and the rest token by token.
  constexpr std::size_t kPrompt = 17;
  std::vector<std::vector<double>> found;
  for (std::size_t at = 0; at < kTokens;) {
    const std::size_t n = at == 0 ? kPrompt : 1;
    std::vector<BatchToken> batch;
    for (std::size_t i = 0; i < n; ++i) batch.push_back({token_at(at + i), 0, true});
    const auto status = (*context)->decode(batch);
    ASSERT_TRUE(status) << status.error().what;
    for (std::size_t i = 0; i < n; ++i) found.push_back(log_probabilities((*context)->logits(i)));
    at += n;
  }
  for (const Golden::Value& value : golden.values) {
    ASSERT_LT(value.position, found.size());
    EXPECT_NEAR(found[value.position][value.token], value.log_probability, c.tolerance)
        << "position " << value.position << ", token " << value.token;
  }
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = std::string(info.param.model) + "_" + info.param.preset;
  std::ranges::replace_if(
      name, [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLogits, ::testing::ValuesIn(kCases), test_name);

}  // namespace
}  // namespace engine
