// SPDX-License-Identifier: MIT
#include "engine/model/weight_finder.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hwdb/gguf.h"
#include "hwdb/gguf_split.h"
#include "hwdb/testing/gguf_builder.h"
#include "hwdb/testing/temp_folder.h"

namespace engine {
namespace {

constexpr std::uint32_t kWidth = 32, kHead = 16, kVocabulary = 8;

/// One layer of two heads with the given tensors besides its matrices.
class WeightFinderTest : public ::testing::Test {
 protected:
  void make(std::string_view architecture, const std::vector<std::string>& norms) {
    const std::string prefix = std::string(architecture) + ".";
    b_.text("general.architecture", architecture);
    for (const auto& [key, value] :
         {std::pair{"block_count", 1u}, std::pair{"embedding_length", kWidth},
          std::pair{"feed_forward_length", 64u}, std::pair{"attention.head_count", 2u},
          std::pair{"context_length", 64u}, std::pair{"vocab_size", kVocabulary}}) {
      b_.u32(prefix + key, value);
    }
    b_.f32(prefix + "attention.layer_norm_epsilon", 1e-5f);
    b_.f32(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
    b_.tensor("token_embd.weight", {kWidth, kVocabulary});
    for (const std::string_view name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
      b_.tensor("blk.0." + std::string(name) + ".weight", {kWidth, kWidth});
    }
    b_.tensor("blk.0.ffn_gate.weight", {kWidth, 64});
    b_.tensor("blk.0.ffn_up.weight", {kWidth, 64});
    b_.tensor("blk.0.ffn_down.weight", {64, kWidth});
    for (const std::string& name : norms) b_.tensor(name, {kWidth});
  }

  /// The first layer; `list_` then says which tensor goes where.
  const LayerWeights& find() {
    const std::string path = folder_.write("model.gguf", b_.build());
    auto model = hwdb::open_gguf(path);
    EXPECT_TRUE(model.has_value()) << model.error().what;
    file_ = std::move(*model);
    auto gguf = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(path)));
    auto params = read_model_params(*gguf, file_.shape, {});
    EXPECT_TRUE(params.has_value()) << params.error().what;
    params_ = std::move(*params);
    auto list = find_weights(file_, params_, &weights_);
    EXPECT_TRUE(list.has_value()) << list.error().what;
    if (list) list_ = std::move(*list);
    return weights_.layers.at(0);
  }

  /// The tensor that fills a vector; "" none.
  std::string source_of(const float* const& target) const {
    for (const VectorItem& item : list_.vectors) {
      if (item.target == &target) return item.tensor->name;
    }
    return "";
  }

  hwdb::testing::GgufBuilder b_;
  hwdb::testing::TempFolder folder_;
  hwdb::ModelFile file_;
  ModelParams params_;
  ModelWeights weights_;
  WeightList list_;
};

TEST_F(WeightFinderTest, ParallelFeedForwardSharesTheNormOfAttention) {
  make("falcon", {"blk.0.attn_norm.weight", "output_norm.weight"});
  const LayerWeights& layer = find();
  EXPECT_EQ(source_of(layer.before_attention.weight), "blk.0.attn_norm.weight");
  EXPECT_EQ(source_of(layer.before_ffn.weight), "");
}

TEST_F(WeightFinderTest, ParallelFeedForwardMayHaveANormOfItsOwn) {
  make("falcon", {"blk.0.attn_norm.weight", "blk.0.attn_norm_2.weight", "output_norm.weight"});
  const LayerWeights& layer = find();
  EXPECT_EQ(source_of(layer.before_attention.weight), "blk.0.attn_norm_2.weight");
  EXPECT_EQ(source_of(layer.before_ffn.weight), "blk.0.attn_norm.weight");
}

TEST_F(WeightFinderTest, NormsOnlyAfterTheBlocks) {
  make("olmo2",
       {"blk.0.post_attention_norm.weight", "blk.0.post_ffw_norm.weight", "output_norm.weight"});
  const LayerWeights& layer = find();
  EXPECT_EQ(source_of(layer.before_attention.weight), "");
  EXPECT_EQ(source_of(layer.after_attention.weight), "blk.0.post_attention_norm.weight");
  EXPECT_EQ(source_of(layer.before_ffn.weight), "");
  EXPECT_EQ(source_of(layer.after_ffn.weight), "blk.0.post_ffw_norm.weight");
}

TEST_F(WeightFinderTest, NormsWithoutTensors) {
  make("olmo", {});
  const LayerWeights& layer = find();
  EXPECT_TRUE(layer.before_attention.without_weight);
  EXPECT_TRUE(layer.before_ffn.without_weight);
  EXPECT_FALSE(layer.after_attention);
  EXPECT_TRUE(weights_.output_norm.without_weight);
}

TEST_F(WeightFinderTest, NormsOfItsOwnForEveryHead) {
  make("stablelm", {"blk.0.attn_norm.weight", "output_norm.weight"});
  b_.tensor("blk.0.attn_q_norm.weight", {kHead, 2});
  b_.tensor("blk.0.attn_k_norm.weight", {kHead, 2});
  const LayerWeights& layer = find();
  EXPECT_EQ(layer.qk_norm, hwdb::ModelShape::QkNorm::per_head);
  for (const VectorItem& item : list_.vectors) {
    if (item.target == &layer.q_norm.weight) {
      EXPECT_EQ(item.n, 2 * kHead);
    }
  }
  EXPECT_EQ(source_of(layer.q_norm.weight), "blk.0.attn_q_norm.weight");
  EXPECT_EQ(source_of(layer.k_norm.weight), "blk.0.attn_k_norm.weight");
}

TEST_F(WeightFinderTest, RefusesWhatNothingReads) {
  make("llama", {"blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight",
                 "blk.0.attn_surprise.weight"});
  const std::string path = folder_.write("model.gguf", b_.build());
  auto model = hwdb::open_gguf(path);
  ASSERT_TRUE(model.has_value()) << model.error().what;
  auto gguf = hwdb::GgufFile::open(std::move(*hwdb::FileReader::open(path)));
  auto params = read_model_params(*gguf, model->shape, {});
  ASSERT_TRUE(params.has_value()) << params.error().what;
  const auto refused = find_weights(*model, *params, &weights_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "run.tensor");
  EXPECT_NE(refused.error().what.find("attn_surprise"), std::string::npos) << refused.error().what;
}

}  // namespace
}  // namespace engine
