// SPDX-License-Identifier: MIT
#include "planner/attachments.h"

#include <gtest/gtest.h>

#include "hwdb/catalog.h"
#include "planner/batch.h"
#include "planner/launch.h"
#include "planner/test_inputs.h"

namespace planner {
namespace {

using testing::card;
using testing::with_cards;

/// A catalogue model at a preset, as the program would find it.
std::shared_ptr<const ResolvedModel> model_of(const std::string& id, const std::string& preset) {
  const auto row = hwdb::Catalog::builtin().find_model(id);
  EXPECT_TRUE(row) << id;
  auto model = std::make_shared<ResolvedModel>();
  const hwdb::QuantOptions how{preset, false, false};
  model->name = id;
  model->costs = *hwdb::model_costs_of_preset((*row)->shape, how);
  model->tensors = [shape = &(*row)->shape, how] { return hwdb::tensors_of_preset(*shape, how); };
  return model;
}

/// One scenario on its own machine.
struct Asked {
  hwdb::Machine machine;
  Scenario scenario;
  BatchSources sources;

  Asked(const std::string& model, const std::string& preset, hwdb::Machine on)
      : machine(std::move(on)) {
    scenario.model = model;
    scenario.quant = preset;
    sources.model = [](const std::string& name, const std::string& quant)
        -> hwdb::Result<std::shared_ptr<const ResolvedModel>> { return model_of(name, quant); };
    sources.machine =
        [this](const std::string&) -> hwdb::Result<std::shared_ptr<const hwdb::Machine>> {
      return std::make_shared<const hwdb::Machine>(machine);
    };
    sources.tariff = [](const std::string&) -> hwdb::Result<const hwdb::TariffRow*> {
      return nullptr;
    };
  }
  RunSettings& settings() { return scenario.settings; }
  hwdb::Result<Plan> plan() { return Batch(sources).plan(scenario); }
  Plan ok() {
    auto made = plan();
    EXPECT_TRUE(made) << (made ? "" : made.error().what);
    return made ? *made : Plan{};
  }
};

hwdb::Machine one_card() {
  return with_cards({card("A", 80e9, 1e12, 100e12)});
}
hwdb::Machine two_cards() {
  return with_cards({card("A", 80e9, 1e12, 100e12), card("B", 80e9, 1e12, 100e12)});
}

std::uint64_t weights(const Plan& plan, std::size_t device) {
  return plan.memory.devices.at(device).weights.value;
}

TEST(Overrides, AllExpertsToRamIsTheSamePlanAsNCpuMoe) {
  Asked moe("qwen3-30b-a3b", "Q4_K_M", one_card());
  moe.settings().n_cpu_moe = 48;
  Asked all("qwen3-30b-a3b", "Q4_K_M", one_card());
  all.settings().cpu_moe = true;
  const Plan expected = moe.ok();
  for (const char* pattern : {"exps=CPU", R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU)"}) {
    Asked by_pattern("qwen3-30b-a3b", "Q4_K_M", one_card());
    by_pattern.settings().override_tensor = pattern;
    const Plan plan = by_pattern.ok();
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_EQ(plan.memory.devices[i].total(), expected.memory.devices[i].total()) << pattern;
    EXPECT_EQ(plan.speed.decode_tok_per_s.likely, expected.speed.decode_tok_per_s.likely);
    EXPECT_EQ(plan.memory.fits, Fits::offload);
    EXPECT_EQ(llama_server_line(plan), llama_server_line(expected));
  }
  EXPECT_EQ(all.ok().memory.devices[0].total(), expected.memory.devices[0].total());
  EXPECT_EQ(all.ok().placement.n_cpu_moe, 48u);
}

TEST(Overrides, OneMatrixOfEachLayerMovesItsBytesAndItsTime) {
  Asked plain("llama-3-8b", "F16", one_card());
  Asked moved("llama-3-8b", "F16", one_card());
  moved.settings().override_tensor = "ffn_down=CPU";
  const Plan before = plain.ok(), after = moved.ok();
  const std::uint64_t down = 32ull * 4096 * 14336 * 2;
  EXPECT_EQ(weights(before, 0) - weights(after, 0), down);
  EXPECT_EQ(weights(after, 1) - weights(before, 1), down);
  EXPECT_EQ(before.memory.fits, Fits::gpu);
  EXPECT_EQ(after.memory.fits, Fits::offload);
  // 3.76 GB are read at the host's pace: more than 3.76e9 / 50e9 s a token.
  const double slower =
      1 / after.speed.decode_tok_per_s.likely - 1 / before.speed.decode_tok_per_s.likely;
  EXPECT_GT(slower, static_cast<double>(down) / 50e9);
  EXPECT_NE(llama_server_line(after).find("-ot ffn_down=CPU"), std::string::npos);
}

TEST(Overrides, TensorsGoToAnotherCard) {
  Asked asked("llama-3-8b", "F16", two_cards());
  asked.settings().tensor_split = {1, 0};
  asked.settings().override_tensor = R"(blk\.(0|1)\.ffn_up=CUDA1,^token_embd=CUDA0)";
  const Plan plan = asked.ok();
  ASSERT_EQ(plan.memory.devices.size(), 3u);
  EXPECT_EQ(weights(plan, 1), 2ull * 4096 * 14336 * 2);
  EXPECT_GT(plan.memory.devices[1].overhead.value, 0u);  // its driver is there, too
  EXPECT_EQ(weights(plan, 2), 0u);                       // the embedding left the host
  EXPECT_EQ(plan.memory.fits, Fits::gpu);
}

TEST(Overrides, BuffersAreThoseOfTheRig) {
  Asked asked("llama-3-8b", "Q8_0", two_cards());
  asked.settings().override_tensor = "exps=CUDA2";
  const auto plan = asked.plan();
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "usage.value");
  EXPECT_EQ(plan.error().hint, "this machine has CPU, CUDA0, CUDA1");
  asked.settings().backend = hwdb::GpuInfo::Backend::vulkan;
  asked.settings().override_tensor = "ffn=Vulkan1";
  EXPECT_TRUE(asked.plan());
  asked.settings().backend = hwdb::GpuInfo::Backend::metal;
  asked.settings().override_tensor = "ffn=Metal";
  EXPECT_TRUE(asked.plan());
}

TEST(CacheInRam, MovesCacheAndVerdictAndCostsTheLink) {
  Asked asked("llama-3-8b", "Q8_0", one_card());
  asked.settings().n_ctx = 16384;
  asked.scenario.workload.depth = 12000;
  const Plan before = asked.ok();
  asked.settings().kv_on_host = true;
  const Plan after = asked.ok();
  // 32 layers of 8 heads of 128, keys and values of two bytes.
  const std::uint64_t cache = 32ull * 16384 * 2 * 8 * 128 * 2;
  EXPECT_EQ(before.memory.devices[0].kv_cache.value, cache);
  EXPECT_EQ(after.memory.devices[0].kv_cache.value, 0u);
  EXPECT_EQ(after.memory.devices[1].kv_cache.value, cache);
  EXPECT_EQ(after.memory.fits, Fits::offload);
  EXPECT_NE(llama_server_line(after).find(" -nkvo"), std::string::npos);
  // With flash attention the cache goes over a link of 25 GB/s: 12,576 tokens of 128 KiB.
  const double tokens = 12000 + 512 + 64;
  double link = 0;
  for (const TimeTerm& term : after.speed.decode_terms)
    if (term.kind == TimeTerm::Kind::link) link += term.amount;
  EXPECT_GE(link, tokens * 131072);
  asked.settings().flash_attn = false;
  const Plan plain = asked.ok();
  double host = 0;
  for (const TimeTerm& term : plain.speed.decode_terms)
    if (term.kind == TimeTerm::Kind::cache && term.device < 0) host += term.amount;
  EXPECT_NEAR(host, tokens * 131072, 1e6);
}

TEST(Splits, RowsAndHeads) {
  Asked asked("llama-3-8b", "F16", two_cards());
  asked.settings().n_gpu_layers = 99;
  asked.settings().split_mode = SplitMode::row;
  asked.settings().tensor_split = {0.7, 0.3};
  const Plan rows = asked.ok();
  const auto model = model_of("llama-3-8b", "F16");
  const std::uint64_t table = model->costs.embedding_bytes;
  EXPECT_EQ(weights(rows, 0) + weights(rows, 1) + table, model->costs.tensor_bytes);
  // As in the slices' own test: rows in multiples of 128, and the norms of 24 blocks.
  const std::uint64_t row = 2 * 4096;
  const std::uint64_t layer = row * (2 * 2816 + 2 * 640 + 2 * 9984) + 2 * 14336ull * 2816;
  EXPECT_EQ(weights(rows, 0), 32 * layer + 24 * 2 * 4 * 4096 + row * 89728);
  // The cache is with the layers: 33 things, so 24 blocks before 0.7.
  EXPECT_EQ(rows.placement.layers_on_gpu, (std::vector<std::uint32_t>{24, 8}));
  EXPECT_EQ(rows.memory.devices[0].kv_cache.value, 24ull * 4096 * 4096);

  asked.settings().split_mode = SplitMode::tensor;
  asked.settings().tensor_split.clear();
  const Plan heads = asked.ok();
  EXPECT_EQ(weights(heads, 0), weights(heads, 1));
  const std::uint64_t mirrored = 32ull * 2 * 4 * 4096 + 4 * 4096;  // the norms, on both
  EXPECT_EQ(2 * weights(heads, 0), model->costs.tensor_bytes - table + mirrored);
  EXPECT_EQ(heads.memory.devices[0].kv_cache.value, 16ull * 4096 * 4096);
  EXPECT_EQ(heads.memory.devices[1].kv_cache.value, 16ull * 4096 * 4096);
  EXPECT_NE(llama_server_line(heads).find("-sm tensor"), std::string::npos);
}

TEST(Splits, TheOutputMayHaveACardOfItsOwn) {
  Asked asked("llama-3-8b", "F16", two_cards());
  asked.settings().n_gpu_layers = 33;
  asked.settings().tensor_split = {32, 1};
  const Plan plan = asked.ok();
  EXPECT_EQ(plan.placement.layers_on_gpu, (std::vector<std::uint32_t>{32, 0}));
  EXPECT_EQ(plan.placement.output_gpu, 1u);
  EXPECT_EQ(weights(plan, 1), 2ull * 4096 * 128256 + 4 * 4096);
}

TEST(Splits, OneGpuIsTheMainOne) {
  Asked asked("llama-3-8b", "Q8_0",
              with_cards({card("A", 80e9, 1e12, 100e12), card("B", 80e9, 1e12, 100e12)}));
  asked.settings().split_mode = SplitMode::none;
  asked.settings().main_gpu = 1;
  const Plan plan = asked.ok();
  EXPECT_EQ(plan.memory.devices[0].device, "B");
  EXPECT_NE(llama_server_line(plan).find("-sm none -mg 1"), std::string::npos);
}

TEST(BuiltInDraftLayers, CountAmongTheLayers) {
  // GLM-4.5-Air: 46 blocks and one draft layer, which -ngl counts though nothing loads it.
  Asked asked("glm-4.5-air", "Q4_K_M", with_cards({card("A", 141e9, 1e12, 100e12)}));
  const Plan all = asked.ok();
  EXPECT_EQ(all.placement.n_gpu_layers, 48u);
  asked.settings().n_gpu_layers = 47;
  EXPECT_EQ(asked.ok().placement.layers_on_gpu, (std::vector<std::uint32_t>{45}));
  asked.settings().n_gpu_layers.reset();
  asked.settings().draft.mtp = true;
  const Plan drafting = asked.ok();
  const auto model = model_of("glm-4.5-air", "Q4_K_M");
  EXPECT_EQ(weights(drafting, 0) - weights(all, 0), model->costs.mtp_bytes);
  // One more layer of 8 heads of 128 in 16 bit, 4096 cells.
  EXPECT_EQ(drafting.memory.devices[0].kv_cache.value - all.memory.devices[0].kv_cache.value,
            4096ull * 2 * 8 * 128 * 2);
  ASSERT_EQ(drafting.memory.attached.size(), 2u);  // on the GPU, and its inputs on the host
  EXPECT_EQ(drafting.memory.attached[0].kind, AttachedMemory::Kind::draft_layers);
  EXPECT_NE(llama_server_line(drafting).find("--spec-type draft-mtp"), std::string::npos);
  Asked without("llama-3-8b", "Q8_0", one_card());
  without.settings().draft.mtp = true;
  EXPECT_EQ(without.plan().error().code, "usage.value");
}

TEST(DraftModel, IsAddedWithItsCacheAndBuffers) {
  Asked asked("llama-3.1-8b", "Q8_0", one_card());
  const Plan alone = asked.ok();
  asked.settings().draft.model = "llama-3.2-1b";
  asked.settings().draft.cache_type_k = asked.settings().draft.cache_type_v = "q8_0";
  const Plan both = asked.ok();
  Asked small("llama-3.2-1b", "Q8_0", one_card());
  small.settings().cache_type_k = small.settings().cache_type_v = "q8_0";
  const Plan second = small.ok();
  const auto gpu = [](const Plan& plan) { return plan.memory.devices[0]; };
  EXPECT_EQ(gpu(both).weights, gpu(alone).weights + gpu(second).weights);
  EXPECT_EQ(gpu(both).kv_cache, gpu(alone).kv_cache + gpu(second).kv_cache);
  EXPECT_EQ(gpu(both).overhead, gpu(alone).overhead);  // one process, one driver context
  // 16 layers of 8 heads of 64, 34 bytes for 32 values.
  EXPECT_EQ(gpu(second).kv_cache.value, 16ull * 4096 * 2 * 8 * 64 * 34 / 32);
  // Three drafted tokens behind each last one get logits: four rows in place of one.
  const std::uint64_t row = 128256ull * 4;
  EXPECT_EQ(both.memory.devices[1].output.value, 4 * row + row);
  asked.settings().draft.n_gpu_layers = 0;
  EXPECT_EQ(asked.ok().memory.devices[0].weights, gpu(alone).weights);
  EXPECT_NE(llama_server_line(asked.ok()).find("-md llama-3.2-1b-Q8_0.gguf -ngld 0"),
            std::string::npos);
}

TEST(Projector, IsOnTheFirstCardUnlessItIsToStay) {
  Asked asked("gemma-3-4b", "Q4_K_M", one_card());
  const Plan alone = asked.ok();
  asked.sources.projector = [](const std::string&) -> hwdb::Result<hwdb::ProjectorCosts> {
    return hwdb::ProjectorCosts{"mmproj.gguf", 851'000'000, 300'000'000, 5'000'000'000, false};
  };
  asked.settings().mmproj = "mmproj.gguf";
  Plan with = asked.ok();
  EXPECT_EQ(weights(with, 0) - weights(alone, 0), 851'000'000u);
  EXPECT_EQ(with.memory.devices[0].compute.value - alone.memory.devices[0].compute.value,
            300'000'000u);
  ASSERT_EQ(with.memory.attached.size(), 1u);
  EXPECT_TRUE(with.memory.attached[0].compute_bound);
  asked.settings().mmproj_on_gpu = false;
  with = asked.ok();
  EXPECT_EQ(weights(with, 0), weights(alone, 0));
  EXPECT_EQ(weights(with, 1) - weights(alone, 1), 851'000'000u);
  EXPECT_NE(llama_server_line(with).find("--mmproj mmproj.gguf --no-mmproj-offload"),
            std::string::npos);
  asked.settings().mmproj = "catalogue";
  const Plan unknown = asked.ok();
  EXPECT_EQ(weights(unknown, 0), weights(alone, 0));
  EXPECT_NE(unknown.notes.front().find("size is not known"), std::string::npos);
  Asked blind("llama-3-8b", "Q8_0", one_card());
  blind.settings().mmproj = "catalogue";
  EXPECT_EQ(blind.plan().error().code, "usage.value");
}

TEST(Adapter, LiesWithTheLayersThatItChanges) {
  Asked asked("llama-3-8b", "F16", one_card());
  asked.settings().n_gpu_layers = 17;  // the output and 16 blocks
  const Plan alone = asked.ok();
  asked.settings().lora = {"rank=16"};
  const Plan with = asked.ok();
  const std::uint64_t layer = 4ull * 16 * (2 * 8192 + 2 * 5120 + 3 * 18432);
  EXPECT_EQ(weights(with, 0) - weights(alone, 0), 16 * layer);
  EXPECT_EQ(weights(with, 1) - weights(alone, 1), 16 * layer);
  ASSERT_EQ(with.memory.attached.size(), 1u);
  EXPECT_TRUE(with.memory.attached[0].weights_estimated);
  EXPECT_EQ(with.memory.attached[0].weights.value, 32 * layer);
  asked.settings().lora = {"rank=x"};
  EXPECT_EQ(asked.plan().error().code, "usage.value");
}

TEST(HostMemory, PagesCopiesAndWhatAServerMayAdd) {
  Asked cpu("llama-3.1-8b", "Q4_K_M", testing::host());
  Plan plan = cpu.ok();
  // The machine of the tests has AVX2: 3204 MiB of Q4_K go into a second layout.
  EXPECT_NEAR(static_cast<double>(plan.memory.host.anonymous.value) / 1048576, 3204, 1);
  EXPECT_EQ(plan.memory.host.mapped + plan.memory.host.anonymous, plan.memory.devices[0].weights);
  EXPECT_EQ(plan.memory.host.prompt_cache->value, 8192ull << 20);
  EXPECT_EQ(plan.memory.host.checkpoints.value, 0u);  // full attention can be cut back
  cpu.settings().repack = false;
  EXPECT_EQ(cpu.ok().memory.host.anonymous.value, 0u);
  cpu.settings().load_mode = LoadMode::none;
  cpu.settings().cache_ram_mib = -1;
  plan = cpu.ok();
  EXPECT_EQ(plan.memory.host.mapped.value, 0u);
  EXPECT_EQ(plan.memory.host.anonymous, plan.memory.devices[0].weights);
  EXPECT_FALSE(plan.memory.host.prompt_cache);
  Asked gpu("llama-3.1-8b", "Q4_K_M", one_card());
  EXPECT_EQ(gpu.ok().memory.host.anonymous.value, 0u);  // the GPU reads what it borrows
  // Gemma 3 4B: 29 sliding layers of 4 heads of 256; 1024 + 512 cells each, two slots.
  Asked sliding("gemma-3-4b", "Q4_K_M", one_card());
  sliding.settings().n_seq = 2;
  sliding.settings().n_ctx = 16384;
  sliding.settings().ctx_checkpoints = 3;
  const HostMemory host = sliding.ok().memory.host;
  EXPECT_EQ(host.checkpoint.value, 29ull * 1536 * 2 * 4 * 256 * 2);
  EXPECT_EQ(host.checkpoints.value, 6 * host.checkpoint.value);
}

}  // namespace
}  // namespace planner
