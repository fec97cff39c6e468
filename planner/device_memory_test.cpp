// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "hwdb/json_rows.h"
#include "hwdb/kv_cache.h"
#include "hwdb/testing/csv.h"
#include "hwdb/weight_plan.h"

namespace planner {
namespace {

using Row = hwdb::CsvRow;

std::uint64_t number(const Row& row, const std::string& key) {
  return std::stoull(row.at(key));
}

std::vector<double> numbers(const std::string& list) {
  std::vector<double> out;
  std::istringstream in(list);
  for (std::string value; std::getline(in, value, ';');) out.push_back(std::stod(value));
  return out;
}

/// Where the blocks and the output go; `n_gpus` stands for the host.
struct Places {
  std::size_t n_gpus = 0;
  std::vector<std::size_t> block;
  std::size_t output = 0;
};

Places places_of(const Row& row, std::uint32_t n_layers) {
  Places places;
  places.n_gpus = number(row, "n_gpus");
  const std::uint64_t offloaded = number(row, "n_gpu_layers");
  std::vector<double> shares = numbers(row.at("tensor_split"));
  if (shares.empty()) shares.assign(places.n_gpus, 1.0);
  const auto place = [&](std::uint64_t i) {
    if (i + offloaded < std::uint64_t{n_layers} + 1) return places.n_gpus;
    const auto nth = static_cast<double>(i + offloaded - n_layers - 1);
    double total = 0, reach = 0;
    for (const double share : shares) total += share;
    std::size_t gpu = 0;
    for (; gpu + 1 < shares.size(); ++gpu) {
      reach += shares[gpu] / total;
      if (nth / static_cast<double>(offloaded) < reach) break;
    }
    return gpu;
  };
  for (std::uint32_t i = 0; i < n_layers; ++i) places.block.push_back(place(i));
  places.output = offloaded > 0 ? place(n_layers) : places.n_gpus;
  return places;
}

/// Bytes of each GPU and, last, of the host.
std::vector<double> weights_of(const std::vector<hwdb::PlannedTensor>& tensors, const Row& row,
                               const Places& places, bool tied) {
  std::vector<double> bytes(places.n_gpus + 1, 0.0);
  const auto n_cpu_moe = static_cast<std::int32_t>(number(row, "n_cpu_moe"));
  for (const hwdb::PlannedTensor& t : tensors) {
    const auto size = static_cast<double>(t.info.bytes);
    std::size_t where = places.n_gpus;
    // Built-in draft layers stay in the file until they are asked for.
    if (t.layer >= static_cast<std::int32_t>(places.block.size())) continue;
    if (t.layer >= 0)
      where = t.role == hwdb::TensorRole::routed_experts && t.layer < n_cpu_moe
                  ? places.n_gpus
                  : places.block[static_cast<std::size_t>(t.layer)];
    else if (t.role == hwdb::TensorRole::output)
      where = places.output;
    else if (t.role == hwdb::TensorRole::other)
      where = places.block.front();
    bytes[where] += size;
    // A tied vocabulary matrix is stored a second time for an output on a GPU.
    if (tied && t.role == hwdb::TensorRole::token_embedding && places.output != places.n_gpus)
      bytes[places.output] += size;
  }
  return bytes;
}

hwdb::TensorType cache_type(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return hwdb::tensor_type(name);
}

std::vector<double> cache_of(const hwdb::ModelShape& shape, const Row& row, const Places& places) {
  hwdb::CacheRequest request;
  request.n_ctx = number(row, "n_ctx");
  request.n_seq = static_cast<std::uint32_t>(number(row, "n_parallel"));
  request.unified = row.at("unified") == "1";
  request.n_ubatch = static_cast<std::uint32_t>(number(row, "n_ubatch"));
  request.type_k = cache_type(row.at("kv_k"));
  request.type_v = cache_type(row.at("kv_v"));
  request.swa_full = row.at("swa_full") == "1";
  request.flash_attn = row.at("flash_attn") == "1";
  std::vector<double> bytes(places.n_gpus + 1, 0.0);
  const auto layers = hwdb::cache_of_layers(shape, request);
  EXPECT_TRUE(layers.has_value());
  for (std::size_t i = 0; layers && i < layers->size(); ++i) {
    const bool host = row.at("no_kv_offload") == "1";
    bytes[host ? places.n_gpus : places.block[i]] +=
        (*layers)[i].kv.as_double() + (*layers)[i].state.as_double();
  }
  return bytes;
}

std::vector<double> actual(const Row& row, const std::string& what) {
  std::vector<double> bytes = numbers(row.at("gpu_" + what));
  bytes.push_back(std::stod(row.at("host_" + what)));
  return bytes;
}

// Weights to 0.1 % and caches to 0.05 % of what llama.cpp puts on each device.
TEST(DeviceMemory, WeightsAndCachesLieWhereLlamaCppPutsThem) {
  const auto rows = hwdb::read_fixture("device_memory.csv");
  ASSERT_GE(rows.size(), 40u);
  const auto tables = hwdb::read_row_tables(TOKWATT_SOURCE_DIR + std::string("/hwdb/data"));
  ASSERT_TRUE(tables.has_value());
  std::map<std::string, const hwdb::ModelShape*> shapes;
  for (const hwdb::ModelRow& row : tables->models) shapes[row.id] = &row.shape;
  for (const Row& row : rows) {
    ASSERT_TRUE(shapes.contains(row.at("model"))) << row.at("model");
    const hwdb::ModelShape& shape = *shapes.at(row.at("model"));
    const Places places = places_of(row, shape.n_layers);
    auto tensors = hwdb::tensor_list(shape);
    ASSERT_TRUE(tensors.has_value()) << row.at("model");
    hwdb::QuantOptions options;
    options.preset = row.at("preset");
    options.newer_rules = true;
    ASSERT_TRUE(hwdb::apply_preset(shape, options, &*tensors).has_value()) << row.at("model");
    const std::vector<double> weights = weights_of(*tensors, row, places, shape.tie_embeddings);
    const std::vector<double> cache = cache_of(shape, row, places);
    const std::vector<double> true_weights = actual(row, "weights");
    const std::vector<double> true_cache = actual(row, "cache");
    ASSERT_EQ(true_weights.size(), places.n_gpus + 1);
    ASSERT_EQ(true_cache.size(), places.n_gpus + 1);
    for (std::size_t device = 0; device <= places.n_gpus; ++device) {
      const std::string where = row.at("model") + " " + row.at("preset") + " ctx " +
                                row.at("n_ctx") + " on " + std::to_string(device) + " of " +
                                std::to_string(places.n_gpus);
      EXPECT_NEAR(weights[device], true_weights[device], 0.001 * true_weights[device]) << where;
      EXPECT_NEAR(cache[device], true_cache[device], 0.0005 * true_cache[device]) << where;
    }
    // Logits of one token a sequence, printed in MiB with two decimals.
    EXPECT_NEAR(static_cast<double>(shape.n_vocab * number(row, "n_parallel")) * 4 / (1 << 20),
                std::stod(row.at("output_mib")), 0.006)
        << row.at("model");
  }
}

}  // namespace
}  // namespace planner
