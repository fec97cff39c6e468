// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/testing/csv.h"
#include "hwdb/weight_plan.h"
#include "planner/make_plan.h"

/// Predicted memory against what runtimes print, through the same plans that the commands show.
/// `tests/run -R memory_figures -V` prints the figures.
namespace {

using hwdb::CsvRow;
using planner::Plan;

constexpr double kMiB = 1024.0 * 1024.0;

std::uint32_t count(const CsvRow& row, const std::string& key) {
  return static_cast<std::uint32_t>(std::stoull(row.at(key)));
}

const hwdb::ModelShape& shape_of(const std::string& model) {
  const auto row = hwdb::Catalog::builtin().find_model(model);
  if (!row) throw std::runtime_error("not in the catalogue: " + model);
  return (*row)->shape;
}

const hwdb::ModelCosts* costs_of(const std::string& model, const std::string& quant) {
  static std::map<std::pair<std::string, std::string>, hwdb::Result<hwdb::ModelCosts>> known;
  auto found = known.find({model, quant});
  if (found == known.end()) {
    hwdb::QuantOptions options;
    options.preset = quant;
    found =
        known
            .emplace(std::pair(model, quant), hwdb::model_costs_of_preset(shape_of(model), options))
            .first;
  }
  return found->second ? &*found->second : nullptr;
}

/// A computer with room for everything.
hwdb::Machine roomy(std::uint32_t n_gpus) {
  hwdb::Machine machine;
  const auto bytes = [](int power) {
    return hwdb::Sourced<hwdb::Bytes>{hwdb::Bytes(std::uint64_t{1} << power), hwdb::Basis::assumed,
                                      "test", ""};
  };
  machine.memory.total = bytes(45);
  machine.memory.bandwidth = {hwdb::BytesPerSecond(1e11), hwdb::Basis::assumed, "test", ""};
  hwdb::GpuInfo gpu;
  gpu.name = "card";
  gpu.backend = hwdb::GpuInfo::Backend::cuda;
  gpu.memory = bytes(44);
  gpu.bandwidth = machine.memory.bandwidth;
  machine.gpus.assign(n_gpus, gpu);
  return machine;
}

/// MiB on all devices together.
struct Figures {
  double weights = 0, cache = 0, compute = 0, output = 0;
  double total() const { return weights + cache + compute + output; }
};

Figures figures_of(const Plan& plan) {
  Figures sum;
  for (const planner::DeviceMemory& device : plan.memory.devices) {
    sum.weights += device.weights.as_double() / kMiB;
    sum.cache += (device.kv_cache + device.state).as_double() / kMiB;
    sum.compute += device.compute.as_double() / kMiB;
    sum.output += device.output.as_double() / kMiB;
  }
  return sum;
}

planner::RunSettings settings_of(const CsvRow& row) {
  planner::RunSettings settings;
  settings.n_ctx = std::stoull(row.at("n_ctx"));
  settings.n_batch = count(row, "n_batch");
  settings.n_ubatch = count(row, "n_ubatch");
  settings.n_outputs = settings.n_ubatch;  // these programs keep the logits of every token
  settings.flash_attn = row.at("flash_attn") == "on" || row.at("flash_attn") == "1";
  settings.cache_type_k = row.at("kv_k");
  settings.cache_type_v = row.at("kv_v");
  settings.swa_full = row.at("swa_full") == "1";
  return settings;
}

Figures predict(const hwdb::ModelCosts& costs, const planner::RunSettings& settings,
                std::uint32_t n_gpus) {
  const hwdb::Machine machine = roomy(n_gpus);
  planner::PlanInputs inputs;
  inputs.model = &costs;
  inputs.machine = &machine;
  inputs.settings = settings;
  inputs.settings.cpu_only = n_gpus == 0;
  const auto plan = planner::make_plan(inputs);
  EXPECT_TRUE(plan);
  return plan ? figures_of(*plan) : Figures{};
}

double off(double predicted, double actual) {
  return predicted / actual - 1;
}

/// Of absolute values.
struct Spread {
  double median = 0, p95 = 0, worst = 0;
};

Spread spread_of(std::vector<double> errors) {
  for (double& e : errors) e = std::abs(e);
  std::ranges::sort(errors);
  return {errors[errors.size() / 2], errors[errors.size() * 95 / 100], errors.back()};
}

/// Published files against the rules. Rows with a cause are files that do not follow them; each
/// says why, and must really be off.
TEST(MemoryFigures, PublishedFileSizes) {
  const auto rows = hwdb::read_fixture("gguf_sizes.csv");
  ASSERT_GT(rows.size(), 500u);
  std::vector<double> errors, beyond_rounding;
  std::map<std::string, int> causes;
  for (const CsvRow& row : rows) {
    hwdb::ModelShape shape = shape_of(row.at("model"));
    if (row.at("untied_copy") == "1") shape.tie_embeddings = false;
    auto list = hwdb::tensor_list(shape);
    ASSERT_TRUE(list) << row.at("model");
    ASSERT_TRUE(
        hwdb::apply_preset(shape, {row.at("quant"), row.at("imatrix") == "1", false}, &*list));
    double predicted = hwdb::padded_tensor_bytes(*list)->as_double();
    if (row.at("counts") == "file")
      predicted += hwdb::estimate_header_bytes(shape, *list).as_double();
    const double published = std::stod(row.at("published_bytes"));
    const double off = std::abs(predicted - published);
    const double beyond = std::max(0.0, off - std::stod(row.at("rounding_bytes"))) / published;
    if (!row.at("cause").empty()) {
      ++causes[row.at("cause")];
      EXPECT_GT(beyond, 0.01) << row.at("label") << ' ' << row.at("quant") << " needs no cause";
      std::printf("  %-42s %-9s %+7.2f %%  %s\n", row.at("label").substr(0, 42).c_str(),
                  row.at("quant").c_str(), 100 * (predicted / published - 1),
                  row.at("cause").c_str());
      continue;
    }
    errors.push_back(off / published);
    beyond_rounding.push_back(beyond);
    EXPECT_LE(beyond, 0.01) << row.at("label") << ' ' << row.at("quant");
  }
  std::ranges::sort(errors);
  std::ranges::sort(beyond_rounding);
  const double median = errors[errors.size() / 2], p95 = errors[errors.size() * 95 / 100];
  int caused = 0;
  for (const auto& [cause, n] : causes) caused += n;
  std::printf(
      "%zu files: median %.4f %%, p95 %.3f %%, max %.2f %% (beyond rounding: median %.4f %%, "
      "max %.2f %%); %d more do not follow the rules\n",
      errors.size(), 100 * median, 100 * p95, 100 * errors.back(),
      100 * beyond_rounding[beyond_rounding.size() / 2], 100 * beyond_rounding.back(), caused);
  EXPECT_LE(median, 0.001);
  EXPECT_LE(p95, 0.01);
  EXPECT_LE(caused, 42);
}

TEST(MemoryFigures, WhatLlamaCppPrints) {
  const auto rows = hwdb::read_fixture("memory_truth.csv");
  ASSERT_GE(rows.size(), 72u);
  std::vector<double> weights, cache, totals;
  double lowest = 0;
  for (const CsvRow& row : rows) {
    planner::RunSettings settings = settings_of(row);
    settings.n_seq = count(row, "n_parallel");
    const auto* costs = costs_of(row.at("model"), row.at("quant"));
    ASSERT_NE(costs, nullptr) << row.at("model");
    const Figures got = predict(*costs, settings, 0);
    const auto actual = [&](const char* key) { return std::stod(row.at(key)); };
    weights.push_back(off(got.weights, actual("weights_mib")));
    cache.push_back(off(got.cache, actual("kv_mib")));
    const double sum =
        actual("weights_mib") + actual("kv_mib") + actual("compute_mib") + actual("output_mib");
    totals.push_back(off(got.total(), sum));
    lowest = std::min(lowest, totals.back());
    EXPECT_LE(std::abs(weights.back()), 0.001) << row.at("model");
    EXPECT_LE(std::abs(got.cache - actual("kv_mib")),
              std::max(0.005, 0.0005 * actual("kv_mib")) + 1e-9)
        << row.at("model") << " at " << row.at("n_ctx");
    EXPECT_LE(std::abs(totals.back()), 0.03) << row.at("model") << " at " << row.at("n_ctx");
    EXPECT_GE(totals.back(), -0.01) << row.at("model") << " at " << row.at("n_ctx");
  }
  const Spread w = spread_of(weights), c = spread_of(cache), t = spread_of(totals);
  std::printf(
      "llama.cpp's own figures, %zu settings: weights worst %.4f %%, cache worst %.3f %%, total "
      "median %.4f %%, worst %.4f %%, at most %.4f %% too low\n",
      rows.size(), 100 * w.worst, 100 * c.worst, 100 * t.median, 100 * t.worst, -100 * lowest);
  EXPECT_LE(t.median, 0.01);
}

/// Start-up logs that others published, with the whole breakdown. `unlike` names the figures that
/// the plan is known not to give, and `cause` says why; they must really be off.
TEST(MemoryFigures, PublishedLogs) {
  const auto rows = hwdb::read_fixture("measured_memory.csv");
  ASSERT_EQ(rows.size(), 63u);
  int held_weights = 0, held_cache = 0, held_compute = 0;
  for (const CsvRow& row : rows) {
    const std::string what =
        row.at("label") + " " + row.at("quant") + " at " + row.at("n_ctx") + ", " + row.at("split");
    const std::string& unlike = row.at("unlike");
    EXPECT_EQ(unlike.empty(), row.at("cause").empty()) << what;
    if (!unlike.empty())
      std::printf("  %-22s %-7s %6s  %-22s %s\n", row.at("label").c_str(), row.at("quant").c_str(),
                  row.at("n_ctx").c_str(), unlike.c_str(), row.at("cause").c_str());
    if (row.at("model").empty()) continue;
    planner::RunSettings settings = settings_of(row);
    settings.n_seq = count(row, "n_seq");
    settings.kv_unified = settings.n_seq > 1;
    const std::uint32_t n_gpus = count(row, "n_gpus");
    if (n_gpus > 0) {
      settings.n_gpu_layers = count(row, "n_gpu_layers");
      settings.n_cpu_moe = count(row, "n_cpu_moe");
    }
    // The cache and the buffers of a quantization without rules are those of any other.
    const auto* costs = costs_of(row.at("model"), row.at("quant"));
    const bool sized = costs != nullptr;
    if (!sized) costs = costs_of(row.at("model"), "Q4_K_M");
    ASSERT_NE(costs, nullptr) << what;
    const Figures got = predict(*costs, settings, n_gpus);
    const auto check = [&](const char* figure, double predicted, const char* column, bool near,
                           int* held) {
      const bool listed = unlike.find(figure) != std::string::npos;
      EXPECT_NE(near, listed) << what << ": " << figure << " " << predicted << " MiB, the log says "
                              << row.at(column);
      *held += near && !listed;
    };
    const double weights = std::stod(row.at("weights_mib")), cache = std::stod(row.at("kv_mib")),
                 compute = std::stod(row.at("compute_mib"));
    check("weights", got.weights, "weights_mib",
          sized && std::abs(off(got.weights, weights)) <= 0.03, &held_weights);
    check("cache", got.cache, "kv_mib", std::abs(off(got.cache, cache)) <= 0.03, &held_cache);
    check("compute", got.compute, "compute_mib",
          std::abs(got.compute - compute) <= std::max(64.0, 0.2 * compute), &held_compute);
  }
  std::printf("published logs, %zu: weights held in %d, cache in %d, compute in %d\n", rows.size(),
              held_weights, held_cache, held_compute);
}

/// Bytes come from shapes and rules: a model of any other name gets the same.
TEST(MemoryFigures, NamesDoNotMatter) {
  std::size_t compared = 0;
  for (const hwdb::ModelRow& row : hwdb::Catalog::builtin().models()) {
    if (row.shape_incomplete || row.shape.n_layers == 0) continue;
    hwdb::ModelRow renamed = row;
    renamed.id = "a-new-model";
    renamed.family = "None";
    renamed.aliases = {"Any Name 405B MoE SWA MLA"};
    renamed.notes.clear();
    for (const char* preset : {"Q4_K_M", "Q8_0"}) {
      hwdb::QuantOptions options;
      options.preset = preset;
      const auto before = hwdb::model_costs_of_preset(row.shape, options);
      const auto after = hwdb::model_costs_of_preset(renamed.shape, options);
      ASSERT_EQ(before.has_value(), after.has_value()) << row.id;
      if (!before) continue;
      EXPECT_EQ(before->file_bytes, after->file_bytes) << row.id;
      for (const std::uint32_t n_gpus : {0u, 1u, 2u}) {
        planner::RunSettings settings;
        settings.n_ctx = 8192;
        const Figures a = predict(*before, settings, n_gpus), b = predict(*after, settings, n_gpus);
        EXPECT_EQ(a.total(), b.total()) << row.id << " on " << n_gpus;
        EXPECT_GT(a.compute, 0) << row.id;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 1200u);
}

}  // namespace
