// SPDX-License-Identifier: MIT
#include "planner/fit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "planner/preset_costs.h"
#include "planner/rig/rig.h"

namespace planner {
namespace {

using hwdb::kGiB;

const hwdb::Catalog& catalog() {
  return hwdb::Catalog::builtin();
}

hwdb::Machine rig(std::string_view words) {
  auto machine = machine_from_words(catalog(), words);
  EXPECT_TRUE(machine) << words;
  return machine ? *machine : hwdb::Machine{};
}

FitRequest request(std::string_view use) {
  FitRequest wanted;
  const auto workload = workload_for(use);
  EXPECT_TRUE(workload);
  if (workload) wanted.workload = *workload;
  return wanted;
}

const FitRow* row_of(const FitResult& result, std::string_view id) {
  for (const FitRow& row : result.rows)
    if (row.model->id == id) return &row;
  return nullptr;
}

const hwdb::ModelRow& model(std::string_view name) {
  const auto found = catalog().find_model(name);
  EXPECT_TRUE(found) << name;
  return **found;
}

TEST(Fit, RankIsTheProductOfItsFactorsAndSorts) {
  const hwdb::Machine machine = rig("RX 7900 XTX");
  const FitResult result = rank_models(catalog(), machine, nullptr, request("chat"));
  ASSERT_GT(result.rows.size(), 50u);
  EXPECT_EQ(result.considered, catalog().models().size());
  EXPECT_EQ(result.rows.size() + result.not_fitting + result.too_slow + result.not_sized,
            result.considered);
  bool unscored = false;
  double last = 1;
  std::string release = "9999";
  for (const FitRow& row : result.rows) {
    EXPECT_NEAR(row.rank,
                row.quality.percentile.value_or(1) * (1 - row.quant_loss) * row.speed_credit *
                    row.context_credit,
                1e-12);
    EXPECT_NE(row.plan.memory.fits, Fits::no);
    EXPECT_GE(row.plan.speed.decode_tok_per_s.likely, 10);
    EXPECT_GT(row.plan.max_ctx, 0u) << row.model->id;
    EXPECT_GE(row.quant_loss, 0);
    EXPECT_FALSE(row.quant_loss_evidence.empty()) << row.model->id;
    if (row.quality.percentile) {
      EXPECT_FALSE(unscored) << row.model->id << " has a score but stands after one without";
      EXPECT_LE(row.rank, last);
      last = row.rank;
    } else {
      unscored = true;
      EXPECT_LE(row.model->release, release);
      release = row.model->release;
      EXPECT_TRUE(std::any_of(
          row.plan.notes.begin(), row.plan.notes.end(),
          [](const std::string& note) { return note.starts_with("No published score"); }))
          << row.model->id;
    }
  }
  EXPECT_TRUE(unscored);
}

TEST(Fit, TheFirstRowsAreTheSameWhenOnlyTheyAreAskedFor) {
  for (const char* words : {"RX 7900 XTX", "Raspberry Pi 5", "Mac Studio M3 Ultra 512GB"}) {
    const hwdb::Machine machine = rig(words);
    FitRequest all = request("chat"), some = all;
    some.top = 12;
    const FitResult whole = rank_models(catalog(), machine, nullptr, all);
    const FitResult part = rank_models(catalog(), machine, nullptr, some);
    ASSERT_EQ(part.rows.size(), std::min<std::size_t>(12, whole.rows.size())) << words;
    for (std::size_t i = 0; i < part.rows.size(); ++i) {
      EXPECT_EQ(part.rows[i].model->id, whole.rows[i].model->id) << words << " row " << i;
      EXPECT_EQ(part.rows[i].quant, whole.rows[i].quant);
    }
    EXPECT_EQ(part.considered, whole.considered);
  }
}

TEST(Fit, A24GigabyteCardListsTheModelsPeopleRunOnIt) {
  const hwdb::Machine machine = rig("RX 7900 XTX");
  const FitResult chat = rank_models(catalog(), machine, nullptr, request("chat"));
  const FitRow* gemma = row_of(chat, "gemma-3-27b");
  ASSERT_TRUE(gemma);
  EXPECT_EQ(gemma->quant, "Q4_0");
  EXPECT_TRUE(gemma->quantization_aware);
  EXPECT_EQ(gemma->plan.memory.fits, Fits::gpu);
  EXPECT_GE(gemma->plan.max_ctx, 16384u);
  EXPECT_GT(gemma->plan.speed.decode_tok_per_s.likely, 30);

  const FitRow* coder = row_of(chat, "qwen2.5-coder-32b");
  ASSERT_TRUE(coder);
  EXPECT_LE(coder->plan.memory.fits, Fits::gpu_tight);
  FitRequest four_bit = request("code");
  four_bit.quants = {"Q4_K_M"};
  four_bit.n_ctx = 8192;
  const FitResult code = rank_models(catalog(), machine, nullptr, four_bit);
  const FitRow* q4 = row_of(code, "qwen2.5-coder-32b");
  ASSERT_TRUE(q4);
  EXPECT_EQ(q4->quant, "Q4_K_M");
  EXPECT_LE(q4->plan.memory.fits, Fits::gpu_tight);
  EXPECT_GE(q4->plan.max_ctx, 8192u);
  for (const FitRow& row : code.rows) EXPECT_EQ(row.quant, "Q4_K_M");
}

TEST(Fit, FiltersAndLimits) {
  const hwdb::Machine machine = rig("RTX 4090");
  FitRequest wanted = request("chat");
  wanted.model_filter = "QWEN2.5";
  const FitResult filtered = rank_models(catalog(), machine, nullptr, wanted);
  ASSERT_FALSE(filtered.rows.empty());
  for (const FitRow& row : filtered.rows)
    EXPECT_NE(row.model->id.find("qwen2.5"), std::string::npos);
  wanted.min_decode_tok_per_s = 1e6;
  const FitResult none = rank_models(catalog(), machine, nullptr, wanted);
  EXPECT_TRUE(none.rows.empty());
  EXPECT_EQ(none.too_slow + none.not_fitting + none.not_sized, none.considered);
  EXPECT_GT(none.too_slow, 0u);
}

TEST(Fit, APhoneHoldsASmallModel) {
  FitRequest wanted = request("chat");
  wanted.model_filter = "openelm-3b";
  const hwdb::Machine phone = rig("iPhone 15 Pro");
  const FitResult result = rank_models(catalog(), phone, nullptr, wanted);
  ASSERT_EQ(result.rows.size(), 1u);
  EXPECT_EQ(result.rows[0].plan.memory.fits, Fits::cpu);
  EXPECT_LT(result.rows[0].context_credit, 1) << "trained for 2048 tokens";
  EXPECT_LT(result.rows[0].plan.memory.total().value, 4 * kGiB);
}

TEST(Fit, SpeedCreditSaturates) {
  EXPECT_EQ(speed_credit(0, 10), 0);
  EXPECT_NEAR(speed_credit(10, 10), 0.632, 1e-3);
  EXPECT_GT(speed_credit(30, 10), 0.95);
  EXPECT_LT(speed_credit(1000, 10) - speed_credit(100, 10), 1e-4);
  EXPECT_EQ(speed_credit(5, 0), 1);
}

TEST(PresetCosts, SameAsTheCatalogueWayInAnyOrder) {
  for (const char* id : {"llama-3-8b", "gpt-oss-20b", "qwen3-30b-a3b"}) {
    const hwdb::ModelRow& row = model(id);
    PresetCosts costs(row.shape);
    for (const char* preset : {"Q8_0", "Q2_K", "BF16", "Q4_K_M", "Q8_0"}) {
      const auto mine = costs.find(preset);
      const auto theirs =
          hwdb::model_costs_of_preset(row.shape, hwdb::QuantOptions{preset, false, false});
      ASSERT_TRUE(mine && theirs) << id << " " << preset;
      EXPECT_EQ(mine->file_bytes, theirs->file_bytes) << id << " " << preset;
      EXPECT_EQ(mine->layers[1].attention_bytes, theirs->layers[1].attention_bytes);
      EXPECT_EQ(mine->output_bytes, theirs->output_bytes);
    }
    EXPECT_FALSE(costs.find("Q9_Z"));
    EXPECT_TRUE(costs.find("Q4_0")) << "after a refusal";
  }
}

PlanInputs inputs_on(const hwdb::Machine& machine, const Assumptions& assumptions) {
  PlanInputs inputs;
  inputs.machine = &machine;
  inputs.assumptions = &assumptions;
  inputs.workload = *workload_for("chat");
  inputs.settings.n_ctx = 8192;
  return inputs;
}

TEST(Quants, OneRecommendationAndAnHonestFront) {
  const hwdb::Machine machine = rig("RTX 3090");
  const Assumptions assumptions = assumptions_from(catalog());
  const auto rows = compare_quants(catalog(), model("llama-3-8b"), inputs_on(machine, assumptions));
  ASSERT_TRUE(rows);
  ASSERT_GT(rows->size(), 15u);
  std::size_t recommended = 0;
  const QuantRow *q8 = nullptr, *q4_0 = nullptr, *q4_k_m = nullptr;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const QuantRow& row = (*rows)[i];
    if (i > 0) {
      EXPECT_GE((*rows)[i - 1].plan.file_size, row.plan.file_size) << "largest first";
    }
    EXPECT_GT(row.bits_per_weight, 1);
    if (row.recommended) {
      ++recommended;
      EXPECT_TRUE(row.loss);
      EXPECT_NE(row.reason.find(row.quant), std::string::npos);
      EXPECT_NE(row.reason.find("tok/s"), std::string::npos) << row.reason;
    }
    if (row.quant == "Q8_0") q8 = &row;
    if (row.quant == "Q4_0") q4_0 = &row;
    if (row.quant == "Q4_K_M") q4_k_m = &row;
  }
  EXPECT_EQ(recommended, 1u);
  ASSERT_TRUE(q8 && q4_0 && q4_k_m);
  EXPECT_TRUE(q4_k_m->loss_of_this_model);
  EXPECT_EQ(q4_k_m->loss_kind, "KLD");
  EXPECT_NEAR(*q4_k_m->loss, 0.03, 0.005);
  EXPECT_LT(*q8->loss, *q4_k_m->loss);
  EXPECT_FALSE(q4_0->pareto && *q4_0->loss > *q4_k_m->loss &&
               q4_0->plan.file_size > q4_k_m->plan.file_size);
}

TEST(Quants, NoneIsRecommendedWhereNoneFits) {
  const hwdb::Machine machine = rig("Raspberry Pi 4 2GB");
  const Assumptions assumptions = assumptions_from(catalog());
  const auto rows =
      compare_quants(catalog(), model("llama-3-70b"), inputs_on(machine, assumptions));
  ASSERT_TRUE(rows);
  for (const QuantRow& row : *rows) {
    EXPECT_FALSE(row.recommended);
    EXPECT_EQ(row.plan.max_ctx, 0u);
  }
}

}  // namespace
}  // namespace planner
