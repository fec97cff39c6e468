// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/runtime/thread_pool.h"
#include "hwdb/quant_format.h"

namespace engine::cpu {

/// The keys and values of one layer. A cell holds one token of one sequence; head h of cell c of
/// sequence s begins at base + ((s * n_kv_heads + h) * n_cells + c) * row bytes of the type. The
/// token at position p lies in cell p % n_cells.
struct LayerKv {
  hwdb::TensorType type_k{}, type_v{};  // F32, F16, BF16, Q8_0 or Q4_0
  std::byte* k = nullptr;
  std::byte* v = nullptr;  // null: values are the first head_dim_v elements of each key (MLA)
  std::uint32_t n_kv_heads = 0, head_dim_k = 0, head_dim_v = 0;
  std::uint32_t n_cells = 0;  // of one sequence
};

/// One token of a pass: which sequence it belongs to and where it stands in it.
struct TokenPlace {
  std::uint32_t sequence = 0;
  std::uint32_t position = 0;
};

/// Whether a cache of that type can be read, for heads of that width (blocks must divide it).
bool can_cache(hwdb::TensorType type, std::uint32_t head_dim);

/// Writes keys and values (token, kv head, dim) of the pass into their cells.
void store_kv(ThreadPool& pool, const LayerKv& kv, std::span<const TokenPlace> tokens,
              const float* k, const float* v);

struct Attention {
  LayerKv kv;
  std::uint32_t n_heads = 0;
  float scale = 0;               // of the scores
  float softcap = 0;             // scores become softcap * tanh(score / softcap); 0: not
  std::uint32_t window = 0;      // positions seen, the own included; 0: all before
  std::uint32_t chunk = 0;       // only positions of the own chunk of this many; 0: not
  const float* sinks = nullptr;  // one score a head that joins the softmax without a value; or null
};

/// out (token, head, head_dim_v) = softmax(scale * q . k) v over the cached positions that each
/// token sees: its own and those before it, within its window. Their keys must be stored. q is
/// (token, head, head_dim_k). The key range comes from positions; no mask is made or read.
void attend(ThreadPool& pool, const Attention& attention, std::span<const TokenPlace> tokens,
            const float* q, float* out);

/// Bytes of keys and values that attend() has read since the last call, for holding op counts
/// against.
std::uint64_t take_cache_bytes_read();

}  // namespace engine::cpu
