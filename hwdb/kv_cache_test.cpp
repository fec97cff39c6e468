// SPDX-License-Identifier: MIT
#include "hwdb/kv_cache.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>

#include "hwdb/catalog.h"
#include "hwdb/testing/csv.h"

namespace hwdb {
namespace {

const ModelShape& shape_of(std::string_view id) {
  static const ModelShape kNone;
  const auto row = Catalog::builtin().find_model(id);
  EXPECT_TRUE(row) << id;
  return row ? (*row)->shape : kNone;
}

CacheTotals totals_of(const ModelShape& shape, const CacheRequest& request) {
  const auto recipe = make_cache_recipe(shape, request);
  EXPECT_TRUE(recipe) << (recipe ? "" : recipe.error().what);
  if (!recipe) return {};
  const auto totals = cache_totals(*recipe, request);
  EXPECT_TRUE(totals) << (totals ? "" : totals.error().what);
  return totals ? *totals : CacheTotals{};
}

double mib(Bytes bytes) {
  return bytes.as_double() / static_cast<double>(kMiB);
}

TensorType cache_type(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return tensor_type(name);
}

CacheRequest request_of(const CsvRow& row) {
  CacheRequest request;
  request.n_ctx = std::stoull(row.at("n_ctx"));
  request.n_seq = static_cast<std::uint32_t>(std::stoul(row.at("n_parallel")));
  request.n_ubatch = static_cast<std::uint32_t>(std::stoul(row.at("n_ubatch")));
  request.type_k = cache_type(row.at("kv_k"));
  request.type_v = cache_type(row.at("kv_v"));
  request.flash_attn = row.at("flash_attn") == "on";
  request.swa_full = row.at("swa_full") == "1";
  return request;
}

TEST(KvCache, WhatLlamaCppPrints) {
  const auto rows = read_fixture("memory_truth.csv");
  ASSERT_GT(rows.size(), 60u);
  double worst = 0;
  for (const CsvRow& row : rows) {
    const CacheTotals totals = totals_of(shape_of(row.at("model")), request_of(row));
    const double ratio = mib(totals.kv + totals.state) / std::stod(row.at("kv_mib"));
    worst = std::max(worst, std::abs(ratio - 1));
    EXPECT_NEAR(ratio, 1, 0.0005) << row.at("model") << " at " << row.at("n_ctx");
  }
  std::printf("cache: worst error %.4f %% (the log prints two decimals)\n", 100 * worst);
}

TEST(KvCache, LayersAndTotalsAgree) {
  for (const ModelRow& row : Catalog::builtin().models()) {
    if (!row.shape.known_architecture) continue;
    for (Runtime runtime : {Runtime::llama_cpp, Runtime::ollama, Runtime::mlx}) {
      CacheRequest request;
      request.n_ctx = 10'000;
      request.n_seq = 3;
      request.runtime = runtime;
      const auto layers = cache_of_layers(row.shape, request);
      ASSERT_TRUE(layers) << row.id << ' ' << layers.error().what;
      ASSERT_EQ(layers->size(), row.shape.n_layers);
      Bytes kv, state;
      for (const LayerCache& layer : *layers) {
        kv += layer.kv;
        state += layer.state;
      }
      const CacheTotals totals = totals_of(row.shape, request);
      EXPECT_EQ(kv, totals.kv) << row.id;
      EXPECT_EQ(state, totals.state) << row.id;
    }
  }
}

TEST(KvCache, ContextsArePadded) {
  CacheRequest request;
  request.n_ctx = 1000;
  EXPECT_EQ(context_per_sequence(request), 1024u);
  request.n_seq = 3;
  EXPECT_EQ(context_per_sequence(request), 512u);  // 1024 / 3 = 341, padded
  request.unified = true;
  EXPECT_EQ(context_per_sequence(request), 1024u);
  request.unified = false;
  request.runtime = Runtime::vllm;
  EXPECT_EQ(context_per_sequence(request), 333u);
}

TEST(KvCache, SlidingWindows) {
  CacheRequest request;
  request.n_ctx = 32'768;
  const auto layers = *cache_of_layers(shape_of("gemma-3-4b"), request);
  EXPECT_EQ(layers[0].cells, 1536u);  // 1024 and a micro-batch of 512
  EXPECT_EQ(layers[5].cells, 32'768u);
  request.n_seq = 4;
  request.unified = true;
  EXPECT_EQ((*cache_of_layers(shape_of("gemma-3-4b"), request))[0].cells, 4 * 1024u + 512u);
  request.swa_full = true;
  EXPECT_EQ((*cache_of_layers(shape_of("gemma-3-4b"), request))[0].cells, 32'768u);
  // A window on every layer: llama.cpp ignores it, vLLM does not.
  CacheRequest one;
  one.n_ctx = 32'768;
  EXPECT_EQ((*cache_of_layers(shape_of("mistral-7b-v0.1"), one))[0].cells, 32'768u);
  one.runtime = Runtime::vllm;
  EXPECT_LT((*cache_of_layers(shape_of("mistral-7b-v0.1"), one))[0].cells, 5000u);
}

TEST(KvCache, LatentAttention) {
  ModelShape shape = shape_of("deepseek-r1-671b");
  CacheRequest request;
  request.n_ctx = 4096;
  EXPECT_EQ(totals_of(shape, request).kv.value, 61ull * 4096 * (512 + 64) * 2);
  // A file of early 2025 without the split matrix: full keys and values of 128 heads.
  shape.mla->split_kv_b = false;
  EXPECT_EQ(totals_of(shape, request).kv.value, 61ull * 4096 * 128 * (192 + 128) * 2);
  request.runtime = Runtime::vllm;
  EXPECT_EQ(totals_of(shape, request).kv.value, 61ull * 4096 * (512 + 64) * 2);
}

TEST(KvCache, RecurrentStateIsPerSequence) {
  // llama.cpp prints "RS buffer size" for these shapes: convolution and state, 32 bits each.
  const ModelShape& shape = shape_of("qwen3-next-80b-a3b");
  CacheRequest request;
  request.n_ctx = 4096;
  const std::uint64_t conv = 3 * (32 * 128 + 2 * 16 * 128), state = 32 * 128 * 128;
  EXPECT_EQ(totals_of(shape, request).state.value, 36 * 4 * (conv + state));
  EXPECT_EQ(totals_of(shape, request).kv.value, 12ull * 4096 * 2 * 2 * 256 * 2);
  request.n_seq = 2;
  request.rollback_copies = 3;
  EXPECT_EQ(totals_of(shape, request).state.value, 8 * 36 * 4 * (conv + state));
  CacheRequest pure;
  EXPECT_EQ(totals_of(shape_of("mamba-130m"), pure).kv.value, 0u);
  EXPECT_EQ(totals_of(shape_of("mamba-130m"), pure).state.value, 24u * 4 * (3 * 1536 + 16 * 1536));
}

TEST(KvCache, SharedLayersAndVariants) {
  CacheRequest request;
  request.n_ctx = 4096;
  const auto layers = *cache_of_layers(shape_of("gemma-3n-e4b"), request);
  EXPECT_GT(layers[19].kv.value, 0u);
  EXPECT_EQ(layers[20].kv.value, 0u);  // the last 15 of 35 share
  // Gemma 4: wider heads on global layers. V needs padding only when it lies transposed.
  const ModelShape& gemma = shape_of("gemma-4-31b");
  const auto with = totals_of(gemma, request);
  request.flash_attn = false;
  EXPECT_GT(totals_of(gemma, request).kv, with.kv);
}

TEST(KvCache, PagesOfVllm) {
  CacheRequest request;
  request.runtime = Runtime::vllm;
  request.n_ctx = 1000;
  // One kind of layer: 63 pages of 16 tokens.
  EXPECT_EQ(totals_of(shape_of("llama-3-8b"), request).kv.value, 32ull * 63 * 16 * 2 * 8 * 128 * 2);
  // 5 full and 29 sliding layers: groups of 5, one of them filled up.
  const auto recipe = make_cache_recipe(shape_of("gemma-3-4b"), request);
  ASSERT_TRUE(recipe);
  std::uint32_t padding = 0;
  for (const auto& group : recipe->groups) padding += group.padding_layers;
  EXPECT_EQ(padding, 1u);
  // A hybrid: one page size for all, large enough for a state.
  const auto hybrid = make_cache_recipe(shape_of("qwen3-next-80b-a3b"), request);
  ASSERT_TRUE(hybrid);
  ASSERT_EQ(hybrid->groups.size(), 2u);
  EXPECT_EQ(hybrid->groups[0].page_bytes, hybrid->groups[1].page_bytes);
  for (const auto& group : hybrid->groups) {
    EXPECT_GE(group.page_bytes, group.state_bytes);
    EXPECT_EQ(group.page_tokens % 16, 0u);
  }
}

TEST(KvCache, BytesReadStopAtTheWindow) {
  CacheRequest request;
  const auto recipe = make_cache_recipe(shape_of("gemma-3-4b"), request);
  ASSERT_TRUE(recipe);
  const double cell = 2.0 * 4 * 256 * 2;
  EXPECT_DOUBLE_EQ(cache_bytes_read(*recipe, 100), 34 * 100 * cell);
  EXPECT_DOUBLE_EQ(cache_bytes_read(*recipe, 10'000), (5 * 10'000 + 29 * 1024) * cell);
}

std::string code_of(const ModelShape& shape, const CacheRequest& request) {
  const auto layers = cache_of_layers(shape, request);
  return layers ? "ok" : layers.error().code;
}

TEST(KvCache, RefusesWhatCannotBe) {
  CacheRequest request;
  request.n_ctx = 0;
  EXPECT_EQ(code_of(shape_of("llama-3-8b"), request), "model.range");
  request.n_ctx = 1ull << 63;
  EXPECT_EQ(code_of(shape_of("llama-3-8b"), request), "model.range");
  request.n_ctx = 4096;
  request.n_seq = 0;
  EXPECT_EQ(code_of(shape_of("llama-3-8b"), request), "model.range");
  request = {};
  request.type_k = tensor_type("Q4_K");  // 576 elements of a latent row are no multiple of 256
  EXPECT_EQ(code_of(shape_of("deepseek-r1-671b"), request), "cache.type");
  ModelShape shape = shape_of("llama-3-8b");
  shape.head_dim_k = UINT32_MAX;
  EXPECT_EQ(code_of(shape, CacheRequest{}), "model.overflow");
  shape.head_dim_k = shape.head_dim_v = 1u << 24;
  shape.n_heads = shape.n_kv_heads = 1u << 20;
  request = {};
  request.n_ctx = 1u << 20;
  EXPECT_EQ(code_of(shape, request), "model.overflow");
  shape = shape_of("mamba-130m");
  shape.ssm->d_inner = shape.ssm->d_state = 1u << 24;
  request = {};
  request.n_seq = UINT32_MAX;
  EXPECT_EQ(code_of(shape, request), "model.overflow");
}

}  // namespace
}  // namespace hwdb
