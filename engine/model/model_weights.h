// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/cpu/mat_mul.h"
#include "hwdb/quant_format.h"
#include "hwdb/result.h"

namespace engine {

/// A weight matrix, or a stack of them, with its bias.
struct Matrix {
  cpu::Weights weights;
  const float* bias = nullptr;   // n_rows floats a matrix; null: none
  std::uint64_t file_bytes = 0;  // of the tensor (or its part), all matrices of a stack

  explicit operator bool() const { return weights.data != nullptr; }
  const float* bias_of(std::uint32_t matrix) const {
    return bias == nullptr ? nullptr : bias + std::size_t{matrix} * weights.n_rows;
  }
};

/// A norm's scale and shift; no scale: there is no such norm.
struct Norm {
  const float* weight = nullptr;
  const float* bias = nullptr;
  explicit operator bool() const { return weight != nullptr; }
};

/// The tensors of one layer; what the layer does not have is empty. Matrices that a file holds in
/// one piece (Q, K and V; gate and up) are parts of it here.
struct LayerWeights {
  Norm before_attention, after_attention, before_ffn, after_ffn;

  Matrix q, k, v, attn_output;
  Norm q_norm, k_norm;
  bool qk_norm_over_all_heads = false;  // else head by head
  const float* sinks = nullptr;         // a score a head

  // Latent attention: q_a (with its norm) and q_b in place of q; kv_a gives latent and rotary key.
  Matrix q_a, q_b, kv_a;
  Norm q_a_norm, kv_a_norm;
  Matrix k_b, v_b;  // a matrix a head: what makes latent queries, and values of latents
  Matrix kv_b;      // files of before April 2025: keys and values of all heads in one piece

  Matrix gate, up, down;

  Matrix router;
  const float* router_selection_bias = nullptr;  // added for choosing only
  Matrix expert_gate, expert_up, expert_down;
  Matrix shared_gate, shared_up, shared_down;
  Matrix shared_router;  // one row: the shared expert's own gate

  bool has_experts() const { return static_cast<bool>(router); }
};

/// A table that single rows are taken from, as it lies in a file.
class RowTable {
 public:
  virtual ~RowTable() = default;
  /// Row `index` as floats, `width` of them. Errors: file.*.
  virtual hwdb::Status read(std::uint64_t index, float* to) const = 0;
  std::uint64_t n_rows = 0;
  std::uint32_t width = 0;
  std::uint64_t row_bytes = 0;
};

/// All weights of a model, and the memory that holds them.
struct ModelWeights {
  std::unique_ptr<RowTable> token_embedding, position_embedding;  // the latter may be null
  std::vector<LayerWeights> layers;
  Norm output_norm;
  Matrix output;

  struct Memory;
  std::shared_ptr<Memory> memory;
  /// Bytes of memory of our own, without mapped files.
  std::uint64_t own_bytes = 0;
  /// True once a mapped file was cut under us.
  bool lost() const;
};

}  // namespace engine
