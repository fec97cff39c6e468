// SPDX-License-Identifier: MIT
// Blocks that were worked out by hand from the definitions of the formats.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "engine/quant/block_iq1.h"
#include "engine/quant/block_iq2.h"
#include "engine/quant/block_iq3.h"
#include "engine/quant/block_iq4.h"
#include "engine/quant/block_mxfp4.h"
#include "engine/quant/block_q2_k.h"
#include "engine/quant/block_q3_k.h"
#include "engine/quant/block_q4_0.h"
#include "engine/quant/block_q4_k.h"
#include "engine/quant/block_q5_0.h"
#include "engine/quant/block_q6_k.h"
#include "engine/quant/block_q8_0.h"
#include "engine/quant/block_tq.h"
#include "engine/quant/code_books.h"
#include "engine/quant/quant_codec.h"

namespace engine::quant {
namespace {

constexpr Bits16 kHalf{0x00, 0x38};          // 0.5
constexpr Bits16 kTwo{0x00, 0x40};           // 2
constexpr Bits16 kMinusQuarter{0x00, 0xb4};  // -0.25

template <typename Block>
std::vector<float> decoded(std::string_view name, const Block& block) {
  const hwdb::TensorType type = hwdb::tensor_type(name);
  const hwdb::TensorFormat& format = hwdb::format_of(type);
  EXPECT_EQ(sizeof(Block), format.block_bytes) << name;
  std::vector<std::byte> bytes(sizeof(Block));
  std::memcpy(bytes.data(), &block, sizeof(Block));
  std::vector<float> weights(format.block_weights);
  find_quant_codec(type)->decode(bytes.data(), weights.size(), weights.data());
  return weights;
}

TEST(BlockDecode, Q4_0) {
  BlockQ4_0 block{.d = kHalf, .qs = {0x1f, 0x80}};
  block.qs[15] = 0x08;
  const auto w = decoded("Q4_0", block);
  EXPECT_EQ(w[0], 3.5f);    // (15 - 8) / 2
  EXPECT_EQ(w[16], -3.5f);  // (1 - 8) / 2
  EXPECT_EQ(w[1], -4.0f);
  EXPECT_EQ(w[17], 0.0f);
  EXPECT_EQ(w[15], 0.0f);
  EXPECT_EQ(w[31], -4.0f);
}

TEST(BlockDecode, Q4_1) {
  const auto w = decoded("Q4_1", BlockQ4_1{.d = kTwo, .m = kMinusQuarter, .qs = {0x3f}});
  EXPECT_EQ(w[0], 29.75f);
  EXPECT_EQ(w[16], 5.75f);
  EXPECT_EQ(w[1], -0.25f);
}

TEST(BlockDecode, Q5_0) {
  // The fifth bits of weights 0, 9 and 31.
  const auto w = decoded("Q5_0", BlockQ5_0{.d = kTwo, .qh = {0x01, 0x02, 0, 0x80}, .qs = {0x3f}});
  EXPECT_EQ(w[0], 30.0f);    // 2 (15 + 16 - 16)
  EXPECT_EQ(w[16], -26.0f);  // 2 (3 - 16)
  EXPECT_EQ(w[9], 0.0f);
  EXPECT_EQ(w[8], -32.0f);
  EXPECT_EQ(w[31], 0.0f);
}

TEST(BlockDecode, Q5_1) {
  const auto w =
      decoded("Q5_1", BlockQ5_1{.d = kHalf, .m = kTwo, .qh = {0x01, 0, 0x01, 0}, .qs = {0x3f}});
  EXPECT_EQ(w[0], 17.5f);   // 31 / 2 + 2
  EXPECT_EQ(w[16], 11.5f);  // 19 / 2 + 2
  EXPECT_EQ(w[1], 2.0f);
}

TEST(BlockDecode, Q8_0) {
  BlockQ8_0 block{.d = kMinusQuarter, .qs = {-128, 127, 1}};
  block.qs[31] = 4;
  const auto w = decoded("Q8_0", block);
  EXPECT_EQ(w[0], 32.0f);
  EXPECT_EQ(w[1], -31.75f);
  EXPECT_EQ(w[2], -0.25f);
  EXPECT_EQ(w[31], -1.0f);
}

TEST(BlockDecode, Q2_K) {
  BlockQ2_K block{.d = kHalf, .dmin = kTwo};
  block.scales[0] = 0x3f;   // scale 15, min 3
  block.scales[1] = 0x01;   // weights 16..31
  block.scales[9] = 0x10;   // weights 144..159: only a min
  block.scales[15] = 0x02;  // weights 240..255
  block.qs[0] = 0x03;       // weight 0
  block.qs[16] = 0x02;      // weight 16
  block.qs[63] = 0xc0;      // weight 128 + 96 + 31
  const auto w = decoded("Q2_K", block);
  EXPECT_EQ(w[0], 16.5f);  // 3 (15 / 2) - 2 * 3
  EXPECT_EQ(w[1], -6.0f);
  EXPECT_EQ(w[16], 1.0f);
  EXPECT_EQ(w[144], -2.0f);
  EXPECT_EQ(w[255], 3.0f);
  EXPECT_EQ(w[254], 0.0f);
}

TEST(BlockDecode, Q3_K) {
  BlockQ3_K block{.d = kHalf};
  // Group 0: 63; group 9 (weights 144..159): 16; all others 0, which is -32.
  block.scales[0] = 0x0f;
  block.scales[8] = 0x03;
  block.scales[9] = 0x10;  // bits [4, 6) belong to group 9
  block.qs[0] = 0x02;
  block.hmask[0] = 0x01;
  block.qs[32] = 0x01;     // weight 128, group 8
  block.hmask[16] = 0x10;  // weight 128 + 16
  const auto w = decoded("Q3_K", block);
  EXPECT_EQ(w[0], 31.0f);    // (6 - 4) (63 - 32) / 2
  EXPECT_EQ(w[1], -62.0f);   // -4 * 31 / 2
  EXPECT_EQ(w[128], 48.0f);  // (1 - 4) (0 - 32) / 2
  EXPECT_EQ(w[144], 0.0f);   // (4 - 4)
  EXPECT_EQ(w[145], 32.0f);  // -4 (16 - 32) / 2
}

TEST(BlockDecode, Q4_K) {
  BlockQ4_K block{.d = kHalf, .dmin = kTwo};
  block.scales[0] = 0x80 | 10;  // group 0: scale 10; high bits of group 4's scale: 2
  block.scales[4] = 0x40 | 5;   // group 0: min 5; high bits of group 4's min: 1
  block.scales[8] = 0x31;       // group 4: low bits of scale 1, of min 3
  block.qs[0] = 0x0f;
  block.qs[64] = 0x24;  // weights 128 (group 4) and 160 (group 5)
  const auto w = decoded("Q4_K", block);
  EXPECT_EQ(w[0], 65.0f);  // 15 (10 / 2) - 2 * 5
  EXPECT_EQ(w[1], -10.0f);
  EXPECT_EQ(w[128], 28.0f);  // 4 (33 / 2) - 2 * 19
  EXPECT_EQ(w[129], -38.0f);
  EXPECT_EQ(w[160], 0.0f);  // group 5 has neither scale nor min
  EXPECT_EQ(w[32], 0.0f);
}

TEST(BlockDecode, Q5_K) {
  BlockQ5_K block{.d = kTwo, .dmin = kHalf};
  block.scales[7] = 0xc0 | 6;  // group 3: min 6; high bits of group 7's min: 3
  block.scales[3] = 3;         // group 3: scale 3
  block.scales[11] = 0xf2;     // group 7: low bits of scale 2, of min 15
  block.qh[5] = 0x88;          // fifth bits of weights 96 + 5 and 224 + 5
  block.qs[32 + 5] = 0x90;     // weight 96 + 5
  const auto w = decoded("Q5_K", block);
  EXPECT_EQ(w[101], 147.0f);  // (9 + 16) * 6 - 6 / 2
  EXPECT_EQ(w[100], -3.0f);
  EXPECT_EQ(w[229], 32.5f);  // 16 * 4 - 63 / 2
  EXPECT_EQ(w[228], -31.5f);
}

TEST(BlockDecode, Q6_K) {
  BlockQ6_K block{.d = kMinusQuarter};
  block.scales[0] = -128;
  block.scales[2] = 4;   // weights 32..47
  block.scales[13] = 2;  // weights 128 + 80 .. 128 + 95
  block.ql[0] = 0x0f;
  block.qh[0] = 0x0b;        // weight 0: 3; weight 32: 2
  block.ql[64 + 16] = 0x50;  // weight 128 + 64 + 16
  block.qh[32 + 16] = 0x30;
  const auto w = decoded("Q6_K", block);
  EXPECT_EQ(w[0], 992.0f);  // 32 (63 - 32)
  EXPECT_EQ(w[1], -1024.0f);
  EXPECT_EQ(w[32], 0.0f);     // 32 - 32
  EXPECT_EQ(w[33], 32.0f);    // -1 * -32
  EXPECT_EQ(w[208], -10.5f);  // -0.5 (53 - 32)
  EXPECT_EQ(w[209], 16.0f);
}

TEST(BlockDecode, IQ4_NL) {
  const auto w = decoded("IQ4_NL", BlockIQ4_NL{.d = kHalf, .qs = {0xf0, 0x87}});
  EXPECT_EQ(w[0], -63.5f);
  EXPECT_EQ(w[16], 56.5f);
  EXPECT_EQ(w[1], -5.0f);
  EXPECT_EQ(w[17], 0.5f);
}

TEST(BlockDecode, IQ4_XS) {
  BlockIQ4_XS block{.d = kHalf, .scales_h = {0x03, 0x80}};  // group 0: 3; group 7: 2
  block.scales_l[0] = 0x0f;
  block.scales_l[3] = 0x40;
  block.qs[0] = 0x0f;
  block.qs[112] = 0x18;
  const auto w = decoded("IQ4_XS", block);
  EXPECT_EQ(w[0], 1751.5f);    // 113 (63 - 32) / 2
  EXPECT_EQ(w[16], -1968.5f);  // -127 * 31 / 2
  EXPECT_EQ(w[224], 2.0f);     // 1 (36 - 32) / 2
  EXPECT_EQ(w[240], -208.0f);
  EXPECT_EQ(w[32], 2032.0f);  // -127 (0 - 32) / 2
}

TEST(BlockDecode, MXFP4) {
  const auto w = decoded("MXFP4", BlockMXFP4{.e = 128, .qs = {0x97, 0x4c}});  // 2
  EXPECT_EQ(w[0], 12.0f);                                                     // 6
  EXPECT_EQ(w[16], -1.0f);                                                    // -0.5
  EXPECT_EQ(w[1], -4.0f);                                                     // -2
  EXPECT_EQ(w[17], 4.0f);                                                     // 2
  EXPECT_EQ(w[2], 0.0f);
}

TEST(BlockDecode, TQ1_0) {
  BlockTQ1_0 block{.d = kTwo};
  // Digits 2 1 0 2 1 are 2 * 81 + 27 + 2 * 3 + 1 = 196; ceil(196 * 256 / 243) = 207.
  block.qs[0] = 207;
  block.qs[47] = 207;
  block.qh[3] = 207;
  const auto w = decoded("TQ1_0", block);
  const float expected[] = {2, 0, -2, 2, 0};
  for (int n = 0; n < 5; ++n) {
    EXPECT_EQ(w[static_cast<std::size_t>(32 * n)], expected[n]);
    EXPECT_EQ(w[static_cast<std::size_t>(160 + 16 * n + 15)], expected[n]);
    if (n < 4) {
      EXPECT_EQ(w[static_cast<std::size_t>(240 + 4 * n + 3)], expected[n]);
    }
  }
  EXPECT_EQ(w[1], -2.0f);
}

TEST(BlockDecode, TQ2_0) {
  BlockTQ2_0 block{.d = kHalf};
  block.qs[0] = 0x24;   // 0 1 2 0
  block.qs[63] = 0xc0;  // 3, which no encoder writes, is 2
  const auto w = decoded("TQ2_0", block);
  EXPECT_EQ(w[0], -0.5f);
  EXPECT_EQ(w[32], 0.0f);
  EXPECT_EQ(w[64], 0.5f);
  EXPECT_EQ(w[96], -0.5f);
  EXPECT_EQ(w[255], 1.0f);
}

// The second point of IQ2_XXS, IQ2_XS and IQ2_S is 43 8 8 8 8 8 8 8, the third 25 25 8 8 8 8 8 8.
TEST(BlockDecode, IQ2_XXS) {
  BlockIQ2_XXS block{.d = kTwo};
  // Group 1: points 0 1 0 2; signs of the second eight: 3 (two set, so the eighth is not), of the
  // fourth: 1 (so the eighth is set); scale 5.
  block.groups[1].points[1] = 1;
  block.groups[1].points[3] = 2;
  const std::uint32_t word = 3u << 7 | 1u << 21 | 5u << 28;
  for (int i = 0; i < 4; ++i) {
    block.groups[1].scale_and_signs[i] = static_cast<std::uint8_t>(word >> (8 * i));
  }
  const auto w = decoded("IQ2_XXS", block);
  EXPECT_EQ(w[0], 2.0f);       // 2 (0 + 1/2) / 4 * 8
  EXPECT_EQ(w[32], 22.0f);     // 2 (5 + 1/2) / 4 * 8
  EXPECT_EQ(w[40], -118.25f);  // 43
  EXPECT_EQ(w[41], -22.0f);
  EXPECT_EQ(w[47], 22.0f);
  EXPECT_EQ(w[56], -68.75f);  // 25
  EXPECT_EQ(w[57], 68.75f);
  EXPECT_EQ(w[63], -22.0f);
}

TEST(BlockDecode, IQ2_XS) {
  BlockIQ2_XS block{.d = kTwo};
  block.qs[31] = {0x01, 0x80};  // point 1, signs 64: the seventh, so also the eighth
  block.scales[7] = 0x3f;       // weights 224..239: 15, 240..255: 3
  const auto w = decoded("IQ2_XS", block);
  EXPECT_EQ(w[224], 62.0f);   // 2 * 15.5 / 4 * 8
  EXPECT_EQ(w[240], 14.0f);   // 2 * 3.5 / 4 * 8
  EXPECT_EQ(w[248], 75.25f);  // 43
  EXPECT_EQ(w[254], -14.0f);
  EXPECT_EQ(w[255], -14.0f);
}

TEST(BlockDecode, IQ2_S) {
  BlockIQ2_S block{.d = kTwo};
  block.qs[5] = 1;
  block.signs[5] = 0x81;
  block.qs[6] = 0xff;  // with the high bits 3 the last point
  block.qh[1] = 0x30;
  block.scales[1] = 0x10;  // weights 48..63: 1
  const auto w = decoded("IQ2_S", block);
  EXPECT_EQ(w[40], -10.75f);  // 2 * 0.5 / 4 * 43
  EXPECT_EQ(w[41], 2.0f);
  EXPECT_EQ(w[47], -2.0f);
  for (unsigned j = 0; j < 8; ++j) {
    EXPECT_EQ(w[48 + j], 0.75f * static_cast<float>(kIq2SGrid[1023] >> (8 * j) & 255));
  }
}

// The second point of IQ3_XXS is 20 4 4 4; of IQ3_S 3 1 1 1.
TEST(BlockDecode, IQ3_XXS) {
  BlockIQ3_XXS block{.d = kHalf};
  block.points[8 * 7 + 7] = 1;
  const std::uint32_t word = 0x10u << 21 | 3u << 28;  // the fifth weight of the last eight
  for (int i = 0; i < 4; ++i) {
    block.scales_and_signs[7][i] = static_cast<std::uint8_t>(word >> (8 * i));
  }
  const auto w = decoded("IQ3_XXS", block);
  EXPECT_EQ(w[0], 0.5f);      // 0.5 * 0.5 / 2 * 4
  EXPECT_EQ(w[248], 3.5f);    // 0.5 * 3.5 / 2 * 4
  EXPECT_EQ(w[252], -17.5f);  // 20
  EXPECT_EQ(w[253], 3.5f);
  EXPECT_EQ(w[255], -3.5f);
}

TEST(BlockDecode, IQ3_S) {
  BlockIQ3_S block{.d = kHalf};
  block.qs[9] = 1;         // weights 36..39
  block.signs[4] = 0x90;   // weights 36 and 39
  block.scales[0] = 0x20;  // group 1: 2 * 2 + 1
  block.qh[2] = 0x01;      // weights 64..67: point 256
  const auto w = decoded("IQ3_S", block);
  EXPECT_EQ(w[0], 0.5f);
  EXPECT_EQ(w[36], -7.5f);  // 0.5 * 5 * 3
  EXPECT_EQ(w[37], 2.5f);
  EXPECT_EQ(w[39], -2.5f);
  for (unsigned j = 0; j < 4; ++j) {
    EXPECT_EQ(w[64 + j], 0.5f * static_cast<float>(kIq3SGrid[256] >> (8 * j) & 255));
  }
}

// The first point of IQ1 is -1 eight times, the second 1 -1 -1 -1 -1 -1 -1 -1.
TEST(BlockDecode, IQ1_S) {
  BlockIQ1_S block{.d = kTwo};
  block.qs[4] = 1;
  block.qh[1] = {0x00, 0xb0};  // group 1: scale 3, minus the shift
  block.qh[2] = {0x38, 0x00};  // group 2: its second point is 7 * 256
  const auto w = decoded("IQ1_S", block);
  EXPECT_EQ(w[0], -1.75f);    // 2 (-1 + 1/8)
  EXPECT_EQ(w[32], 12.25f);   // 2 * 7 (1 - 1/8)
  EXPECT_EQ(w[33], -15.75f);  // 2 * 7 (-1 - 1/8)
  for (unsigned j = 0; j < 8; ++j) {
    const auto level = static_cast<std::int8_t>(kIq1Grid[7 * 256] >> (8 * j) & 255);
    EXPECT_EQ(w[72 + j], 2 * (static_cast<float>(level) + 0.125f));
  }
}

TEST(BlockDecode, IQ1_M) {
  BlockIQ1_M block{};
  // d = 2 (0x4000), four bits a field; weights 16..31 have scale 3, weights 240..255 scale 7.
  block.scales[0] = {0x18, 0x00};
  block.scales[3] = to_bits16(0x4000 | 7 << 9);
  block.qs[2] = 1;
  block.qh[1] = 0x08;   // point 2: minus the shift
  block.qh[15] = 0x60;  // point 31: index 6 * 256
  const auto w = decoded("IQ1_M", block);
  EXPECT_EQ(w[0], -1.75f);
  EXPECT_EQ(w[16], 12.25f);
  EXPECT_EQ(w[17], -15.75f);
  EXPECT_EQ(w[24], -12.25f);  // 2 * 7 (-1 + 1/8)
  for (unsigned j = 0; j < 8; ++j) {
    const auto level = static_cast<std::int8_t>(kIq1Grid[6 * 256] >> (8 * j) & 255);
    EXPECT_EQ(w[248 + j], 30 * (static_cast<float>(level) + 0.125f));
  }
}

TEST(CodeBooks, SignsAreEven) {
  EXPECT_EQ(signs_of_7_bits(0), 0);
  EXPECT_EQ(signs_of_7_bits(1), 129);
  EXPECT_EQ(signs_of_7_bits(3), 3);
  EXPECT_EQ(signs_of_7_bits(127), 255);
  EXPECT_EQ(signs_of_7_bits(128 + 64), 192);
}

// What is known of the grids without listing them: no point twice, ascending, as they are
// published.
TEST(CodeBooks, PointsAreDistinct) {
  const auto ascends = [](const auto& grid) {
    for (std::size_t i = 1; i < grid.size(); ++i) {
      if (grid[i] <= grid[i - 1]) return false;
    }
    return true;
  };
  EXPECT_TRUE(ascends(kIq2XxsGrid));
  EXPECT_TRUE(ascends(kIq2XsGrid));
  EXPECT_TRUE(ascends(kIq2SGrid));
  EXPECT_TRUE(ascends(kIq3XxsGrid));
  EXPECT_TRUE(ascends(kIq3SGrid));
  EXPECT_EQ(kIq1Grid.front(), 0xffffffffffffffffu);
  EXPECT_EQ(kIq1Grid.back(), 0x0101010101010101u);
}

}  // namespace
}  // namespace engine::quant
