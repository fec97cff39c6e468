// SPDX-License-Identifier: MIT
#include "planner/compute_buffer.h"

#include <algorithm>

namespace planner {
namespace {

constexpr double kF32 = 4, kF16 = 2;

std::uint32_t widest(const hwdb::PerLayer& values) {
  return values.values.empty() ? 0 : *std::ranges::max_element(values.values);
}

}  // namespace

ComputeBuffers compute_buffers(const hwdb::ModelShape& shape, const RunSettings& settings,
                               std::uint64_t cells) {
  const double n_cells = static_cast<double>(cells);
  const double tokens =
      std::min<double>({static_cast<double>(settings.n_ubatch),
                        static_cast<double>(settings.n_batch), std::max(1.0, n_cells)});
  const double n_heads = widest(shape.n_heads), n_kv_heads = widest(shape.n_kv_heads);
  const double embd = tokens * shape.n_embd * kF32;
  double q = tokens * n_heads * shape.head_dim_k * kF32;
  double kv = tokens * n_kv_heads * (shape.head_dim_k + shape.head_dim_v) * kF32;
  if (shape.mla) {
    // The query is multiplied into the latent space, and the result comes back from it.
    const double latent = shape.mla->kv_lora_rank;
    q += tokens * n_heads * (2 * latent + shape.mla->qk_rope_dim) * kF32;
    kv = tokens * (latent + shape.mla->qk_rope_dim) * kF32;
  }
  // Residual, normed input and output, queries before and after rotation, keys and values. Without
  // flash attention also the scores of all heads; then the mask is 32 bit.
  double attention = 3 * embd + 2 * q + kv;
  if (settings.flash_attn) {
    attention += n_cells * tokens * kF16;
  } else {
    attention += n_cells * tokens * kF32 * (n_heads + 1);
  }
  const double dense = 2 * embd + 2 * tokens * widest(shape.n_ff) * kF32;
  const double experts =
      2 * embd +
      tokens * kF32 *
          (shape.n_experts + shape.n_experts_used * (2.0 * shape.n_ff_expert + shape.n_embd));
  const double recurrent = shape.ssm ? 2 * embd + 4 * tokens * shape.ssm->d_inner * kF32 : 0;

  ComputeBuffers buffers;
  buffers.blocks = std::max({attention, dense, experts, recurrent});
  buffers.output = tokens * static_cast<double>(shape.n_vocab) * kF32 + 2 * embd;
  buffers.inputs = embd + n_cells * tokens * kF32;
  return buffers;
}

double output_buffer_bytes(const hwdb::ModelShape& shape, const RunSettings& settings) {
  return std::max(1u, settings.n_seq) * static_cast<double>(shape.n_vocab) * kF32;
}

}  // namespace planner
