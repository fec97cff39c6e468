// SPDX-License-Identifier: MIT
#include "hwdb/tensor_overrides.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>

#include "hwdb/catalog.h"
#include "hwdb/op_counts.h"

namespace hwdb {
namespace {

const std::array<BufferName, 3> kBuffers{{{"CPU", kHostDevice}, {"CUDA0", 0}, {"CUDA1", 1}}};

struct Model {
  ModelShape shape;
  std::vector<PlannedTensor> tensors;
};

Model model_of(std::string_view id, const char* preset) {
  Model model;
  const auto row = Catalog::builtin().find_model(id);
  EXPECT_TRUE(row) << id;
  model.shape = (*row)->shape;
  model.tensors = *tensor_list(model.shape);
  EXPECT_TRUE(apply_preset(model.shape, {preset, false, false}, &model.tensors));
  return model;
}

MovedTensors moved_by(const Model& model, std::string_view text) {
  const auto overrides = parse_overrides(text, kBuffers);
  EXPECT_TRUE(overrides) << (overrides ? "" : overrides.error().what);
  if (!overrides) return {};
  auto moved = resolve_overrides(model.shape, model.tensors, *overrides);
  EXPECT_TRUE(moved) << (moved ? "" : moved.error().what);
  return moved ? *moved : MovedTensors{};
}

// Qwen3-30B-A3B: 48 layers, 128 experts of 768 in 2048; three matrices of 16 bit.
constexpr std::uint64_t kExpertMatrix = 2048ull * 768 * 128 * 2;

TEST(TensorOverrides, AllExpertsToRamIsWhatCpuMoeDoes) {
  const Model model = model_of("qwen3-30b-a3b", "F16");
  for (const char* pattern :
       {"exps=CPU", R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU)", R"(\.ffn_.*_exps\.=CPU)",
        R"(blk\.\d+\.ffn_(up|gate|down)_exps=CPU)"}) {
    const MovedTensors moved = moved_by(model, pattern);
    ASSERT_EQ(moved.parts.size(), 48u) << pattern;
    EXPECT_EQ(moved.cpu_moe_layers, 48u) << pattern;
    EXPECT_EQ(moved.parts[7].layer, 7u);
    EXPECT_EQ(moved.parts[7].expert_bytes, 3 * kExpertMatrix);
    EXPECT_EQ(moved.parts[7].bytes(), 3 * kExpertMatrix);
    // 8 of 128 experts, a multiply-add is two FLOPs.
    EXPECT_EQ(moved.parts[7].expert_flops_per_token, 2.0 * 3 * 2048 * 768 * 8);
    EXPECT_EQ(moved.parts[7].dense_flops_per_token, 0);
    EXPECT_EQ(moved.uses[0].tensors, 144u);
    EXPECT_EQ(moved.uses[0].bytes, 144 * kExpertMatrix);
  }
}

TEST(TensorOverrides, SomeLayersAndOneMatrixOnly) {
  const Model model = model_of("qwen3-30b-a3b", "F16");
  const MovedTensors first = moved_by(model, R"(blk\.(0|1|2)\.ffn_.*_exps=CPU)");
  EXPECT_EQ(first.cpu_moe_layers, 3u);
  const MovedTensors later = moved_by(model, R"(blk\.(4|5)\.ffn_.*_exps=CPU)");
  EXPECT_EQ(later.parts.size(), 2u);
  EXPECT_EQ(later.cpu_moe_layers, std::nullopt);
  const MovedTensors down = moved_by(model, R"(ffn_down_exps=CPU)");
  ASSERT_EQ(down.parts.size(), 48u);
  EXPECT_EQ(down.parts[0].expert_bytes, kExpertMatrix);
  EXPECT_EQ(down.cpu_moe_layers, std::nullopt);
}

TEST(TensorOverrides, TheFirstPatternThatNamesATensorDecides) {
  const Model model = model_of("qwen3-30b-a3b", "F16");
  const MovedTensors moved =
      moved_by(model, R"(blk\.0\.ffn_up_exps=CUDA1,blk\.[01]\.ffn_.*_exps=CPU,exps=CUDA0)");
  ASSERT_EQ(moved.parts.size(), 2u + 1 + 46);
  EXPECT_EQ(moved.parts[0].device, kHostDevice);
  EXPECT_EQ(moved.parts[0].expert_bytes, 2 * kExpertMatrix);
  EXPECT_EQ(moved.parts[1].device, 1);
  EXPECT_EQ(moved.parts[1].expert_bytes, kExpertMatrix);
  EXPECT_EQ(moved.uses[0].tensors, 1u);
  EXPECT_EQ(moved.uses[1].tensors, 5u);
  EXPECT_EQ(moved.uses[2].tensors, 138u);
}

TEST(TensorOverrides, AttentionFeedForwardAndTablesApart) {
  // Llama 3 8B: q and o 4096 x 4096, k and v 4096 x 1024; FFN 14336; 128256 words, not tied.
  const Model model = model_of("llama-3-8b", "F16");
  const MovedTensors moved = moved_by(model, R"(blk\.31\.=CUDA1,token_embd=CUDA0,^output=CPU)");
  ASSERT_EQ(moved.parts.size(), 3u);
  const MovedPart& layer = moved.parts[0];
  EXPECT_EQ(layer.layer, 31u);
  const std::uint64_t attention = 2 * (2 * 4096ull * 4096 + 2 * 4096ull * 1024);
  const std::uint64_t ffn = 2 * 3 * 4096ull * 14336;
  EXPECT_EQ(layer.attention_bytes, attention + 4 * 4096);  // and a norm of 32 bit
  EXPECT_EQ(layer.dense_ffn_bytes, ffn + 4 * 4096);
  EXPECT_EQ(layer.dense_flops_per_token, static_cast<double>(attention + ffn));
  EXPECT_EQ(moved.parts[1].place, MovedPart::Place::embedding);
  EXPECT_EQ(moved.parts[1].table_bytes, 2 * 4096ull * 128256);
  EXPECT_EQ(moved.parts[2].place, MovedPart::Place::output);
  EXPECT_EQ(moved.parts[2].table_bytes, 2 * 4096ull * 128256 + 4 * 4096);  // and its norm
  EXPECT_EQ(moved.parts[2].output_flops_per_token, 2.0 * 4096 * 128256);
}

TEST(TensorOverrides, ATiedTableIsTheOutputToo) {
  const Model model = model_of("llama-3.2-1b", "F16");
  ASSERT_TRUE(model.shape.tie_embeddings);
  const MovedTensors moved = moved_by(model, "token_embd=CPU");
  ASSERT_EQ(moved.parts.size(), 2u);
  EXPECT_EQ(moved.parts[1].place, MovedPart::Place::output);
  EXPECT_EQ(moved.parts[1].table_bytes, moved.parts[0].table_bytes);
  EXPECT_EQ(moved.uses[0].tensors, 1u);
}

TEST(TensorOverrides, EverythingMovedIsEverythingInTheModel) {
  for (const char* id : {"llama-3-8b", "qwen3-30b-a3b", "deepseek-v3", "gemma-3-27b"}) {
    const Model model = model_of(id, "Q4_K_M");
    const MovedTensors moved = moved_by(model, ".*=CPU");
    const auto costs = model_costs(model.shape, "", model.tensors, Bytes(0));
    ASSERT_TRUE(costs);
    std::uint64_t bytes = 0, expected = costs->embedding_bytes + costs->output_bytes;
    double flops = 0, expected_flops = costs->output_flops_per_token;
    for (const MovedPart& part : moved.parts) {
      bytes += part.bytes();
      flops +=
          part.dense_flops_per_token + part.expert_flops_per_token + part.output_flops_per_token;
    }
    // State updates of recurrent layers are no products with weights; none of these has any.
    for (const LayerCosts& layer : costs->layers) {
      expected += layer.attention_bytes + layer.dense_ffn_bytes + layer.expert_bytes;
      expected_flops += layer.dense_flops_per_token + layer.expert_flops_per_token;
    }
    EXPECT_EQ(bytes, expected) << id;
    EXPECT_NEAR(flops / expected_flops, 1, 1e-12) << id;
  }
}

TEST(TensorOverrides, WhatIsNoPairIsRefusedWithTheDevices) {
  const auto code = [](std::string_view text) {
    const auto parsed = parse_overrides(text, kBuffers);
    return parsed ? std::string() : parsed.error().code + ": " + parsed.error().what;
  };
  EXPECT_EQ(code("exps"), "usage.value: \"exps\" lacks \"=BUFFER\"");
  EXPECT_EQ(code("exps=CUDA2"), "usage.value: no buffer is called \"CUDA2\"");
  EXPECT_EQ(code("exps=CPU,"), "usage.value: \"\" lacks \"=BUFFER\"");
  EXPECT_EQ(code("exps=cpu"), "usage.value: no buffer is called \"cpu\"");
  EXPECT_EQ(code("(exps=CPU").substr(0, 45), "usage.value: \"(exps\" is no regular expression");
  EXPECT_EQ(code(std::string(600, 'a') + "=CPU"),
            "usage.value: a tensor pattern of 600 bytes, at most 512 are taken");
  EXPECT_EQ(code("=CPU"), "usage.value: an empty tensor pattern");
  const auto parsed = parse_overrides("exps=Vulkan0", kBuffers);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().hint, "this machine has CPU, CUDA0, CUDA1");
}

