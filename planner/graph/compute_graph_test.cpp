// SPDX-License-Identifier: MIT
#include "planner/graph/compute_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "hwdb/json_rows.h"
#include "hwdb/testing/csv.h"
#include "planner/graph/compute_memo.h"

namespace planner {
namespace {

using Row = hwdb::CsvRow;
constexpr double kMiB = 1024.0 * 1024.0;

const std::map<std::string, hwdb::ModelShape>& shapes() {
  static const std::map<std::string, hwdb::ModelShape> kShapes = [] {
    std::map<std::string, hwdb::ModelShape> out;
    const auto tables = hwdb::read_row_tables(TOKWATT_SOURCE_DIR + std::string("/hwdb/data"));
    if (!tables) return out;
    for (const hwdb::ModelRow& row : tables->models) out[row.id] = row.shape;
    // The measured file came from a converter that drops the checkpoint's 64 unused rows.
    if (out.contains("gemma-3-4b")) out["gemma-3-4b"].n_vocab = 262144;
    return out;
  }();
  return kShapes;
}

hwdb::TensorType cache_type(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return hwdb::tensor_type(name);
}

std::uint64_t number(const Row& row, const std::string& key) {
  return std::stoull(row.at(key));
}

/// Cells of a cache as llama.cpp allocates them: padded to 256, a window never beyond the context.
std::uint64_t padded(std::uint64_t cells) {
  return (cells + 255) / 256 * 256;
}

ComputeRequest request_of(const Row& row) {
  ComputeRequest request;
  request.n_seq = static_cast<std::uint32_t>(number(row, "n_parallel"));
  request.cells = number(row, "cells");
  request.window_cells = number(row, "window_cells");
  request.unified = row.at("unified") == "1";
  request.n_tokens = static_cast<std::uint32_t>(
      std::min({number(row, "n_ubatch"), number(row, "n_batch"),
                request.unified ? request.cells : request.cells * request.n_seq}));
  request.n_outputs = static_cast<std::uint32_t>(number(row, "n_outputs"));
  request.flash_attn = row.at("flash_attn") == "1";
  request.type_k = cache_type(row.at("kv_k"));
  request.type_v = cache_type(row.at("kv_v"));
  return request;
}

/// `-ngl` and `-ts` by llama.cpp's rule: a block goes to the first GPU whose share of the offloaded
/// layers (the output counts as one) reaches beyond it.
ComputePlacement placement_of(const Row& row, std::uint32_t n_layers) {
  ComputePlacement placement;
  placement.largest = {272, 272, 272};  // the fixture's matrices are Q8_0
  placement.n_gpus = static_cast<std::uint32_t>(number(row, "n_gpus"));
  if (placement.n_gpus == 0) return placement;
  const auto n_gpu_layers = static_cast<std::uint32_t>(number(row, "n_gpu_layers"));
  placement.output_on_gpu = n_gpu_layers > 0;
  placement.first_gpu_layer = std::min(n_layers, n_layers + 1 - n_gpu_layers);
  std::vector<double> reach;                    // shares summed up
  const auto split = row.find("tensor_split");  // not asked for on the real card
  std::istringstream shares(split == row.end() ? "" : split->second);
  for (std::string share; std::getline(shares, share, ';');)
    reach.push_back((reach.empty() ? 0 : reach.back()) + std::stod(share));
  for (std::size_t gpu = 0; shares.str().empty() && gpu < placement.n_gpus; ++gpu)
    reach.push_back(static_cast<double>(gpu + 1));
  for (std::uint32_t i = placement.first_gpu_layer; i < n_layers; ++i) {
    const double place = static_cast<double>(i - placement.first_gpu_layer) / n_gpu_layers;
    std::size_t gpu = 0;
    while (gpu + 1 < reach.size() && place >= reach[gpu] / reach.back()) ++gpu;
    ++placement.layers_on_gpu[gpu];
  }
  placement.n_cpu_moe = static_cast<std::uint32_t>(number(row, "n_cpu_moe"));
  placement.cache_on_host = row.at("no_kv_offload") == "1";
  placement.offload_large_ops = row.at("no_op_offload") != "1";
  if (placement.n_gpus > 1 && n_gpu_layers > n_layers && !placement.cache_on_host &&
      placement.n_cpu_moe == 0)
    placement.n_copies = 4;
  return placement;
}

TEST(ComputeGraph, ReservesWhatLlamaCppReserves) {
  const auto rows = hwdb::read_fixture("llamacpp_compute_buffers.csv");
  ASSERT_GT(rows.size(), 1600u);
  std::size_t buffers = 0, exact = 0;
  // 2 % is the bound. Open: graphs that are not built yet (the index of sparse attention, and
  // Lightning attention), and settings whose blocks do not settle into the pattern that is kept.
  const std::set<std::string> open{"glm-5-744b",
                                   "glm-5.2",
                                   "minimax-m3-428b-a23b",
                                   "minimax-m1-456b",
                                   "minimax-text-01-456b",
                                   "command-r-08-2024-32b ngl 41 of 1 nkvo",
                                   "granite-4.0-h-small-32b-a9b ngl 41 of 1 nkvo",
                                   "minicpm3-4b ngl 0 of 0",
                                   "nemotron-3-nano-30b-a3b ngl 53 of 1 nkvo",
                                   "nemotron-3-nano-30b-a3b ngl 53 of 2",
                                   "nemotron-ultra-253b-v1 ngl 163 of 1",
                                   "qwen3.5-35b-a3b ngl 41 of 1"};
  std::set<std::string> misses;
  for (const Row& row : rows) {
    const auto shape = shapes().find(row.at("model"));
    ASSERT_NE(shape, shapes().end()) << row.at("model");
    ComputePlacement placement = placement_of(row, shape->second.n_layers);
    placement.fuses = false;  // the stand-in does not
    const GraphBuffers predicted = graph_buffers(shape->second, request_of(row), placement);
    const auto check = [&](double actual, double got, const std::string& where) {
      ++buffers;
      exact += std::abs(actual - got) < 0.005 * kMiB;
      if (std::abs(actual - got) <= std::max(0.02 * actual, 0.05 * kMiB)) return;
      std::string setting = row.at("model") + " ngl " + row.at("n_gpu_layers") + " of " +
                            row.at("n_gpus") + (row.at("no_kv_offload") == "1" ? " nkvo" : "");
      misses.insert(setting);
      if (open.contains(setting) || open.contains(row.at("model"))) return;
      ADD_FAILURE() << setting << " ctx " << row.at("n_ctx") << " ub " << row.at("n_ubatch")
                    << " fa " << row.at("flash_attn") << " n_cpu_moe " << row.at("n_cpu_moe") << " "
                    << where << ": llama.cpp " << actual / kMiB << " MiB, predicted " << got / kMiB
                    << " MiB";
    };
    check(std::stod(row.at("host_bytes")), predicted.host.as_double(), "host");
    std::istringstream gpus(row.at("gpu_bytes"));
    std::string bytes;
    for (std::size_t gpu = 0; std::getline(gpus, bytes, ';'); ++gpu)
      check(std::stod(bytes), predicted.gpu[gpu].as_double(), "GPU " + std::to_string(gpu));
  }
  // A setting that is mended is taken off the list.
  for (const std::string& setting : open)
    EXPECT_TRUE(std::ranges::any_of(
        misses, [&](const std::string& miss) { return miss.starts_with(setting); }))
        << setting << " is within the bound now";
  EXPECT_GE(static_cast<double>(exact), 0.95 * static_cast<double>(buffers))
      << exact << " of " << buffers << " to the hundredth of a MiB";
}

/// The same on a real card: what CUDA reserved on an H200.
TEST(ComputeGraph, ReservesWhatCudaReserves) {
  const auto rows = hwdb::read_fixture("llamacpp_cuda_buffers.csv");
  ASSERT_GE(rows.size(), 300u);
  std::size_t exact = 0;
  std::map<std::string, int> misses;
  for (const Row& row : rows) {
    const auto shape = shapes().find(row.at("model"));
    ASSERT_NE(shape, shapes().end()) << row.at("model");
    ComputeRequest request = request_of(row);
    request.unified = row.at("unified") == "1";
    const GraphBuffers predicted =
        graph_buffers(shape->second, request, placement_of(row, shape->second.n_layers));
    const auto check = [&](double actual, double got) {
      exact += std::abs(actual - got) < 0.005 * kMiB;
      if (std::abs(actual - got) > std::max(0.02 * actual, 0.05 * kMiB)) ++misses[row.at("model")];
    };
    check(std::stod(row.at("host_bytes")), predicted.host.as_double());
    check(std::stod(row.at("gpu_bytes")), predicted.gpu[0].as_double());
  }
  int n = 0;
  for (const auto& [model, count] : misses) {
    std::printf("  %s: %d of 40 buffers beyond 2 %%\n", model.c_str(), count);
    n += count;
  }
  std::printf("CUDA: %zu of %zu buffers exact, %d beyond 2 %%\n", exact, 2 * rows.size(), n);
  EXPECT_LE(n, 7);  // one partial or borrowed setting a model
  EXPECT_GE(static_cast<double>(exact), 0.92 * 2 * static_cast<double>(rows.size()));
}

TEST(ComputeGraph, MatchesThePrintedBuffersOfCpuRuns) {
  const auto facts = hwdb::read_facts("llamacpp_memory_truth.csv");
  if (!facts) GTEST_SKIP() << "the collected facts are not beside this source tree";
  const auto& rows = *facts;
  ASSERT_GE(rows.size(), 72u);
  for (const Row& row : rows) {
    const auto shape = shapes().find(row.at("model"));
    ASSERT_NE(shape, shapes().end()) << row.at("model");
    ComputeRequest request;
    request.n_seq = static_cast<std::uint32_t>(number(row, "n_parallel"));
    request.cells = padded(number(row, "n_ctx") / request.n_seq);
    const std::uint64_t ubatch = number(row, "n_ubatch");
    const bool windows = shape->second.sliding_window > 0 && !shape->second.global_layers.empty();
    if (windows)
      request.window_cells =
          row.at("notes").find("--swa-full") != std::string::npos
              ? request.cells
              : std::min(request.cells, padded(shape->second.sliding_window + ubatch));
    request.n_tokens = request.n_outputs = static_cast<std::uint32_t>(
        std::min({ubatch, number(row, "n_batch"), request.cells * request.n_seq}));
    request.flash_attn = row.at("flash_attn") == "on";
    request.type_k = cache_type(row.at("kv_k"));
    request.type_v = cache_type(row.at("kv_v"));
    // The log has two decimals.
    EXPECT_NEAR(graph_buffers(shape->second, request).host.as_double() / kMiB,
                std::stod(row.at("compute_mib")), 0.0051)
        << row.at("model") << " " << row.at("notes");
  }
}

hwdb::ModelShape small_decoder(std::uint32_t n_layers) {
  hwdb::ModelShape shape;
  shape.architecture = "llama";
  shape.n_layers = n_layers;
  shape.n_embd = 256;
  shape.n_vocab = 1000;
  shape.n_heads = 4;
  shape.n_kv_heads = 2;
  shape.n_ff = 1024;
  shape.head_dim_k = shape.head_dim_v = 64;
  return shape;
}

ComputeRequest small_request() {
  ComputeRequest request;
  request.type_k = request.type_v = hwdb::tensor_type("F16");
  return request;
}

TEST(ComputeGraph, BlocksThatRepeatCostNothingMore) {
  const ComputeRequest request = small_request();
  const GraphBuffers few = graph_buffers(small_decoder(3), request);
  const GraphBuffers many = graph_buffers(small_decoder(90), request);
  EXPECT_GT(few.host.value, 0u);
  EXPECT_EQ(few.host, many.host);
}

TEST(ComputeMemo, AnswersAsIfAskedAnew) {
  ComputeRequest request = small_request();
  hwdb::ModelShape shape = small_decoder(12);
  shape.sliding_window = 512;
  shape.global_layers = {2, 5, 8, 11};
  ComputeMemo memo(shape);
  ComputePlacement half;
  half.n_gpus = 1;
  half.output_on_gpu = true;
  for (const bool flash_attn : {true, false}) {
    request.flash_attn = flash_attn;
    for (std::uint32_t first = 0; first < 12; first += 3) {
      half.first_gpu_layer = first;
      half.layers_on_gpu[0] = 12 - first;
      // Up and down, with a number of cells in between that is no multiple of anything.
      for (const std::uint64_t cells : {512u, 262144u, 4096u, 4097u, 8192u, 131072u, 65536u}) {
        request.cells = cells;
        request.window_cells = std::min<std::uint64_t>(cells, 1024);
        const GraphBuffers known = memo.find(request, half);
        const GraphBuffers anew = graph_buffers(shape, request, half);
        EXPECT_EQ(known.host, anew.host) << cells;
        EXPECT_EQ(known.gpu[0], anew.gpu[0]) << cells << " from " << first;
      }
    }
  }
}

TEST(ComputeGraph, ScoresGrowWithTheContextOnlyWithoutFlashAttention) {
  ComputeRequest request = small_request();
  const hwdb::ModelShape shape = small_decoder(8);
  const auto growth = [&] {
    request.cells = 8192;
    const std::uint64_t near = graph_buffers(shape, request).host.value;
    request.cells = 16384;
    return graph_buffers(shape, request).host.value - near;
  };
  const std::uint64_t mask = 8192 * 512 * 2;  // half precision
  EXPECT_LE(growth(), mask);
  request.flash_attn = false;
  EXPECT_GE(growth(), 2 * mask + 8192 * 512 * 4 * 4);  // single-precision mask and four heads
}

TEST(ComputeGraph, FewerOutputsSaveTheirLogits) {
  ComputeRequest request = small_request();
  hwdb::ModelShape shape = small_decoder(8);
  shape.n_vocab = 100000;
  const std::uint64_t all = graph_buffers(shape, request).host.value;
  request.n_outputs = 1;
  EXPECT_GT(all, graph_buffers(shape, request).host.value + 400u * 100000 * 4);
}

TEST(ComputeGraph, AbsurdSettingsNeitherCrashNorWrap) {
  ComputeRequest request = small_request();
  const std::uint64_t usual = graph_buffers(small_decoder(4), request).host.value;
  request.n_tokens = request.n_outputs = 0xffffffffu;
  request.cells = std::uint64_t{1} << 62;
  EXPECT_GT(graph_buffers(small_decoder(4), request).host.value, usual);
  request.flash_attn = false;
  EXPECT_GT(graph_buffers(small_decoder(4), request).host.value, usual);
  request.n_seq = 0;
  request.n_tokens = request.n_outputs = 0;
  request.cells = 0;
  EXPECT_LE(graph_buffers(hwdb::ModelShape{}, request).host.value, usual);
}

}  // namespace
}  // namespace planner
