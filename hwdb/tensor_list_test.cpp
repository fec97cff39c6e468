// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include "hwdb/facts_fixture.h"
#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

/// Parameters as publishers count them: without draft layers and computed frequency tables.
std::uint64_t parameters_of(const std::vector<PlannedTensor>& tensors) {
  std::uint64_t sum = 0;
  for (const PlannedTensor& t : tensors) {
    if (t.role != TensorRole::mtp && !t.info.name.starts_with("rope_")) sum += t.info.elements();
  }
  return sum;
}

TEST(TensorList, SumsToThePublishedParameterCounts) {
  if (facts::models().empty()) GTEST_SKIP() << "facts/models.json is not here";
  int exact = 0, rows = 0;
  for (const auto& [id, model] : facts::models()) {
    if (!model.params_total || model.shape.n_vocab == 0) continue;
    const bool must = model.params_check == "exact" && model.layer_order_known;
    const auto list = tensor_list(model.shape);
    if (!list) {
      EXPECT_FALSE(must && model.shape.known_architecture) << id << ": " << list.error().what;
      std::printf("%s: %s\n", id.c_str(), list.error().what.c_str());
      continue;
    }
    ++rows;
    const std::uint64_t sum = parameters_of(*list);
    if (sum == *model.params_total) {
      ++exact;
    } else
      std::printf("%s [%s] %s: %lld\n", id.c_str(), model.shape.architecture.c_str(),
                  model.params_check.c_str(), static_cast<long long>(sum - *model.params_total));
    if (must) {
      EXPECT_EQ(sum, *model.params_total) << id;
    }
  }
  std::printf("%d of %d exact\n", exact, rows);
}

}  // namespace
}  // namespace hwdb