TEST(TensorPattern, TakesEcmaScript) {
  const auto found = [](std::string_view pattern, std::string_view name) {
    const auto compiled = TensorPattern::compile(pattern);
    EXPECT_TRUE(compiled) << pattern;
    return compiled && *compiled->matches(name);
  };
  EXPECT_TRUE(found(R"(blk\.([0-9]|1[0-5])\.ffn)", "blk.15.ffn_up.weight"));
  EXPECT_FALSE(found(R"(blk\.([0-9]|1[0-5])\.ffn)", "blk.16.ffn_up.weight"));
  EXPECT_TRUE(found(R"(^(?!blk\.0\.).*exps)", "blk.10.ffn_up_exps.weight"));
  EXPECT_FALSE(found(R"(^(?!blk\.0\.).*exps)", "blk.0.ffn_up_exps.weight"));
  EXPECT_TRUE(found(R"(weight$)", "output.weight"));
  EXPECT_FALSE(found(R"(weight$)", "output.weight_scale"));
  EXPECT_TRUE(found(R"(blk\.(\d)\1\.)", "blk.33.attn_q.weight"));
  EXPECT_FALSE(found(R"(blk\.(\d)\1\.)", "blk.34.attn_q.weight"));
  EXPECT_TRUE(found(R"([[:digit:]]{2}\.)", "blk.10.attn_q.weight"));
}

