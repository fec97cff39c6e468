// SPDX-License-Identifier: MIT
#include "hwdb/tensor_slices.h"

#include <gtest/gtest.h>

#include <numeric>

#include "hwdb/catalog.h"
#include "hwdb/op_counts.h"

namespace hwdb {
namespace {

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

TensorSlices slices_of(const Model& model, SliceRule rule, std::vector<double> shares) {
  auto slices = slice_tensors(model.shape, model.tensors, {rule, std::move(shares), 128});
  EXPECT_TRUE(slices) << (slices ? "" : slices.error().what);
  return slices ? *slices : TensorSlices{};
}

using Bytes64 = std::vector<std::uint64_t>;

// Llama 3 8B in 16 bit: per layer q and o 4096 x 4096, k and v 4096 x 1024, three FFN matrices
// 4096 x 14336, two norms of 4096 in 32 bit.
constexpr std::uint64_t kRow = 2 * 4096, kNorms = 2 * 4 * 4096;

TEST(TensorSlices, RowsByShareInMultiplesOf128) {
  const Model model = model_of("llama-3-8b", "F16");
  const TensorSlices slices = slices_of(model, SliceRule::rows, {0.7, 0.3});
  // 4096 rows x 0.7 = 2867 -> 2816; 1024 -> 716 -> 640; 14336 -> 10035 -> 9984. The down matrix has
  // 4096 rows of 14336.
  const std::uint64_t first = kRow * (2 * 2816 + 2 * 640 + 2 * 9984) + 2 * 14336ull * 2816;
  const std::uint64_t second = kRow * (2 * 1280 + 2 * 384 + 2 * 4352) + 2 * 14336ull * 1280;
  EXPECT_EQ(slices.layers[3].dense, (Bytes64{first + kNorms, second, first, second + kNorms}));
  // 128256 x 0.7 = 89779 -> 89728, and the norm before it.
  EXPECT_EQ(slices.output[0], kRow * 89728 + 4 * 4096);
  EXPECT_EQ(slices.output[1], kRow * (128256 - 89728));
  EXPECT_TRUE(slices.layers[3].kv_share.empty());
}

TEST(TensorSlices, ExpertsAndSmallRoutersStayWithTheirLayer) {
  // Qwen3-30B-A3B: the router has 128 rows of 2048 in 32 bit: half of it is no whole slice.
  const Model model = model_of("qwen3-30b-a3b", "F16");
  const TensorSlices slices = slices_of(model, SliceRule::rows, {1, 1});
  const std::uint64_t experts = 3ull * 2048 * 768 * 128 * 2;
  EXPECT_EQ(slices.layers[0].experts, (Bytes64{experts, 0, 0, experts}));
  // q 4096 x 2048, k and v 512 x 2048, o 2048 x 4096: two bytes a weight, one half each; two norms
  // of 2048 and two of 128.
  const std::uint64_t half = 4096 * 2048 + 2 * 512 * 2048 + 2048 * 4096;
  const std::uint64_t router = 128 * 2048 * 4, norms = 4 * (2 * 2048 + 2 * 128);
  // The owner of layer 0 has no rows of the router and keeps it whole; GPU 1 would have all.
  EXPECT_EQ(slices.layers[0].dense,
            (Bytes64{half + router + norms, half, half, half + router + norms}));
}

TEST(TensorSlices, RowsOfOddLengthArePadded) {
  Model model = model_of("llama-3-8b", "F16");
  model.shape.n_layers = 1;
  PlannedTensor odd;
  odd.info.name = "blk.0.attn_q.weight";
  odd.info.ne = {96, 1024, 1, 1};
  odd.info.type = tensor_type("F16");
  odd.info.bytes = 2 * 96 * 1024;
  odd.role = TensorRole::attention;
  odd.layer = 0;
  PlannedTensor output = odd;
  output.info.name = "output.weight";
  output.role = TensorRole::output;
  output.layer = -1;
  model.tensors = {odd, output};
  const TensorSlices slices = slices_of(model, SliceRule::rows, {1, 1});
  // Each GPU's last row is filled up to 512 weights: 416 more of two bytes.
  EXPECT_EQ(slices.layers[0].dense[0], 2u * 96 * 512 + 2 * 416);
  EXPECT_EQ(slices.layers[0].dense[1], 2u * 96 * 512 + 2 * 416);
}

TEST(TensorSlices, HeadsInEqualHalves) {
  const Model model = model_of("llama-3-8b", "F16");
  const TensorSlices slices = slices_of(model, SliceRule::heads, {0, 0});
  const std::uint64_t matrices = kRow * (2 * 4096 + 2 * 1024 + 3 * 14336);
  EXPECT_EQ(slices.layers[0].dense[0], matrices / 2 + kNorms);  // norms on both
  EXPECT_EQ(slices.layers[0].dense[1], matrices / 2 + kNorms);
  EXPECT_EQ(slices.layers[9].kv_share, (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(slices.output[0], kRow * 128256 / 2 + 4 * 4096);
}

TEST(TensorSlices, HeadsOverThreeTakeTurns) {
  const Model model = model_of("llama-3-8b", "F16");
  const TensorSlices slices = slices_of(model, SliceRule::heads, {1, 1, 1});
  // Four query heads of 128 to a key head: queries in grains of 512 (1024, 1536, 1536 of 4096),
  // keys in grains of 128 (256, 384, 384 of 1024), FFN in grains of 128: 14336 / 3 = 4778 -> 4736,
  // 9557 -> 9472, so 4736, 4736, 4864.
  const auto bytes = [](std::uint64_t q, std::uint64_t k, std::uint64_t ff) {
    return kRow * (2 * q + 2 * k + 3 * ff) + kNorms;
  };
  EXPECT_EQ(slices.layers[0].dense[0], bytes(1024, 256, 4736));
  EXPECT_EQ(slices.layers[0].dense[1], bytes(1536, 384, 4736));
  EXPECT_EQ(slices.layers[0].dense[2], bytes(1536, 384, 4864));
  EXPECT_EQ(slices.layers[1].dense[1], bytes(1024, 256, 4736));
  EXPECT_EQ(slices.layers[1].dense[0], bytes(1536, 384, 4864));
  EXPECT_EQ(slices.layers[0].kv_share, (std::vector<double>{0.25, 0.375, 0.375}));
  EXPECT_EQ(slices.layers[1].kv_share, (std::vector<double>{0.375, 0.25, 0.375}));
}

TEST(TensorSlices, ATiedTableIsOnEveryGpu) {
  const Model model = model_of("llama-3.2-1b", "F16");
  const TensorSlices slices = slices_of(model, SliceRule::heads, {1, 1});
  // The norm and 32 frequencies of the rotation go with it.
  EXPECT_EQ(slices.output[0], 2 * 2048ull * 128256 + 4 * 2048 + 4 * 32);
  EXPECT_EQ(slices.output[1], slices.output[0]);
  // By rows it is one more matrix: 128256 / 2 = 64128 -> 64128 (501 x 128).
  const TensorSlices rows = slices_of(model, SliceRule::rows, {1, 1});
  EXPECT_EQ(rows.output[0], 2 * 2048ull * 64128 + 4 * 2048 + 4 * 32);
  EXPECT_EQ(rows.output[1], 2 * 2048ull * 64128);
}

TEST(TensorSlices, NothingIsLostAndWholePartsAreOnEveryGpu) {
  for (const char* id : {"llama-3-8b", "qwen3-30b-a3b", "qwen3-next-80b-a3b", "gemma-3-27b"}) {
    const Model model = model_of(id, "Q4_K_M");
    const auto costs = model_costs(model.shape, "", model.tensors, Bytes(0));
    ASSERT_TRUE(costs);
    for (const SliceRule rule : {SliceRule::rows, SliceRule::heads}) {
      const TensorSlices slices = slices_of(model, rule, {2, 1, 1});
      for (std::size_t i = 0; i < slices.layers.size(); ++i) {
        const LayerCosts& layer = costs->layers[i];
        const std::uint64_t dense = layer.attention_bytes + layer.dense_ffn_bytes;
        const auto& have = slices.layers[i];
        std::uint64_t sum = 0, experts = 0;
        for (std::size_t g = 0; g < 3; ++g) sum += have.dense[g], experts += have.experts[g];
        EXPECT_GE(sum, dense) << id << " layer " << i;
        EXPECT_LE(sum, 3 * dense) << id << " layer " << i;
        EXPECT_GE(experts, layer.expert_bytes) << id;
        EXPECT_LE(static_cast<double>(experts), 1.01 * static_cast<double>(layer.expert_bytes))
            << id;
        if (rule == SliceRule::rows) continue;
        EXPECT_NEAR(std::accumulate(have.kv_share.begin(), have.kv_share.end(), 0.0),
                    layer.kind == LayerKind::recurrent ? 3 : 1, 1e-9)
            << id << " layer " << i;
      }
    }
  }
}

TEST(TensorSlices, RefusesWhatTheRuntimeRefuses) {
  const Model latent = model_of("deepseek-v3", "F16");
  const auto by_heads =
      slice_tensors(latent.shape, latent.tensors, {SliceRule::heads, {1, 1}, 128});
  ASSERT_FALSE(by_heads);
  EXPECT_EQ(by_heads.error().code, "usage.value");
  EXPECT_TRUE(slice_tensors(latent.shape, latent.tensors, {SliceRule::rows, {1, 1}, 128}));
  EXPECT_FALSE(slice_tensors(latent.shape, latent.tensors, {SliceRule::rows, {1}, 128}));
}

}  // namespace
}  // namespace hwdb
