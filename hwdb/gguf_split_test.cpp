// SPDX-License-Identifier: MIT
// Rows P and S of the table of malformed input, shapes of some architectures, real files, and the
// header of a file far larger than this machine.
#include "hwdb/gguf_split.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "hwdb/architecture.h"
#include "hwdb/quant_name.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/limits_watch.h"
#include "hwdb/testing/shared_facts.h"
#include "hwdb/testing/temp_folder.h"

namespace hwdb {
namespace {

using testing::GgufBuilder;
using testing::TempFolder;
using testing::TinyLlama;
using Keys = std::function<void(GgufBuilder*)>;

Result<ModelFile> open_bytes(std::string_view bytes) {
  const testing::Watchdog watchdog;
  const TempFolder folder;
  return open_gguf(folder.write("model.gguf", bytes));
}
/// A tiny Llama without some keys, with others added, and its tensors.
std::string llama(const std::vector<std::string_view>& without, const Keys& add,
                  const TinyLlama& tiny = {}) {
  GgufBuilder b;
  tiny.add_keys(&b, without);
  add(&b);
  tiny.add_tensors(&b);
  return b.build();
}
Keys u32(std::string key, std::uint32_t v) {
  return [=](GgufBuilder* b) { b->u32(key, v); };
}
Keys f32(std::string key, float v) {
  return [=](GgufBuilder* b) { b->f32(key, v); };
}
Keys list(std::string key, std::vector<std::uint32_t> v) {
  return [=](GgufBuilder* b) { b->array(key, GgufType::u32, v); };
}
std::string other_tensors(const std::function<void(GgufBuilder*)>& tensors) {
  GgufBuilder b;
  TinyLlama().add_keys(&b);
  tensors(&b);
  return b.build();
}
std::string projector(const Keys& add) {
  GgufBuilder b;
  b.text("general.architecture", "clip").text("general.type", "mmproj");
  add(&b);
  b.tensor("v.patch_embd.weight", {32, 4});
  return b.build();
}
std::string experts(std::uint32_t n, std::uint32_t used) {
  return llama({}, [=](GgufBuilder* b) {
    b->u32("llama.expert_count", n).u32("llama.expert_used_count", used);
  });
}

struct Case {
  std::string id, code;
  std::function<std::string()> bytes;
};
class MalformedShape : public ::testing::TestWithParam<Case> {};
TEST_P(MalformedShape, GivesItsCode) {
  const auto model = open_bytes(GetParam().bytes());
  EXPECT_EQ(model ? "ok" : model.error().code, GetParam().code)
      << (model ? "" : model.error().what);
}

const Case kCases[] = {
    {"P01_architecture", "model.missing_key",
     [] { return TinyLlama().build({"general.architecture"}); }},
    {"P01_block_count", "model.missing_key", [] { return TinyLlama().build({"block_count"}); }},
    {"P01_heads", "model.missing_key", [] { return TinyLlama().build({"attention.head_count"}); }},
    {"P01_width", "model.missing_key", [] { return TinyLlama().build({"embedding_length"}); }},
    {"P02_unknown", "ok",
     [] {
       TinyLlama t;
       t.architecture = "new-thing";
       return t.build();
     }},
    {"P03_zero", "model.range", [] { return llama({"block_count"}, u32("llama.block_count", 0)); }},
    {"P03_1025", "model.range",
     [] { return llama({"block_count"}, u32("llama.block_count", 1025)); }},
    {"P03_2_31", "model.range",
     [] { return llama({"block_count"}, u32("llama.block_count", 1u << 31)); }},
    {"P03_negative", "model.range",
     [] {
       return llama({"block_count"}, [](GgufBuilder* b) { b->i32("llama.block_count", -1); });
     }},
    {"P03_1024", "ok",
     [] {
       TinyLlama t;
       t.n_layers = 1024;
       return t.build();
     }},
    {"P04_no_heads", "model.range",
     [] { return llama({"attention.head_count"}, u32("llama.attention.head_count", 0)); }},
    {"P04_no_kv_heads", "model.range",
     [] { return llama({"attention.head_count_kv"}, u32("llama.attention.head_count_kv", 0)); }},
    {"P04_more_kv_heads", "model.range",
     [] { return llama({"attention.head_count_kv"}, u32("llama.attention.head_count_kv", 8)); }},
    {"P04_no_divisor", "model.range",
     [] { return llama({"attention.head_count_kv"}, u32("llama.attention.head_count_kv", 3)); }},
    {"P05_zero", "model.range",
     [] { return llama({"embedding_length"}, u32("llama.embedding_length", 0)); }},
    {"P05_not_divisible", "model.range",
     [] {
       return llama({"attention.head_count", "attention.head_count_kv"}, [](GgufBuilder* b) {
         b->u32("llama.attention.head_count", 7).u32("llama.attention.head_count_kv", 7);
       });
     }},
    {"P05_with_key_length", "ok",
     [] {
       return llama({"attention.head_count", "attention.head_count_kv"}, [](GgufBuilder* b) {
         b->u32("llama.attention.head_count", 7)
             .u32("llama.attention.head_count_kv", 7)
             .u32("llama.attention.key_length", 16)
             .u32("llama.attention.value_length", 16);
       });
     }},
    {"P06_short", "model.array_length",
     [] { return llama({"attention.head_count_kv"}, list("llama.attention.head_count_kv", {2})); }},
    {"P06_long", "model.array_length",
     [] {
       return llama({"feed_forward_length"}, list("llama.feed_forward_length", {128, 128, 128}));
     }},
    {"P06_very_long", "model.array_length",
     [] {
       return llama({"feed_forward_length"},
                    list("llama.feed_forward_length", std::vector<std::uint32_t>(100'000, 1)));
     }},
    {"P06_windows", "model.array_length",
     [] {
       TinyLlama t;
       t.architecture = "gemma3";
       return llama(
           {},
           [](GgufBuilder* b) {
             b->u32("gemma3.attention.sliding_window", 8)
                 .array<std::uint8_t>("gemma3.attention.sliding_window_pattern", GgufType::boolean,
                                      {1});
           },
           t);
     }},
    {"P07_zero_at_layer_0", "ok",
     [] {
       return llama({"attention.head_count_kv"}, list("llama.attention.head_count_kv", {0, 2}));
     }},
    {"P07_zero_later", "ok",
     [] {
       return llama({"attention.head_count_kv", "attention.head_count"}, [](GgufBuilder* b) {
         b->array<std::uint32_t>("llama.attention.head_count_kv", GgufType::u32, {2, 0})
             .array<std::uint32_t>("llama.attention.head_count", GgufType::u32, {4, 0});
       });
     }},
    {"P08_more_used", "model.range", [] { return experts(4, 5); }},
    {"P08_none_used", "model.range", [] { return experts(4, 0); }},
    {"P08_of_none", "model.range", [] { return experts(0, 2); }},
    {"P08_65537", "model.range", [] { return experts(65'537, 2); }},
    {"P09_context_0", "model.range",
     [] { return llama({"context_length"}, u32("llama.context_length", 0)); }},
    {"P09_context_2_63", "model.range",
     [] {
       return llama({"context_length"},
                    [](GgufBuilder* b) { b->u64("llama.context_length", std::uint64_t{1} << 63); });
     }},
    {"P09_base_nan", "model.range",
     [] {
       return llama({"rope.freq_base"},
                    f32("llama.rope.freq_base", std::numeric_limits<float>::quiet_NaN()));
     }},
    {"P09_base_inf", "model.range",
     [] {
       return llama({"rope.freq_base"},
                    f32("llama.rope.freq_base", std::numeric_limits<float>::infinity()));
     }},
    {"P09_base_0", "model.range",
     [] { return llama({"rope.freq_base"}, f32("llama.rope.freq_base", 0)); }},
    {"P09_window_0", "model.range",
     [] { return llama({}, u32("llama.attention.sliding_window", 0)); }},
    {"P11_fewer_blocks", "model.inconsistent",
     [] { return llama({"block_count"}, u32("llama.block_count", 3)); }},
    {"P11_more_blocks", "model.inconsistent",
     [] { return llama({"block_count"}, u32("llama.block_count", 1)); }},
    {"P11_no_block_0", "model.inconsistent",
     [] {
       return other_tensors([](GgufBuilder* b) {
         b->tensor("token_embd.weight", {64, 96}).tensor("blk.1.attn_q.weight", {64, 64});
       });
     }},
    {"P11_rows", "model.inconsistent",
     [] {
       return other_tensors([](GgufBuilder* b) {
         b->tensor("token_embd.weight", {64, 95}).tensor("blk.0.w", {64}).tensor("blk.1.w", {64});
       });
     }},
    {"P11_huge_block", "model.inconsistent",
     [] { return other_tensors([](GgufBuilder* b) { b->tensor("blk.4000000000.w", {64}); }); }},
    {"P12_mean", "model.array_length",
     [] {
       return projector([](GgufBuilder* b) {
         b->array<float>("clip.vision.image_mean", GgufType::f32, {0.5f, 0.5f});
       });
     }},
    {"P12_pinpoints", "model.array_length",
     [] {
       return projector([](GgufBuilder* b) {
         b->array<std::int32_t>("clip.vision.image_grid_pinpoints", GgufType::i32, {1, 2, 3});
       });
     }},
    {"P12_patch", "model.range", [] { return projector(u32("clip.vision.patch_size", 0)); }},
    {"P12_chunk", "model.range", [] { return projector(u32("clip.audio.chunk_size", 65'537)); }},
    {"P12_good", "ok",
     [] {
       return projector([](GgufBuilder* b) {
         b->array<float>("clip.vision.image_mean", GgufType::f32, {0.5f, 0.5f, 0.5f})
             .u32("clip.vision.patch_size", 14);
       });
     }},
};
INSTANTIATE_TEST_SUITE_P(Keys, MalformedShape, ::testing::ValuesIn(kCases),
                         [](const auto& i) { return i.param.id; });

TEST(GgufShape, AMissingKeyIsNamed) {
  const auto model = open_bytes(TinyLlama().build({"embedding_length"}));
  ASSERT_FALSE(model.has_value());
  EXPECT_NE(model.error().what.find("llama.embedding_length"), std::string::npos);
}

TEST(GgufShape, ALlamaIsReadWhole) {
  const auto model = open_bytes(TinyLlama().build());
  ASSERT_TRUE(model.has_value()) << model.error().what;
  const ModelShape& s = model->shape;
  EXPECT_TRUE(s.known_architecture);
  EXPECT_EQ(s.n_layers, 2u);
  EXPECT_EQ(s.n_heads.at(1), 4u);
  EXPECT_EQ(s.n_kv_heads.at(0), 2u);
  EXPECT_EQ(s.head_dim_k, 16u);
  EXPECT_EQ(s.n_vocab, 96u);
  EXPECT_EQ(s.n_ctx_train, 512u);
  EXPECT_TRUE(s.tie_embeddings);
  EXPECT_TRUE(s.ffn_gated);
  EXPECT_EQ(s.norms_per_layer, 2u);
  EXPECT_FALSE(s.attn_qkv_bias);
  EXPECT_EQ(model->dtypes.at(0).name, "F32");
  EXPECT_EQ(model->quantization, "F32");
}

TEST(GgufShape, ThePresetIsNamedByItsNumber) {
  const TempFolder folder;
  const std::string bytes = llama({}, u32("general.file_type", 15));
  EXPECT_EQ(open_gguf(folder.write("blob", bytes))->quantization, "Q4_K_M");
  EXPECT_EQ(open_gguf(folder.write("model-Q4_K_L.gguf", bytes))->quantization, "Q4_K_L");
  EXPECT_EQ(open_gguf(folder.write("blob", bytes))->file_type, 15u);
}

TEST(GgufShape, AnUnknownArchitectureSaysWhatIsMissing) {  // P02
  TinyLlama tiny;
  tiny.architecture = "new-thing";
  const auto model = open_bytes(tiny.build());
  ASSERT_TRUE(model.has_value());
  EXPECT_FALSE(model->shape.known_architecture);
  EXPECT_FALSE(model->unknown_terms.empty());
  EXPECT_EQ(model->shape.n_layers, 2u);
}

/// Layers with full attention of a model of 12 layers with a window of 64.
std::vector<std::uint32_t> global_layers(
    const std::string& architecture, const Keys& more = [](GgufBuilder*) {}) {
  TinyLlama tiny;
  tiny.architecture = architecture;
  tiny.n_layers = 12;
  const auto model = open_bytes(llama(
      {},
      [&](GgufBuilder* b) {
        b->u32(architecture + ".attention.sliding_window", 64);
        more(b);
      },
      tiny));
  EXPECT_TRUE(model.has_value()) << model.error().what;
  if (!model) return {};
  EXPECT_EQ(model->shape.sliding_window, 64u);
  return model->shape.global_layers;
}

TEST(GgufShape, WindowsFollowTheArchitecturesPeriod) {
  using Layers = std::vector<std::uint32_t>;
  EXPECT_EQ(global_layers("gemma2"), (Layers{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(global_layers("gpt-oss"), (Layers{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(global_layers("gemma3"), (Layers{5, 11}));
  EXPECT_EQ(global_layers("cohere2"), (Layers{3, 7, 11}));
  EXPECT_EQ(global_layers("smallthinker"), (Layers{0, 4, 8}));
  // A key wins over the row: a period, or a mark for each layer.
  EXPECT_EQ(global_layers("gemma3", u32("gemma3.attention.sliding_window_pattern", 3)),
            (Layers{2, 5, 8, 11}));
  EXPECT_EQ(global_layers("gemma4",
                          [](GgufBuilder* b) {
                            b->array<std::uint8_t>("gemma4.attention.sliding_window_pattern",
                                                   GgufType::boolean,
                                                   {1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0});
                          }),
            (Layers{2, 11}));
}

TEST(GgufShape, LlamaFourIsChunkedWithoutAnyKey) {
  TinyLlama tiny;
  tiny.architecture = "llama4";
  tiny.n_layers = 8;
  const auto model = open_bytes(tiny.build());
  ASSERT_TRUE(model.has_value()) << model.error().what;
  EXPECT_EQ(model->shape.chunked_attention, 8192u);
  EXPECT_EQ(model->shape.global_layers, (std::vector<std::uint32_t>{3, 7}));
}

TEST(GgufShape, AWindowOfNoUseIsToldNotCounted) {
  const auto model = open_bytes(llama({}, u32("llama.attention.sliding_window", 4096)));
  ASSERT_TRUE(model.has_value());
  EXPECT_EQ(model->shape.sliding_window, 0u);
  EXPECT_EQ(model->warnings.size(), 1u);
}

TEST(GgufShape, PhiFourWritesAWindowOfZeroForNone) {
  TinyLlama tiny;
  tiny.architecture = "phi3";
  EXPECT_TRUE(open_bytes(llama({}, u32("phi3.attention.sliding_window", 0), tiny)).has_value());
}

TEST(GgufShape, LatentAttentionIsUnfolded) {
  TinyLlama tiny;
  tiny.architecture = "deepseek2";
  tiny.n_kv_heads = 1;
  const auto add = [](GgufBuilder* b) {
    b->u32("deepseek2.attention.kv_lora_rank", 32)
        .u32("deepseek2.attention.key_length", 40)
        .u32("deepseek2.attention.value_length", 32);
    b->u32("deepseek2.attention.key_length_mla", 24)
        .u32("deepseek2.attention.value_length_mla", 16)
        .u32("deepseek2.rope.dimension_count", 8);
  };
  const auto model = open_bytes(llama({}, add, tiny));
  ASSERT_TRUE(model.has_value()) << model.error().what;
  ASSERT_TRUE(model->shape.mla.has_value());
  EXPECT_EQ(model->shape.mla->kv_lora_rank, 32u);
  EXPECT_EQ(model->shape.mla->qk_rope_dim, 8u);
  EXPECT_EQ(model->shape.mla->qk_nope_dim, 16u);
  EXPECT_EQ(model->shape.mla->v_head_dim, 16u);
  EXPECT_EQ(model->shape.head_dim_k, 24u);
}

TEST(GgufShape, AHybridNamesItsAttentionLayers) {
  GgufBuilder b;
  TinyLlama tiny;
  tiny.architecture = "granitehybrid";
  tiny.n_layers = 4;
  tiny.add_keys(&b, {"attention.head_count_kv"});
  b.array<std::uint32_t>("granitehybrid.attention.head_count_kv", GgufType::u32, {0, 0, 2, 0});
  b.u32("granitehybrid.ssm.conv_kernel", 4)
      .u32("granitehybrid.ssm.inner_size", 128)
      .u32("granitehybrid.ssm.state_size", 16);
  b.u32("granitehybrid.ssm.time_step_rank", 8).u32("granitehybrid.ssm.group_count", 1);
  tiny.add_tensors(&b);
  const auto model = open_bytes(b.build());
  ASSERT_TRUE(model.has_value()) << model.error().what;
  const ModelShape& s = model->shape;
  EXPECT_TRUE(s.hybrid);
  EXPECT_EQ(s.attention_layers, (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(s.n_kv_heads.at(0), 2u);
  ASSERT_TRUE(s.ssm.has_value());
  EXPECT_EQ(s.ssm->n_heads, 8u);
  EXPECT_EQ(s.ssm->head_dim, 16u);
}

TEST(GgufShape, ExpertsAndWhatIsDenseComeFromTheTensors) {
  GgufBuilder b;
  TinyLlama tiny;
  tiny.architecture = "deepseek2";
  tiny.n_layers = 3;
  tiny.add_keys(&b);
  b.u32("deepseek2.expert_count", 8)
      .u32("deepseek2.expert_used_count", 2)
      .u32("deepseek2.expert_feed_forward_length", 32)
      .u32("deepseek2.expert_shared_count", 1);
  b.tensor("token_embd.weight", {64, 96})
      .tensor("blk.0.ffn_up.weight", {64, 128})
      .tensor("blk.0.ffn_down.weight", {128, 64})
      .tensor("blk.0.ffn_gate.weight", {64, 128});
  for (const std::string blk : {"blk.1.", "blk.2."}) {
    b.tensor(blk + "ffn_up_exps.weight", {64, 32, 8})
        .tensor(blk + "ffn_down_exps.weight", {32, 64, 8})
        .tensor(blk + "exp_probs_b.bias", {8});
  }
  b.tensor("output.weight", {64, 96});
  const auto model = open_bytes(b.build());
  ASSERT_TRUE(model.has_value()) << model.error().what;
  const ModelShape& s = model->shape;
  EXPECT_EQ(s.first_dense_layers, 1u);
  EXPECT_EQ(s.moe_layer_step, 1u);
  EXPECT_EQ(s.n_ff_expert, 32u);
  EXPECT_EQ(s.n_ff_shared, 32u);
  EXPECT_EQ(s.n_ff.at(0), 128u);
  EXPECT_TRUE(s.router_bias);
  EXPECT_FALSE(s.tie_embeddings);
}

TEST(Architectures, AreFoundByNameAndOnlySo) {
  ASSERT_NE(find_architecture("llama"), nullptr);
  EXPECT_EQ(find_architecture("Llama"), nullptr);
  EXPECT_EQ(find_architecture(""), nullptr);
  for (const ArchitectureTraits& row : architectures()) {
    EXPECT_EQ(find_architecture(row.name), &row);
    EXPECT_FALSE(row.display.empty());
    EXPECT_EQ(row.ssm.has_value(), row.mixing != ArchitectureTraits::Mixing::attention) << row.name;
  }
}

// ---- Split files ----

struct Shard {
  std::uint16_t number = 0, count = 2;
  std::int32_t tensors = -1;
};
/// A model of two shards; `change` may spoil each before it is written.
Result<ModelFile> open_split(const std::function<void(int shard, GgufBuilder*, Shard*)>& change,
                             const std::string& open = "m-00001-of-00002.gguf",
                             const std::vector<std::string>& names = {"m-00001-of-00002.gguf",
                                                                      "m-00002-of-00002.gguf"}) {
  const TempFolder folder;
  TinyLlama tiny;
  tiny.n_layers = 1;
  GgufBuilder whole;
  tiny.add_tensors(&whole);
  for (int i = 0; i < 2; ++i) {
    GgufBuilder b;
    Shard shard{.number = static_cast<std::uint16_t>(i),
                .tensors = static_cast<std::int32_t>(whole.tensors.size())};
    if (i == 0) tiny.add_keys(&b);
    const std::size_t half = whole.tensors.size() / 2;
    for (std::size_t t = i == 0 ? 0 : half; t < (i == 0 ? half : whole.tensors.size()); ++t)
      b.tensor(whole.tensors[t].name, whole.tensors[t].ne);
    change(i, &b, &shard);
    b.u16("split.no", shard.number)
        .u16("split.count", shard.count)
        .i32("split.tensors.count", shard.tensors);
    folder.write(names[static_cast<std::size_t>(i)], b.build());
  }
  return open_gguf(folder.file(open));
}
std::string split_code(const std::function<void(int, GgufBuilder*, Shard*)>& change) {
  const auto model = open_split(change);
  return model ? "ok" : model.error().code;
}

TEST(GgufSplit, AnyShardOpensTheWhole) {
  for (const char* name : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    const auto model = open_split([](int, GgufBuilder*, Shard*) {}, name);
    ASSERT_TRUE(model.has_value()) << model.error().what;
    EXPECT_EQ(model->paths.size(), 2u);
    EXPECT_EQ(model->tensors.size(), 11u);
    EXPECT_EQ(model->tensors.back().shard, 1u);
    EXPECT_EQ(model->shape.n_layers, 1u);
  }
}

TEST(GgufSplit, WrongKeysAreRefused) {  // S01, S03
  EXPECT_EQ(split_code([](int i, GgufBuilder*, Shard* s) {
              if (i == 0) s->number = 2;
            }),
            "gguf.split");
  EXPECT_EQ(split_code([](int, GgufBuilder*, Shard* s) { s->count = 0; }), "gguf.split_missing");
  EXPECT_EQ(split_code([](int, GgufBuilder*, Shard* s) { s->count = 4097; }), "gguf.split");
  EXPECT_EQ(split_code([](int i, GgufBuilder*, Shard* s) {
              if (i == 1) s->number = 0;
            }),
            "gguf.split");
  EXPECT_EQ(split_code([](int, GgufBuilder*, Shard* s) { s->tensors = 12; }), "gguf.split");
  EXPECT_EQ(split_code([](int i, GgufBuilder*, Shard* s) {
              if (i == 1) s->tensors = 99;
            }),
            "gguf.split");
  EXPECT_EQ(split_code([](int i, GgufBuilder* b, Shard* s) {
              if (i == 1) b->tensor("token_embd.weight", {64, 96});
              s->tensors = 12;
            }),
            "gguf.split");
  EXPECT_EQ(split_code([](int i, GgufBuilder* b, Shard*) {
              if (i == 1) b->text("general.architecture", "qwen2");
            }),
            "gguf.split");
}

TEST(GgufSplit, CountsOfOneFile) {  // S01
  const auto code = [](const Keys& add) {
    const auto model = open_bytes(llama({}, add));
    return model ? "ok" : model.error().code;
  };
  EXPECT_EQ(code([](GgufBuilder* b) { b->u16("split.count", 0); }), "gguf.split");
  EXPECT_EQ(code([](GgufBuilder* b) { b->u16("split.no", 1).u16("split.count", 1); }),
            "gguf.split");
  EXPECT_EQ(code([](GgufBuilder* b) { b->u16("split.no", 1).u16("split.count", 0); }),
            "gguf.split");
  EXPECT_EQ(code([](GgufBuilder* b) { b->text("split.count", "2"); }), "gguf.split");
  EXPECT_EQ(code([](GgufBuilder* b) { b->u16("split.no", 0).u16("split.count", 3); }),
            "gguf.split_missing");
  // What merging leaves behind; the number of tensors must still be right.
  EXPECT_EQ(code([](GgufBuilder* b) {
              b->u16("split.no", 0).u16("split.count", 0).i32("split.tensors.count", 20);
            }),
            "ok");
  EXPECT_EQ(code([](GgufBuilder* b) {
              b->u16("split.no", 0).u16("split.count", 0).i32("split.tensors.count", 21);
            }),
            "gguf.split");
}

TEST(GgufSplit, MissingShardsAreListed) {  // S02
  const auto model = open_split([](int, GgufBuilder*, Shard*) {}, "m-00001-of-00002.gguf",
                                {"m-00001-of-00002.gguf", "other.gguf"});
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code, "gguf.split_missing");
  EXPECT_NE(model.error().what.find("m-00002-of-00002.gguf"), std::string::npos)
      << model.error().what;
  const auto no_first = open_split([](int, GgufBuilder*, Shard*) {}, "m-00002-of-00002.gguf",
                                   {"x.gguf", "m-00002-of-00002.gguf"});
  EXPECT_EQ(no_first.error().code, "gguf.split_missing");
  const auto named_else = open_split([](int, GgufBuilder*, Shard* s) { s->count = 3; });
  EXPECT_EQ(named_else.error().code, "gguf.split_missing");
}

TEST(GgufSplit, NamesArePutTogether) {
  const auto name = parse_shard_name("/a/b-00002-of-00010.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->number, 2u);
  EXPECT_EQ(name->sibling(10), "/a/b-00010-of-00010.gguf");
  EXPECT_FALSE(parse_shard_name("b-00003-of-00002.gguf").has_value());
  EXPECT_FALSE(parse_shard_name("b-0000x-of-00002.gguf").has_value());
  EXPECT_EQ(preset_in_file_name("/x/Llama-8B.i1-Q4_K_M.gguf"), "Q4_K_M");
  EXPECT_EQ(preset_in_file_name("m-IQ3_XXS-00001-of-00002.gguf"), "IQ3_XXS");
  EXPECT_EQ(preset_in_file_name("llama-3-8b.gguf"), "");
}

// ---- Real files, where they are ----

TEST(RealFiles, TinyTrainedModelsOpen) {
  const std::string first = testing::shared_fact("stories260K.gguf");
  if (first.empty()) GTEST_SKIP() << "the trained test models are not on this machine";
  for (const char* name :
       {"stories260K.gguf", "stories260K-f16.gguf", "stories260K-Q8_0.gguf",
        "stories260K-Q4_0.gguf", "stories260K-Q4_K_M.gguf", "stories260K-Q5_0.gguf"}) {
    const auto model = open_gguf(testing::shared_fact(name));
    ASSERT_TRUE(model.has_value()) << name << ": " << model.error().what;
    EXPECT_EQ(model->shape.n_layers, 5u);
    EXPECT_EQ(model->shape.n_kv_heads.at(0), 4u);
    EXPECT_EQ(model->shape.head_dim_k, 8u);
    EXPECT_EQ(model->shape.n_ff.at(0), 172u);
    EXPECT_TRUE(model->shape.tie_embeddings);
    EXPECT_EQ(model->vocabulary.n_tokens, 512u);
    EXPECT_EQ(model->file_bytes.value, std::filesystem::file_size(testing::shared_fact(name)));
  }
  EXPECT_EQ(open_gguf(testing::shared_fact("stories260K-Q4_K_M.gguf"))->quantization, "Q4_K_M");
}

TEST(RealFiles, VocabulariesOpen) {
  if (testing::shared_fact("vocab/ggml-vocab-qwen2.gguf").empty())
    GTEST_SKIP() << "the vocabularies are not on this machine";
  for (const auto& [name, tokens] : {std::pair{"deepseek-llm", 102'400u},
                                     {"gpt-2", 50'257u},
                                     {"llama-bpe", 128'256u},
                                     {"llama-spm", 32'000u},
                                     {"phi-3", 32'064u},
                                     {"qwen2", 151'936u}}) {
    const auto model =
        open_gguf(testing::shared_fact("vocab/ggml-vocab-" + std::string(name) + ".gguf"));
    ASSERT_TRUE(model.has_value()) << name << ": " << model.error().what;
    EXPECT_EQ(model->vocabulary.n_tokens, tokens);
    EXPECT_FALSE(model->warnings.empty());
  }
}

// ---- The header of 400 GB ----

TEST(LargeFiles, TheHeaderOfFourHundredGigabytesIsCheap) {
  // Nine sparse shards as of a model of 61 layers with 256 experts, and a vocabulary of 129 280
  // tokens with 127 741 merges.
  const TempFolder folder;
  constexpr int kShards = 9;
  constexpr std::uint32_t kLayers = 61;
  std::vector<TensorInfo> all;
  const auto add = [&](std::string name, std::array<std::uint64_t, 4> ne, std::string_view type) {
    TensorInfo t;
    t.name = std::move(name);
    t.ne = ne;
    t.type = tensor_type(type);
    all.push_back(t);
  };
  add("token_embd.weight", {7168, 129'280, 1, 1}, "Q4_K");
  for (std::uint32_t i = 0; i < kLayers; ++i) {
    const std::string blk = "blk." + std::to_string(i) + ".";
    for (const char* name : {"attn_norm", "ffn_norm", "attn_q_a_norm"})
      add(blk + name + ".weight", {7168, 1, 1, 1}, "F32");
    for (const char* name :
         {"attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_k_b", "attn_v_b", "attn_output"})
      add(blk + name + ".weight", {7168, 2048, 1, 1}, "Q4_K");
    add(blk + "ffn_gate_inp.weight", {7168, 256, 1, 1}, "F32");
    for (const char* name : {"ffn_gate", "ffn_up"})
      add(blk + name + "_exps.weight", {7168, 2048, 256, 1}, "Q4_K");
    add(blk + "ffn_down_exps.weight", {2048, 7168, 256, 1}, "Q6_K");
  }
  add("output_norm.weight", {7168, 1, 1, 1}, "F32");
  add("output.weight", {7168, 129'280, 1, 1}, "Q6_K");

  std::vector<std::string> tokens, merges;
  for (int i = 0; i < 129'280; ++i) tokens.push_back("tok" + std::to_string(i));
  for (int i = 0; i < 127'741; ++i)
    merges.push_back("tok" + std::to_string(i) + " tok" + std::to_string(i + 7));
  std::uint64_t total = 0, header = 0;
  for (int shard = 0; shard < kShards; ++shard) {
    GgufBuilder b;
    if (shard == 0) {
      TinyLlama tiny{.n_layers = kLayers,
                     .n_embd = 7168,
                     .n_heads = 128,
                     .n_kv_heads = 128,
                     .n_ff = 18'432,
                     .n_vocab = 129'280,
                     .n_ctx = 163'840,
                     .architecture = "deepseek2"};
      tiny.add_keys(&b);
      b.u32("deepseek2.expert_count", 256)
          .u32("deepseek2.expert_used_count", 8)
          .u32("deepseek2.expert_feed_forward_length", 2048);
      b.u32("deepseek2.attention.kv_lora_rank", 512)
          .u32("deepseek2.attention.key_length_mla", 192)
          .u32("deepseek2.attention.value_length_mla", 128)
          .u32("deepseek2.rope.dimension_count", 64);
      b.text("tokenizer.ggml.model", "gpt2")
          .texts("tokenizer.ggml.tokens", tokens)
          .texts("tokenizer.ggml.merges", merges);
      b.array("tokenizer.ggml.token_type", GgufType::i32,
              std::vector<std::int32_t>(tokens.size(), 1));
    }
    b.u16("split.no", static_cast<std::uint16_t>(shard))
        .u16("split.count", kShards)
        .i32("split.tensors.count", static_cast<std::int32_t>(all.size()));
    for (std::size_t t = all.size() * static_cast<std::size_t>(shard) / kShards;
         t < all.size() * static_cast<std::size_t>(shard + 1) / kShards; ++t)
      b.tensor(all[t]);
    b.write_data = false;
    const std::string bytes = b.build();
    const ShardName name{.prefix = folder.file("big"), .number = 1, .count = kShards};
    const std::string path =
        folder.write(std::filesystem::path(name.sibling(static_cast<std::uint32_t>(shard) + 1))
                         .filename()
                         .string(),
                     bytes);
    std::error_code error;
    std::filesystem::resize_file(path, bytes.size() + b.data_bytes(), error);
    if (error) GTEST_SKIP() << "this file system holds no sparse file of 45 GB";
    header += bytes.size();
    total += bytes.size() + b.data_bytes();
  }
  tokens = {};
  merges = {};
  const std::string first = folder.file("big-00001-of-00009.gguf");
  const testing::Watchdog watchdog;
  const testing::PeakMemory memory;
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    const auto start = std::chrono::steady_clock::now();
    const auto model = open_gguf(first);
    best = std::min(
        best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
                  .count());
    ASSERT_TRUE(model.has_value()) << model.error().what;
    EXPECT_EQ(model->file_bytes.value, total);
    EXPECT_GT(total, 380'000'000'000u);
  }
  std::printf("    header of %.0f GB in %d shards (%.1f MB of metadata): %.1f ms, %.1f MiB\n",
              static_cast<double>(total) / 1e9, kShards, static_cast<double>(header) / 1e6, best,
              static_cast<double>(memory.growth()) / 1048576.0);
  EXPECT_LT(memory.growth(), 64 * kMiB);
}

}  // namespace
}  // namespace hwdb
