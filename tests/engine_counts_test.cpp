// SPDX-License-Identifier: MIT
// One formula, three readers: what the engine counts is what its kernels load, and what plans
// predict.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/cpu/attention.h"
#include "engine/cpu/mat_mul.h"
#include "engine/model/model.h"
#include "engine/run/context.h"
#include "engine/synth/testing/tiny_model.h"
#include "hwdb/kv_cache.h"
#include "hwdb/op_counts.h"
#include "hwdb/testing/temp_folder.h"
#include "planner/make_plan.h"
#include "planner/rig/rig.h"
#include "tests/ask.h"

namespace {

struct Case {
  const char* model;
  const char* preset;
};
constexpr Case kCases[] = {
    {"llama-3.2-1b", "Q4_K_M"}, {"llama-3.2-1b", "Q8_0"},     {"llama-3.2-1b", "F16"},
    {"llama-3.2-1b", "IQ4_XS"}, {"mistral-nemo-12b", "Q4_0"}, {"qwen2.5-0.5b", "Q5_K_M"},
    {"qwen3-0.6b", "Q6_K"},     {"gemma-2-2b", "Q4_K_M"},     {"gemma-3-1b", "Q8_0"},
    {"phi-3.5-mini", "Q3_K_M"}, {"mixtral-8x7b", "Q4_K_M"},   {"qwen3-30b-a3b", "Q4_K_M"},
    {"olmoe-1b-7b", "Q2_K"},    {"gpt-oss-20b", "MXFP4_MOE"}, {"deepseek-v2-lite", "Q4_K_M"},
    {"granite-3.3-2b", "Q5_0"}, {"smollm3-3b", "IQ4_NL"},     {"gpt2", "Q8_0"},
};

class EngineCounts : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string path = folder_.file("tiny.gguf");
    engine::testing::write_tiny_model(GetParam().model, GetParam().preset, path);
    // As they lie: panels would round a matrix up to 16 rows.
    engine::ModelOptions how;
    how.storage = engine::WeightStorage::mapped;
    auto opened = engine::Model::open(path, pool_, how);
    ASSERT_TRUE(opened) << opened.error().code << ": " << opened.error().what;
    model_ = *std::move(opened);
  }

  /// Runs n tokens of one sequence; what kernels and context counted meanwhile.
  struct Seen {
    double weights = 0, cache = 0;
    engine::OpCounts counts;
  };
  Seen run(engine::Context* context, std::uint32_t n) {
    std::vector<engine::BatchToken> batch;
    for (std::uint32_t i = 0; i < n; ++i)
      batch.push_back({static_cast<engine::TokenId>(17 * (i + 1) % 500), 0, i + 1 == n});
    engine::cpu::take_weight_bytes_read();
    engine::cpu::take_cache_bytes_read();
    context->reset_counts();
    const auto status = context->decode(batch);
    EXPECT_TRUE(status) << status.error().what;
    return {static_cast<double>(engine::cpu::take_weight_bytes_read()),
            static_cast<double>(engine::cpu::take_cache_bytes_read()), context->counts()};
  }

  /// The row of the embedding that a token reads; plans leave it out.
  double row_bytes() const {
    for (const hwdb::PlannedTensor& tensor : hwdb::tensors_of_file(model_->file())) {
      if (tensor.role == hwdb::TensorRole::token_embedding)
        return static_cast<double>(tensor.info.bytes / tensor.info.rows());
    }
    return 0;
  }
  /// What a token reads beside products: that row, norms, biases and tables.
  double other_bytes() const {
    const hwdb::ModelShape& shape = model_->shape();
    double sum = row_bytes();
    for (const hwdb::PlannedTensor& tensor : hwdb::tensors_of_file(model_->file())) {
      const auto bytes = static_cast<double>(tensor.info.bytes);
      if (tensor.role == hwdb::TensorRole::token_embedding ||
          tensor.role == hwdb::TensorRole::position_embedding || hwdb::is_product(tensor.info))
        continue;
      // Of experts only those that the token takes.
      const bool expert = tensor.role == hwdb::TensorRole::routed_experts;
      sum += expert ? bytes * shape.n_experts_used / shape.n_experts : bytes;
    }
    return sum;
  }

  hwdb::testing::TempFolder folder_;
  engine::ThreadPool pool_{2};
  std::unique_ptr<engine::Model> model_;
};

TEST_P(EngineCounts, AreWhatKernelsLoad) {
  engine::ContextOptions how;
  how.n_ctx = 128;
  how.n_ubatch = 32;
  auto context = engine::Context::make(*model_, pool_, how);
  ASSERT_TRUE(context) << context.error().what;
  run(context->get(), 60);
  for (int step = 0; step < 3; ++step) {
    const Seen seen = run(context->get(), 1);
    EXPECT_EQ(seen.weights, seen.counts.weight_bytes_read - other_bytes());
    EXPECT_EQ(seen.cache, seen.counts.cache_bytes_read);
    EXPECT_GT(seen.cache, 0);
  }
}

TEST_P(EngineCounts, AreWhatPlansPredict) {
  constexpr std::uint32_t kDepth = 60;
  engine::ContextOptions how;
  how.n_ctx = 128;
  auto context = engine::Context::make(*model_, pool_, how);
  ASSERT_TRUE(context) << context.error().what;
  run(context->get(), kDepth);
  const engine::OpCounts counts = run(context->get(), 1).counts;

  const hwdb::ModelCosts& costs = model_->costs();
  const auto answer = tests::ask("llama-3.2-1b", "Q8_0", "Ryzen 9 7950X + 64GB DDR5-6000");
  planner::PlanInputs inputs = tests::inputs_of(*answer);
  inputs.model = &costs;
  // So much arithmetic that every term is one of bytes.
  hwdb::Machine machine = *inputs.machine;
  machine.cpu.peak_fp32 = {hwdb::FlopsPerSecond(1e18), hwdb::Basis::assumed, "test", ""};
  inputs.machine = &machine;
  inputs.settings = {};
  inputs.settings.runtime = hwdb::Runtime::tokwatt;
  inputs.settings.cpu_only = true;
  inputs.settings.n_ctx = 128;
  inputs.workload.n_prompt = kDepth;
  inputs.workload.n_gen = 2;  // a plan takes the middle of an answer: 61 cells, as here
  inputs.workload.depth = 0;
  const auto plan = planner::make_plan(inputs);
  ASSERT_TRUE(plan) << plan.error().what;
  double weights = 0, cache = 0;
  for (const planner::TimeTerm& term : plan->speed.decode_terms) {
    using Kind = planner::TimeTerm::Kind;
    if (term.kind != Kind::dispatch && term.kind != Kind::pass) {
      ASSERT_EQ(term.bound, planner::Bound::memory);
    }
    if (term.kind == Kind::weights || term.kind == Kind::experts || term.kind == Kind::output)
      weights += term.amount;
    if (term.kind == Kind::cache) cache += term.amount;
  }
  EXPECT_DOUBLE_EQ(weights, counts.weight_bytes_read - row_bytes());
  EXPECT_DOUBLE_EQ(cache, counts.cache_bytes_read);
}

INSTANTIATE_TEST_SUITE_P(Models, EngineCounts, testing::ValuesIn(kCases), [](const auto& test) {
  std::string name = std::string(test.param.model) + "_" + test.param.preset;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
});

}  // namespace