TEST(TensorPattern, RunawayPatternsEndSoon) {
  const auto start = std::chrono::steady_clock::now();
  const std::string name(64, 'a');
  // No letter in the last place that a quick look could miss in the name.
  for (const char* text :
       {"^(a+)+[bc]$", "^(a|aa)+[bc]$", "^(a*)*[bc]$", "(((a*)*)*)*[bc]", "(.*)(.*)(.*)\\1[bc]"}) {
    const auto pattern = TensorPattern::compile(text);
    ASSERT_TRUE(pattern) << text;
    const auto found = pattern->matches(name);
    if (!found) {
      EXPECT_EQ(found.error().code, "usage.value");
    } else {
      EXPECT_FALSE(*found) << text;
    }
  }
  EXPECT_FALSE(TensorPattern::compile("^(a|aa)+[bc]$")->matches(name))
      << "the limit is not in force";
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
  EXPECT_LT(seconds.count(), 5.0);
  std::string nested;
  for (int i = 0; i < 60; ++i) nested += '(';
  nested += 'a';
  for (int i = 0; i < 60; ++i) nested += ')';
  EXPECT_FALSE(TensorPattern::compile(nested)) << "nested deeper than any list of layers";
  EXPECT_FALSE(TensorPattern::compile("((a{1000}){1000}){1000}"));
}

}  // namespace
}  // namespace hwdb
