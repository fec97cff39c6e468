// SPDX-License-Identifier: MIT
#include "planner/headroom.h"

#include <gtest/gtest.h>

#include "hwdb/catalog.h"
#include "planner/rig/rig.h"
#include "planner/test_inputs.h"

namespace planner {
namespace {

using testing::card;
using testing::Case;
using testing::dense_model;
using testing::expert_model;
using testing::with_cards;

Fits fits_of(const Case& c) {
  const auto plan = make_plan(c.inputs);
  EXPECT_TRUE(plan);
  return plan ? plan->memory.fits : Fits::no;
}

TEST(Headroom, EachLimitIsTheLastValueThatFits) {
  Case c(dense_model(), with_cards({card("A", 3e9, 1e12, 100e12)}));
  c.inputs.settings.n_ctx = 4096;
  for (const Fits grade : {Fits::gpu, Fits::gpu_tight}) {
    const Headroom room = headroom(c.inputs, grade, 1u << 24, {});
    ASSERT_GT(room.max_ctx, 4096u);
    ASSERT_GT(room.max_n_seq, 1u);
    Case edge(c.model, c.machine);
    edge.inputs.settings.n_ctx = room.max_ctx;
    EXPECT_LE(fits_of(edge), grade);
    edge.inputs.settings.n_ctx += 256;
    EXPECT_GT(fits_of(edge), grade);
    edge.inputs.settings.n_seq = room.max_n_seq;
    edge.inputs.settings.n_ctx = 4096ull * room.max_n_seq;
    EXPECT_LE(fits_of(edge), grade);
    edge.inputs.settings.n_seq = room.max_n_seq + 1;
    edge.inputs.settings.n_ctx = 4096ull * (room.max_n_seq + 1);
    EXPECT_GT(fits_of(edge), grade);
    EXPECT_EQ(room.fewest_cpu_layers, 0u);
    EXPECT_FALSE(room.fewest_cpu_expert_layers);
  }
  const Headroom with = headroom(c.inputs, Fits::gpu, 1u << 24, {});
  const Headroom without = headroom(c.inputs, Fits::gpu_tight, 1u << 24, {});
  EXPECT_GT(without.max_ctx, with.max_ctx);
  EXPECT_GT(without.max_n_seq, with.max_n_seq);
}

TEST(Headroom, FewestLayersInRamLeaveTheMarginAndOneLessDoesNot) {
  Case c(expert_model(), with_cards({card("A", 6e9, 1e12, 100e12)}));
  const Headroom room = headroom(c.inputs, Fits::gpu, 8192, {});
  ASSERT_TRUE(room.fewest_cpu_layers);
  ASSERT_TRUE(room.fewest_cpu_expert_layers);
  EXPECT_LE(*room.fewest_cpu_expert_layers, *room.fewest_cpu_layers);
  const auto spare = [&](std::uint32_t n_gpu_layers, std::uint32_t n_cpu_moe) {
    Case at(c.model, c.machine);
    at.inputs.settings.n_gpu_layers = n_gpu_layers;
    at.inputs.settings.n_cpu_moe = n_cpu_moe;
    const auto plan = make_plan(at.inputs);
    EXPECT_TRUE(plan);
    const DeviceMemory& gpu = plan->memory.devices.front();
    return gpu.budget.as_double() - gpu.total().as_double();
  };
  const double margin = c.assumptions.margin_gpu.as_double();
  EXPECT_GE(spare(11 - *room.fewest_cpu_layers, 0), margin);
  EXPECT_LT(spare(12 - *room.fewest_cpu_layers, 0), margin);
  EXPECT_GE(spare(11, *room.fewest_cpu_expert_layers), margin);
  EXPECT_LT(spare(11, *room.fewest_cpu_expert_layers - 1), margin);
}

TEST(Headroom, TheLargestQuantizationThatFits) {
  const hwdb::Catalog& catalog = hwdb::Catalog::builtin();
  hwdb::QuantOptions options;
  options.preset = "Q4_K_M";
  const auto costs =
      hwdb::model_costs_of_preset((*catalog.find_model("llama-3.1-8b"))->shape, options);
  ASSERT_TRUE(costs);
  const auto machine = machine_from_words(catalog, "gpu:vram=8GiB,bw=300GB/s,fp16=50T");
  ASSERT_TRUE(machine);
  PlanInputs inputs;
  inputs.model = &*costs;
  inputs.machine = &*machine;
  const Headroom room =
      headroom(inputs, Fits::gpu, 8192, {"F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_0"});
  // 6.6 GB less 0.4 of embeddings in RAM, 0.5 of cache, 0.3 of buffers and context, 1.07 of margin
  // on 8.6; Q8_0 has 8.5.
  EXPECT_EQ(room.largest_quant, "Q6_K");
  EXPECT_NEAR(room.largest_quant_bytes.as_double(), 6.596e9, 0.001e9);
  EXPECT_EQ(headroom(inputs, Fits::gpu, 8192, {"F16"}).largest_quant, "");
}

}  // namespace
}  // namespace planner
