// SPDX-License-Identifier: MIT
#include "engine/synth/synthesize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "engine/model/run_traits.h"
#include "engine/quant/quant_codec.h"
#include "engine/synth/random_weights.h"
#include "engine/synth/synth_vocabulary.h"
#include "hwdb/catalog.h"
#include "hwdb/gguf_split.h"
#include "hwdb/testing/temp_folder.h"

namespace engine {
namespace {

using hwdb::ModelShape;
using hwdb::testing::TempFolder;

/// What a GGUF file says of a shape: what has no key there is left out.
ModelShape as_in_a_file(ModelShape shape) {
  const auto whole = [](std::uint32_t n) { return hwdb::PerLayer(n); };
  shape.known_architecture = true;
  if (shape.rope.scaling == "llama3" || shape.rope.scaling == "dynamic") {
    shape.rope.scaling.clear();  // a table of factors stands for it
    shape.rope.factor = 0;
    shape.rope.original_context = 0;
  }
  if (shape.rope.scaling == "longrope") shape.rope.factor = 0;
  shape.rope.low_freq_factor = shape.rope.high_freq_factor = shape.rope.alpha = 0;
  shape.rope.none_every = 0;
  if (shape.rope.partial_factor == 1) shape.rope.partial_factor = 0;
  if (shape.mla) shape.n_kv_heads = whole(1);  // one latent for all heads
  if (shape.llama_cpp_ignores_window) {
    shape.sliding_window = 0;
    shape.llama_cpp_ignores_window = false;
    shape.global_layers.clear();
    shape.all_layers_sliding = false;
  }
  if (shape.sliding_variant) {  // a list instead of a second number
    hwdb::PerLayer listed;
    for (const hwdb::LayerShape& layer : hwdb::layers_of(shape)) {
      listed.values.push_back(layer.n_kv_heads);
    }
    shape.n_kv_heads = listed;
  }
  shape.attn_sinks = shape.attn_sinks || shape.swa_sinks;
  if (shape.learned_positions > 0) shape.rope = {};
  return shape;
}

/// The first model of each architecture, by size, so that the files are small.
std::map<std::string, const hwdb::ModelRow*> one_of_each() {
  std::map<std::string, const hwdb::ModelRow*> models;
  for (const hwdb::ModelRow& row : hwdb::Catalog::builtin().models()) {
    if (find_run_traits(row.shape.architecture) == nullptr || row.shape_incomplete) continue;
    const hwdb::ModelRow*& best = models[row.shape.architecture];
    if (best == nullptr || row.shape.n_embd < best->shape.n_embd) best = &row;
  }
  return models;
}

struct Made {
  SynthFile plan;
  hwdb::Result<hwdb::ModelFile> file;
};

Made make(const ModelShape& shape, const std::string& path, const SynthRequest& request,
          unsigned threads = 2, std::uint64_t seed = 1) {
  auto plan = plan_synth(shape, request);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().what);
  ThreadPool pool(threads);
  SynthWriting writing;
  writing.seed = seed;
  writing.overwrite = true;
  const auto written = write_synth(*plan, path, pool, writing);
  EXPECT_TRUE(written) << (written ? "" : written.error().what);
  return {std::move(*plan), hwdb::open_gguf(path)};
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(Synthesize, EveryArchitectureOfTheEngineReadsBackAsItsShape) {
  TempFolder folder;
  const auto models = one_of_each();
  EXPECT_GE(models.size(), 13u);
  for (const auto& [architecture, row] : models) {
    SCOPED_TRACE(architecture + ": " + row->id);
    SynthRequest request;
    request.preset = "Q4_0";
    // Layers of the widest take long to fill.
    const std::uint32_t n_layers = row->shape.n_embd > 3000 ? 2 : 3;
    request.cuts = {n_layers, 4, 300};
    const Made made = make(row->shape, folder.file("m.gguf"), request);
    ASSERT_TRUE(made.file) << made.file.error().code << " " << made.file.error().what;
    const ModelShape expected = as_in_a_file(made.plan.shape), &read = made.file->shape;
    EXPECT_EQ(read.architecture, architecture);
    EXPECT_EQ(read.n_layers, std::min(n_layers, row->shape.n_layers));
    EXPECT_EQ(read.n_vocab, 300u);
    EXPECT_EQ(read.n_embd, row->shape.n_embd);
    EXPECT_EQ(read.head_dim_k, expected.head_dim_k);
    EXPECT_EQ(read.head_dim_v, expected.head_dim_v);
    EXPECT_EQ(read.n_heads.values, expected.n_heads.values);
    EXPECT_EQ(read.n_kv_heads.values, expected.n_kv_heads.values);
    EXPECT_EQ(read.n_ff.at(0), expected.n_ff.at(0));
    EXPECT_EQ(read.n_ctx_train, expected.n_ctx_train);
    EXPECT_EQ(read.n_experts, expected.n_experts);
    EXPECT_EQ(read.n_experts_used, expected.n_experts_used);
    EXPECT_EQ(read.n_ff_expert, expected.n_ff_expert);
    EXPECT_EQ(read.n_shared_experts, expected.n_shared_experts);
    EXPECT_EQ(read.n_ff_shared, expected.n_ff_shared);
    EXPECT_EQ(read.first_dense_layers, expected.first_dense_layers);
    EXPECT_EQ(read.sliding_window, expected.sliding_window);
    EXPECT_EQ(read.global_layers, expected.global_layers);
    EXPECT_EQ(read.all_layers_sliding, expected.all_layers_sliding);
    EXPECT_EQ(read.mla.has_value(), expected.mla.has_value());
    if (read.mla && expected.mla) {
      EXPECT_EQ(read.mla->kv_lora_rank, expected.mla->kv_lora_rank);
      EXPECT_EQ(read.mla->q_lora_rank, expected.mla->q_lora_rank);
      EXPECT_EQ(read.mla->qk_nope_dim, expected.mla->qk_nope_dim);
      EXPECT_EQ(read.mla->qk_rope_dim, expected.mla->qk_rope_dim);
    }
    EXPECT_EQ(read.rope.scaling, expected.rope.scaling);
    EXPECT_FLOAT_EQ(static_cast<float>(read.rope.factor), static_cast<float>(expected.rope.factor));
    EXPECT_FLOAT_EQ(static_cast<float>(read.rope.freq_base),
                    static_cast<float>(expected.rope.freq_base));
    EXPECT_DOUBLE_EQ(read.rope.partial_factor, expected.rope.partial_factor);
    EXPECT_EQ(read.tie_embeddings, expected.tie_embeddings);
    EXPECT_EQ(read.attn_qkv_bias, expected.attn_qkv_bias);
    EXPECT_EQ(read.attn_out_bias, expected.attn_out_bias);
    EXPECT_EQ(read.mlp_bias, expected.mlp_bias);
    EXPECT_EQ(read.router_bias, expected.router_bias);
    EXPECT_EQ(read.attn_sinks, expected.attn_sinks);
    EXPECT_EQ(read.qk_norm, expected.qk_norm);
    EXPECT_EQ(read.norm, expected.norm);
    EXPECT_EQ(read.norms_per_layer, expected.norms_per_layer);
    EXPECT_EQ(read.fused_gate_up, expected.fused_gate_up);
    EXPECT_EQ(read.learned_positions, expected.learned_positions);
    EXPECT_EQ(made.file->vocabulary.n_tokens, 300u);
    // The reader lays tensors out by itself: the same sizes at the same places.
    ASSERT_EQ(made.file->tensors.size(), made.plan.tensors.size());
    for (std::size_t i = 0; i < made.plan.tensors.size(); ++i) {
      EXPECT_EQ(made.file->tensors[i].name, made.plan.tensors[i].info.name);
      EXPECT_EQ(made.file->tensors[i].bytes, made.plan.tensors[i].info.bytes);
    }
  }
}

TEST(Synthesize, DoesNotDependOnThreadsAndDoesOnTheSeed) {
  TempFolder folder;
  const auto row = hwdb::Catalog::builtin().find_model("qwen2.5-0.5b");
  ASSERT_TRUE(row);
  SynthRequest request;
  request.preset = "Q4_K_M";
  request.cuts = {1, {}, 20'000};  // the token table is put together from a stock
  const std::string one = folder.file("1.gguf"), four = folder.file("4.gguf"),
                    other = folder.file("o.gguf");
  ASSERT_TRUE(make((*row)->shape, one, request, 1).file);
  ASSERT_TRUE(make((*row)->shape, four, request, 4).file);
  ASSERT_TRUE(make((*row)->shape, other, request, 2, 2).file);
  const std::string bytes = contents(one);
  EXPECT_GT(bytes.size(), 1u << 20);
  EXPECT_TRUE(bytes == contents(four));
  EXPECT_FALSE(bytes == contents(other));
}

TEST(Synthesize, StopsWithoutAFile) {
  TempFolder folder;
  const auto row = hwdb::Catalog::builtin().find_model("gpt2");
  ASSERT_TRUE(row);
  SynthRequest request;
  request.cuts = {1, {}, 300};
  request.preset = "F16";
  const auto plan = plan_synth((*row)->shape, request);
  ASSERT_TRUE(plan);
  ThreadPool pool(1);
  std::atomic<bool> cancel = false;
  SynthWriting writing;
  writing.cancel = &cancel;
  writing.on_progress = [&](std::uint64_t, std::uint64_t) { cancel = true; };
  const auto written = write_synth(*plan, folder.file("x.gguf"), pool, writing);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, "run.interrupted");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Synthesize, RefusesWhatIsTooSmallOrUnknown) {
  const auto row = hwdb::Catalog::builtin().find_model("gpt2");
  ASSERT_TRUE(row);
  SynthRequest request;
  request.cuts.n_vocab = kSmallestVocabulary - 1;
  EXPECT_EQ(plan_synth((*row)->shape, request).error().code, "synth.vocabulary");
  request.cuts.n_vocab = kSmallestVocabulary;
  EXPECT_TRUE(plan_synth((*row)->shape, request));
  request.preset = "Q9_Z";
  EXPECT_EQ(plan_synth((*row)->shape, request).error().code, "quant.unknown");
}

TEST(CutShape, KeepsWhatTheFirstLayersAre) {
  const auto shape_of = [](const char* id) {
    return (*hwdb::Catalog::builtin().find_model(id))->shape;
  };
  const ModelShape gemma = cut_shape(shape_of("gemma-3-1b"), {.n_layers = 7});
  EXPECT_EQ(gemma.global_layers, std::vector<std::uint32_t>{5});
  EXPECT_FALSE(gemma.all_layers_sliding);
  EXPECT_TRUE(cut_shape(shape_of("gemma-3-1b"), {.n_layers = 4}).all_layers_sliding);
  const ModelShape deepseek = cut_shape(shape_of("deepseek-v3-671b"), {.n_layers = 2});
  EXPECT_EQ(deepseek.first_dense_layers, 1u);  // one layer is left for the experts
  EXPECT_EQ(deepseek.mtp_layers, 0u);
  const ModelShape few = cut_shape(shape_of("olmoe-1b-7b"), {.n_experts = 2});
  EXPECT_EQ(few.n_experts, few.n_experts_used);
}

TEST(RandomWeights, AreBellShapedAndIndependentOfWhereOneBegins) {
  std::vector<float> all(100'000), part(1000);
  fill_random(7, 0, 1.0f, 0.5f, all);
  fill_random(7, 500, 1.0f, 0.5f, part);
  EXPECT_TRUE(std::ranges::equal(part, std::span(all).subspan(500, 1000)));
  double sum = 0, squares = 0;
  std::size_t within = 0;
  for (const float v : all) {
    sum += v - 1;
    squares += (v - 1.0) * (v - 1.0);
    within += std::abs(v - 1.0f) < 0.5f;
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / 1e5), 0.5, 0.005);
  EXPECT_NEAR(static_cast<double>(within) / 1e5, 0.67, 0.02);  // 0.683 of a normal one
}

TEST(RandomWeights, TypesWithoutAnEncoderHaveTheWantedSize) {
  ThreadPool pool(1);
  std::size_t n_types = 0;
  for (const QuantCodec& codec : quant_codecs()) {
    hwdb::TensorInfo tensor;
    tensor.name = "x.weight";
    tensor.ne = {512, 64, 1, 1};
    tensor.type = codec.type;
    WeightRule rule;
    rule.spread = 0.02f;
    RandomWeights weights(1, pool);
    auto source = weights.open(tensor, rule);
    ASSERT_TRUE(source);
    std::vector<std::byte> bytes(source->n_pieces * source->piece_bytes);
    weights.make(*source, 0, bytes);
    std::vector<float> values(tensor.elements());
    codec.decode(bytes.data(), values.size(), values.data());
    double squares = 0;
    for (const float v : values) squares += double{v} * double{v};
    const double size = std::sqrt(squares / static_cast<double>(values.size()));
    // The coarsest types round a bell shape to three values.
    EXPECT_NEAR(size, 0.02, 0.006) << hwdb::format_of(codec.type).name;
    ++n_types;
  }
  EXPECT_GE(n_types, 20u);
}

TEST(WeightRule, Llama3FactorsFollowTheWavelength) {
  hwdb::RopeShape rope;
  rope.freq_base = 500'000;
  rope.factor = 8;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_context = 8192;
  const std::vector<float> factors = llama3_rope_factors(rope, 64);
  // By hand: pair i has a wavelength of 2 pi 500000^(i/64); below 2048 it stays, above 8192 it is
  // stretched eightfold. Pair 28: 2 pi e^(28/64 ln 5e5) = 1956; pair 35: 8218; pair 30: 2948, which
  // makes 2.779 turns, so 1 / ((1 - 0.5930) / 8 + 0.5930) = 1.5531.
  EXPECT_FLOAT_EQ(factors[0], 1);
  EXPECT_FLOAT_EQ(factors[28], 1);
  EXPECT_NEAR(factors[30], 1.5531f, 0.002f);
  EXPECT_FLOAT_EQ(factors[35], 8);
  EXPECT_FLOAT_EQ(factors[63], 8);
}

}  // namespace
}  // namespace engine
