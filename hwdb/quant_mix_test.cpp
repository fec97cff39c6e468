// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "hwdb/facts_fixture.h"
#include "hwdb/weight_plan.h"

namespace hwdb {
namespace {

double tensor_mib(const facts::FactModel& m, const std::string& preset, bool tied_again) {
  auto list = tensor_list(m.shape);
  if (!list) {
    std::printf("%s\n", list.error().what.c_str());
    return 0;
  }
  auto ok = apply_preset(m.shape, {preset, false, false}, &*list);
  if (!ok) {
    std::printf("%s\n", ok.error().what.c_str());
    return 0;
  }
  std::uint64_t sum = 0;
  for (auto& t : *list) {
    sum += t.info.bytes;
    if (tied_again && m.shape.tie_embeddings && t.role == TensorRole::token_embedding) sum += 0;
  }
  return static_cast<double>(sum) / 1048576.0;
}

TEST(QuantMix, Truth) {
  auto csv = facts::read_fact("llamacpp_memory_truth.csv");
  std::string last;
  for (auto& r : facts::parse_csv(*csv)) {
    if (r["model"] + r["quant"] == last) continue;
    last = r["model"] + r["quant"];
    auto it = facts::models().find(r["model"]);
    if (it == facts::models().end()) {
      std::printf("no %s\n", r["model"].c_str());
      continue;
    }
    double got = tensor_mib(it->second, r["quant"], true), want = std::stod(r["weights_mib"]);
    std::printf("%s %s %.2f %.2f %.4f%%\n", r["model"].c_str(), r["quant"].c_str(), got, want,
                100 * (got / want - 1));
  }
}

}  // namespace
}  // namespace hwdb
