// SPDX-License-Identifier: MIT
#include "engine/cpu/isa.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace engine::cpu {
namespace {

TEST(Isa, PlainIsAlwaysThereAndTheBestIsInUse) {
  const auto isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::plain);
  EXPECT_TRUE(std::ranges::is_sorted(isas));
  EXPECT_EQ(current_isa(), isas.back());
}

TEST(Isa, ForcingHoldsUntilTakenBack) {
  for (const Isa isa : available_isas()) {
    force_isa(isa);
    EXPECT_EQ(current_isa(), isa);
  }
  force_isa(Isa::plain);
  EXPECT_EQ(current_isa(), Isa::plain);
  force_isa(std::nullopt);
  EXPECT_EQ(current_isa(), available_isas().back());
}

TEST(Isa, NamesGoBothWays) {
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx_vnni, Isa::avx512, Isa::avx512_vnni,
                        Isa::neon, Isa::neon_dotprod, Isa::neon_i8mm}) {
    EXPECT_EQ(find_isa(to_string(isa)), isa);
  }
  EXPECT_EQ(to_string(Isa::avx512_vnni), "avx512_vnni");
  EXPECT_FALSE(find_isa("AVX2"));
  EXPECT_FALSE(find_isa(""));
}

}  // namespace
}  // namespace engine::cpu
