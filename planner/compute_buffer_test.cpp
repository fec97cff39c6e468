// SPDX-License-Identifier: MIT
#include "planner/compute_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/testing/csv.h"

namespace planner {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

/// What llama.cpp reserves on the CPU, held against the closed formula that every plan uses. The
/// graph of compute_graph.h gives the same figures to the byte; the formula is what it costs less.
TEST(ComputeBuffer, StaysNearWhatLlamaCppReserves) {
  std::vector<double> errors;
  std::size_t far = 0;
  for (const hwdb::CsvRow& row : hwdb::read_fixture("llamacpp_compute_buffers.csv")) {
    if (row.at("n_gpus") != "0" || row.at("n_outputs") == "1") continue;
    const auto model = hwdb::Catalog::builtin().find_model(row.at("model"));
    ASSERT_TRUE(model) << row.at("model");
    RunSettings settings;
    settings.n_batch = static_cast<std::uint32_t>(std::stoul(row.at("n_batch")));
    settings.n_ubatch = static_cast<std::uint32_t>(std::stoul(row.at("n_ubatch")));
    settings.n_seq = static_cast<std::uint32_t>(std::stoul(row.at("n_parallel")));
    settings.flash_attn = row.at("flash_attn") == "1";
    const ComputeBuffers got =
        compute_buffers((*model)->shape, settings, std::stoull(row.at("cells")));
    const double predicted = std::max(got.blocks, got.output);
    const double actual = std::stod(row.at("host_bytes"));
    errors.push_back(std::abs(predicted - actual) / actual);
    far += std::abs(predicted - actual) > std::max(0.2 * actual, 64 * kMiB);
  }
  ASSERT_GE(errors.size(), 150u);
  std::ranges::sort(errors);
  RecordProperty("median", std::to_string(errors[errors.size() / 2]));
  std::printf("median %.3f, 90th percentile %.3f, beyond 20 %% and 64 MiB: %zu of %zu\n",
              errors[errors.size() / 2], errors[errors.size() * 9 / 10], far, errors.size());
  EXPECT_LE(errors[errors.size() / 2], 0.05);
  EXPECT_LE(static_cast<double>(far), 0.05 * static_cast<double>(errors.size()));
}

}  // namespace
}  // namespace planner
