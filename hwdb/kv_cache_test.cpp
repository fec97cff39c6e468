// SPDX-License-Identifier: MIT
#include "hwdb/kv_cache.h"

#include <gtest/gtest.h>

#include "hwdb/facts_fixture.h"

namespace hwdb {
namespace {

TensorType cache_type(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(c));
  return tensor_type(name);
}

TEST(KvCache, Truth) {
  auto csv = facts::read_fact("llamacpp_memory_truth.csv");
  double worst = 0;
  for (auto& r : facts::parse_csv(*csv)) {
    auto it = facts::models().find(r["model"]);
    if (it == facts::models().end()) {
      std::printf("no %s\n", r["model"].c_str());
      continue;
    }
    CacheRequest q;
    q.n_ctx = std::stoull(r["n_ctx"]);
    q.n_seq = std::stoul(r["n_parallel"]);
    q.n_ubatch = std::stoul(r["n_ubatch"]);
    q.type_k = cache_type(r["kv_k"]);
    q.type_v = cache_type(r["kv_v"]);
    q.flash_attn = r["flash_attn"] == "on";
    q.swa_full = r["notes"].find("swa") != std::string::npos ||
                 r["notes"].find("16384x29L") != std::string::npos ||
                 r["notes"].find("16384x18L/1streams+16384") != std::string::npos;
    auto recipe = make_cache_recipe(it->second.shape, q);
    ASSERT_TRUE(recipe);
    auto totals = cache_totals(*recipe, q);
    ASSERT_TRUE(totals);
    double got = (totals->kv + totals->state).as_double() / 1048576, want = std::stod(r["kv_mib"]);
    worst = std::max(worst, std::abs(got / want - 1));
    if (std::abs(got / want - 1) > 5e-4)
      std::printf("%s %s %.2f %.2f %s\n", r["model"].c_str(), r["n_ctx"].c_str(), got, want,
                  r["notes"].c_str());
  }
  std::printf("worst %.5f %%\n", worst * 100);
}

}  // namespace
}  // namespace hwdb
