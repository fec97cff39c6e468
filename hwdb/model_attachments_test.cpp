// SPDX-License-Identifier: MIT
#include "hwdb/model_attachments.h"

#include <gtest/gtest.h>

#include "hwdb/catalog.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"

namespace hwdb {
namespace {

using testing::GgufBuilder;
using testing::TempFolder;

ModelShape llama_8b() {
  return (*Catalog::builtin().find_model("llama-3-8b"))->shape;
}

TEST(Adapters, AFilesTensorsByLayer) {
  const TempFolder folder;
  GgufBuilder builder;
  builder.text("general.architecture", "llama").text("general.type", "adapter");
  builder.tensor("blk.3.attn_q.weight.lora_a", {4096, 16});
  builder.tensor("blk.3.attn_q.weight.lora_b", {16, 4096});
  builder.tensor("blk.31.ffn_down.weight.lora_a", {14336, 8}, "F16");
  builder.tensor("blk.31.ffn_down.weight.lora_b", {8, 4096}, "F16");
  builder.tensor("output.weight.lora_a", {4096, 16});
  builder.tensor("output.weight.lora_b", {16, 128256});
  builder.tensor("token_embd.weight.lora_a", {16, 128256});
  const auto costs = adapter_costs(folder.write("a.gguf", builder.build()), llama_8b());
  ASSERT_TRUE(costs) << costs.error().what;
  EXPECT_EQ(costs->name, "a.gguf");
  EXPECT_FALSE(costs->estimated);
  EXPECT_EQ(costs->layer_bytes[3], 4u * 16 * (4096 + 4096));
  EXPECT_EQ(costs->layer_bytes[31], 2u * 8 * (14336 + 4096));
  EXPECT_EQ(costs->layer_bytes[0], 0u);
  EXPECT_EQ(costs->output_bytes, 4u * 16 * (4096 + 128256));
  EXPECT_EQ(costs->embedding_bytes, 4u * 16 * 128256);
  EXPECT_EQ(costs->total(), 4u * 16 * (2 * 4096 + 4096 + 2 * 128256) + 2u * 8 * (14336 + 4096));
}

TEST(Adapters, OthersAreRefused) {
  const TempFolder folder;
  GgufBuilder plain;
  plain.text("general.architecture", "llama").tensor("blk.0.attn_q.weight", {64, 64});
  const auto model = adapter_costs(folder.write("m.gguf", plain.build()), llama_8b());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, "model.inconsistent");
  GgufBuilder larger;
  larger.text("general.architecture", "llama").tensor("blk.32.attn_q.weight.lora_a", {64, 4});
  const auto other = adapter_costs(folder.write("l.gguf", larger.build()), llama_8b());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().what, "the adapter changes block 32 of a model with 32");
  EXPECT_EQ(adapter_costs(folder.file("none.gguf"), llama_8b()).error().code, "file.open");
}

TEST(Adapters, ARankOnEveryMatrixOfTheBlocks) {
  const ModelShape shape = llama_8b();
  const auto tensors = tensor_list(shape);
  const auto costs = estimate_adapter(shape, *tensors, 16);
  ASSERT_TRUE(costs);
  // q and o 4096 + 4096, k and v 4096 + 1024, gate, up and down 4096 + 14336.
  const std::uint64_t sides = 2 * 8192 + 2 * 5120 + 3 * 18432;
  EXPECT_EQ(costs->layer_bytes[0], 4 * 16 * sides);
  EXPECT_EQ(costs->total(), 32 * 4 * 16 * sides);
  EXPECT_EQ(costs->elements, 32.0 * 16 * sides);
  EXPECT_TRUE(costs->estimated);
  EXPECT_EQ(estimate_adapter(shape, *tensors, 0).error().code, "usage.value");
  EXPECT_EQ(estimate_adapter(shape, *tensors, 100'000).error().code, "usage.value");
}

TEST(Projectors, TensorsAndABoundOnTheScratch) {
  const TempFolder folder;
  GgufBuilder builder;
  builder.text("general.architecture", "clip").text("clip.projector_type", "gemma3");
  builder.u32("clip.vision.image_size", 1792).u32("clip.vision.patch_size", 14);
  builder.u32("clip.vision.embedding_length", 1152).u32("clip.vision.feed_forward_length", 4304);
  builder.u32("clip.vision.attention.head_count", 16);
  builder.tensor("v.blk.0.attn_q.weight", {1152, 1152}, "F16");
  builder.tensor("mm.input_projection.weight", {2560, 1152}, "F16");
  const auto costs = projector_costs(folder.write("mmproj.gguf", builder.build()));
  ASSERT_TRUE(costs) << costs.error().what;
  EXPECT_EQ(costs->weight_bytes, 2u * 1152 * (1152 + 2560));
  // 128 x 128 patches.
  const std::uint64_t linear = 16384ull * 4 * (8 * 1152 + 2 * 4304);
  EXPECT_EQ(costs->scratch_bytes, linear);
  EXPECT_EQ(costs->scratch_bytes_without_flash, linear + 16384ull * 16384 * 16 * 8);
  EXPECT_FALSE(costs->audio);
}

TEST(Projectors, WhatTheFileDoesNotSayIsNotGuessed) {
  const TempFolder folder;
  GgufBuilder audio;
  audio.text("general.architecture", "clip").boolean("clip.has_audio_encoder", true);
  audio.tensor("a.blk.0.attn_q.weight", {64, 64});
  const auto costs = projector_costs(folder.write("a.gguf", audio.build()));
  ASSERT_TRUE(costs);
  EXPECT_EQ(costs->scratch_bytes, 0u);
  EXPECT_TRUE(costs->audio);
  EXPECT_EQ(costs->weight_bytes, 4u * 64 * 64);
  GgufBuilder model;
  model.text("general.architecture", "llama").tensor("blk.0.attn_q.weight", {64, 64});
  EXPECT_EQ(projector_costs(folder.write("m.gguf", model.build())).error().code,
            "model.inconsistent");
}

}  // namespace
}  // namespace hwdb
