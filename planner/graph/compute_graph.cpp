// SPDX-License-Identifier: MIT
#include "planner/graph/compute_graph.h"

#include <algorithm>

#include "planner/graph/compute_memo.h"
#include "planner/graph/decoder_graph.h"
#include "planner/graph/graph_schedule.h"

namespace planner {
namespace {

constexpr std::uint32_t kHostAlignment = 32, kGpuAlignment = 128;

ExtentValues values_for(const ComputeRequest& request, const hwdb::LargestMatrices& largest,
                        bool prompt) {
  const std::uint64_t sequences = std::max<std::uint32_t>(request.n_seq, 1);
  const std::uint64_t streams = request.unified ? 1 : sequences;
  std::uint64_t tokens = prompt ? std::max<std::uint64_t>(request.n_tokens, 1) : sequences;
  tokens = (tokens + sequences - 1) / sequences * sequences;
  const std::uint64_t outputs =
      prompt ? std::clamp<std::uint64_t>(request.n_outputs, 1, std::max(tokens, sequences))
             : sequences;
  ExtentValues values{};
  const auto set = [&](Extent e, std::uint64_t v) { values[static_cast<std::size_t>(e)] = v; };
  set(Extent::one, 1);
  set(Extent::tokens, tokens);
  set(Extent::outputs, outputs);
  set(Extent::stream_tokens, tokens / streams);
  set(Extent::streams, streams);
  set(Extent::cells, request.cells);
  set(Extent::window_cells, request.window_cells);
  set(Extent::sequences, sequences);
  set(Extent::block_matrix, largest.block);
  set(Extent::expert_matrix, largest.expert);
  set(Extent::output_matrix, largest.output);
  return values;
}

BufferLines lines_of(const ComputePlan& plan, const ComputeRequest& request,
                     const hwdb::LargestMatrices& largest, bool prompt) {
  std::array<std::uint32_t, kMaxGraphDevices> alignment;
  alignment.fill(kGpuAlignment);
  alignment[plan.n_gpus] = kHostAlignment;
  return replay(prompt ? plan.prompt : plan.generation, values_for(request, largest, prompt),
                alignment);
}

}  // namespace

ComputePlan plan_compute(const hwdb::ModelShape& shape, const BlockKinds& kinds,
                         const ComputeRequest& request, const ComputePlacement& placement) {
  ComputePlan plan;
  plan.n_gpus = std::min<std::uint32_t>(placement.n_gpus, kMaxGraphDevices - 1);
  ScheduleOptions options;
  options.n_gpus = static_cast<int>(plan.n_gpus);
  options.n_copies = static_cast<int>(placement.n_copies);
  options.keeps = placement.fuses;
  if (!placement.offload_large_ops) options.offload_from_rows = 0;
  const auto script_of = [&](bool prompt) {
    const ExtentValues values = values_for(request, placement.largest, prompt);
    const auto tokens =
        static_cast<std::uint32_t>(values[static_cast<std::size_t>(Extent::tokens)]);
    return schedule(decoder_graph(shape, kinds, request, placement, tokens), options, values);
  };
  plan.prompt = script_of(true);
  // One token a sequence needs less of the same, unless work on host weights then stays there.
  const bool host_blocks = placement.first_gpu_layer > 0 || !placement.output_on_gpu ||
                           placement.n_cpu_moe > 0 || placement.cache_on_host;
  if (plan.n_gpus > 0 && host_blocks) plan.generation = script_of(false);
  return plan;
}

BufferLines prompt_lines(const ComputePlan& plan, const ComputeRequest& request,
                         const hwdb::LargestMatrices& largest) {
  return lines_of(plan, request, largest, true);
}

BufferLines generation_lines(const ComputePlan& plan, const ComputeRequest& request,
                             const hwdb::LargestMatrices& largest) {
  return lines_of(plan, request, largest, false);
}

GraphBuffers graph_buffers(const hwdb::ModelShape& shape, const ComputeRequest& request,
                           const ComputePlacement& placement) {
  return ComputeMemo(shape).find(request, placement);
}

}  // namespace planner
