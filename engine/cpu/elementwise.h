// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/activation_kind.h"
#include "engine/runtime/thread_pool.h"

/// What happens to rows of floats between products. Rows are `width` floats, one after the other
/// unless a stride is given; `to` may be `from` where both are given.
namespace engine::cpu {

/// to = x / sqrt(mean(x^2) + eps) * weight, row by row; weight null: 1. `stride` floats from row to
/// row (of both), width <= stride.
void rms_norm(ThreadPool& pool, const float* from, std::size_t n_rows, std::size_t width,
              std::size_t stride, const float* weight, float eps, float* to);
/// to = (x - mean) / sqrt(variance + eps) * weight + bias; weight and bias may be null.
void layer_norm(ThreadPool& pool, const float* from, std::size_t n_rows, std::size_t width,
                std::size_t stride, const float* weight, const float* bias, float eps, float* to);

/// to += from.
void add(ThreadPool& pool, const float* from, std::size_t n, float* to);
/// to = from * factor.
void scale(ThreadPool& pool, const float* from, std::size_t n, float factor, float* to);
/// to = cap * tanh(from / cap).
void softcap(ThreadPool& pool, const float* from, std::size_t n, float cap, float* to);

/// to = activation(gate) * up, row by row; `up` null: activation(gate) alone. Rows of gate and up
/// are `in_stride` floats apart, those of `to` are `width` apart.
void activate(ThreadPool& pool, Activation activation, const float* gate, const float* up,
              std::size_t n_rows, std::size_t width, std::size_t in_stride, float* to);

/// Rotary embedding: which pairs turn together, and by which angle a position turns each.
struct Rope {
  enum class Pairs { adjacent, halves };  // (0,1),(2,3).. or (0,n/2),(1,n/2+1)..
  Pairs pairs = Pairs::adjacent;
  std::uint32_t n_rotated = 0;         // elements of a head that turn, from the first; even
  std::span<const float> frequencies;  // n_rotated / 2 angles a position, in radians
  float magnitude = 1;                 // sine and cosine are multiplied by it (YaRN)
};
/// Sines and cosines of a pass, made once and used by all its layers and heads.
class RopeTable {
 public:
  /// Fills the table for these positions; memory is kept for the next pass.
  void set(ThreadPool& pool, const Rope& rope, std::span<const std::uint32_t> positions);

 private:
  friend void rotate(ThreadPool&, const RopeTable&, std::uint32_t, std::uint32_t, std::size_t,
                     float*);
  Rope::Pairs pairs_ = Rope::Pairs::adjacent;
  std::size_t n_rows_ = 0, n_pairs_ = 0;
  std::vector<float> cosines_, sines_;  // n_rows_ x n_pairs_
};
/// Turns `n_heads` heads of each row by the row's position, for which the table was set. Head h of
/// row r is at x + r * stride + h * head_dim.
void rotate(ThreadPool& pool, const RopeTable& table, std::uint32_t n_heads, std::uint32_t head_dim,
            std::size_t stride, float* x);

/// to[i] = softmax(from)[i]; one row.
void softmax(const float* from, std::size_t n, float* to);

}  // namespace engine::cpu
