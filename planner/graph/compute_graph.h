// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "hwdb/model.h"
#include "hwdb/op_counts.h"
#include "hwdb/quant_format.h"
#include "hwdb/units.h"
#include "planner/graph/graph_allocator.h"

namespace planner {

// What a GPU run puts where, read from llama.cpp's scheduler and checked against it (see
// tests/fixtures/README.md):
// * Inputs (token ids, positions, cache places, masks, output ids), the looked-up embedding rows
// and
//   a reserve for ready-made embeddings are in the host's buffer, pinned when there is a GPU; each
//   GPU that needs one has its own copy.
// * -ngl N puts the output and the last N - 1 blocks on GPUs; --n-cpu-moe N keeps the expert
//   matrices of the first N blocks on the host; a block's cache follows it unless -nkvo is given.
// * A prompt of 32 tokens or more still computes the host's blocks on the first GPU: each weight
//   matrix is copied there for its one product, so that the compute buffer must hold the largest
//   one (with experts: all experts of one matrix), and the block's cache is copied for flash
//   attention.
// * Several GPUs with the whole model on them form a pipeline: every input four times per device.
// * CUDA chooses and sums up experts in fused kernels, for which it keeps their inputs longer.
// * Flash attention on CUDA unpacks a quantized cache to half precision beside its result. Builds
// of
//   2025 did so in CUDA's own pool: there the buffer is smaller and the card as full.
// The driver's context and CUDA's pool and cuBLAS workspaces are no compute buffers.

/// How one micro-batch is run, as far as scratch memory depends on it. The cells are those of the
/// cache as allocated (hwdb::LayerCache), per sequence or of the pool when unified.
struct ComputeRequest {
  std::uint32_t n_tokens = 512;   // micro-batch, not above the context
  std::uint32_t n_outputs = 512;  // with logits; llama-cli and llama-bench reserve for all tokens,
                                  // llama-server for n_parallel (and drafts)
  std::uint32_t n_seq = 1;
  bool unified = false;  // one pool of cells for all sequences
  std::uint64_t cells = 4096;
  std::uint64_t window_cells = 0;  // of sliding or chunked layers; 0: none
  bool flash_attn = true;
  hwdb::TensorType type_k{}, type_v{};
};

/// Which layer runs where. llama.cpp counts `-ngl N` from the end: the output first, then the last
/// N - 1 blocks; the embedding always stays on the host.
struct ComputePlacement {
  std::uint32_t n_gpus = 0;
  std::uint32_t first_gpu_layer = 0;  // this block and those behind it are on GPUs
  std::array<std::uint32_t, kMaxGraphDevices> layers_on_gpu{};  // blocks of each, in order
  bool output_on_gpu = false;
  std::uint32_t n_cpu_moe = 0;    // first blocks whose expert matrices stay on the host
  bool cache_on_host = false;     // -nkvo
  bool offload_large_ops = true;  // -nopo turns it off: see ScheduleOptions
  std::uint32_t n_copies = 1;     // 4 under pipeline parallelism
  bool fuses = true;              // CUDA and ROCm: fused kernels keep some results longer
  hwdb::LargestMatrices largest;  // of those on the host, which a GPU borrows
};

/// Compute buffers, in llama.cpp's words: of each GPU, and of the host (pinned when there is a
/// GPU).
struct GraphBuffers {
  std::array<hwdb::Bytes, kMaxGraphDevices> gpu;
  hwdb::Bytes host;
};

/// A model's graphs with their memory lives worked out: ready for any number of cells.
struct ComputePlan {
  AllocationScript prompt;      // a whole micro-batch
  AllocationScript generation;  // one token per sequence; empty where it cannot need more
  std::uint32_t n_gpus = 0;
};

class BlockKinds;

/// Works out the graphs. Takes microseconds to a fraction of a millisecond; the plan serves while
/// only `cells`, a `window_cells` that is not 0 and `largest` change.
ComputePlan plan_compute(const hwdb::ModelShape& shape, const BlockKinds& kinds,
                         const ComputeRequest& request, const ComputePlacement& placement);

/// The buffers of one setting as lines over the cells, of the prompt's graph or of the one-token
/// graph; GPUs first, the host behind them. Allocates nothing.
BufferLines prompt_lines(const ComputePlan& plan, const ComputeRequest& request,
                         const hwdb::LargestMatrices& largest);
BufferLines generation_lines(const ComputePlan& plan, const ComputeRequest& request,
                             const hwdb::LargestMatrices& largest);

/// Everything at once, for one question. For many see ComputeMemo.
GraphBuffers graph_buffers(const hwdb::ModelShape& shape, const ComputeRequest& request,
                           const ComputePlacement& placement = {});

}  // namespace planner
