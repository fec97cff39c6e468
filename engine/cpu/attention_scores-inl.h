// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/cache_rows-inl.h"
#include "engine/cpu/vector_math-inl.h"

/// Scores of a tile of keys: scratch.scores[column][key] = query . key.
namespace engine::cpu {
namespace {

/// A number that is known while compiling.
template <int N>
struct Count {
  static constexpr int value = N;
};

/// Calls body(Count<n>{}), 1 <= n <= Max.
template <int Max, class Body>
void with_count(std::uint32_t n, const Body& body) {
  if constexpr (Max > 1) {
    if (n < static_cast<std::uint32_t>(Max)) return with_count<Max - 1>(n, body);
  }
  body(Count<Max>{});
}

/// Keys or values of a tile: rows in the cache, one after the other.
struct TileRows {
  const std::byte* first = nullptr;
  std::size_t row_bytes = 0;
  std::uint32_t n = 0;
  std::uint32_t position = 0;  // of the first
};

/// How many of the tile's rows, from the first on, do not lie behind the column's own token.
inline std::uint32_t rows_until(const AttentionTask& task, const TileRows& rows,
                                std::uint32_t column) {
  const std::uint32_t own = task.first_position + column / task.n_group;
  if (own < rows.position) return 0;
  return own - rows.position < rows.n ? own - rows.position + 1 : rows.n;
}

/// The same for a block of columns, of which the last sees most; `count` may pass their end.
inline std::uint32_t rows_until_last(const AttentionTask& task, const TileRows& rows,
                                     std::uint32_t first_column, std::uint32_t count) {
  std::uint32_t last = first_column + count;
  if (last > task.n_tokens * task.n_group) last = task.n_tokens * task.n_group;
  return rows_until(task, rows, last - 1);
}

/// How many keys score_rows takes side by side: a power of two, so that it divides a tile.
constexpr int keys_beside(int sums, int columns) {
  int keys = 1;
  while (2 * keys * columns <= sums) keys *= 2;
  return keys;
}

/// A width in whole vectors: behind the last element rows of scratch memory hold zeros.
template <class S>
std::uint32_t whole_vectors(std::uint32_t n) {
  return (n + S::kWidth - 1) / S::kWidth * S::kWidth;
}

/// Floats along the head, several keys side by side so that each query is loaded once for all of
/// them. One order of sums for any number of columns and keys. kAhead: asks for the next tile.
template <class S, CacheType T, int C, bool kAhead>
void score_rows(const AttentionTask& task, const TileRows& keys, std::uint32_t first_column) {
  using F = typename S::F;
  constexpr int kKeys = keys_beside(S::kRowSums, C);
  constexpr int kSums = (kKeys * C + S::kWidth - 1) / S::kWidth * S::kWidth;
  const AttentionScratch& scratch = *task.scratch;
  const float* queries = scratch.queries + first_column * scratch.query_stride;
  float* scores = scratch.scores + std::size_t{first_column} * kTileKeys;
  const std::uint32_t width = whole_vectors<S>(task.head_dim_k);
  for (std::uint32_t key = 0; key < keys.n; key += kKeys) {
    const std::byte* rows[kKeys];
    for (int k = 0; k < kKeys; ++k) {  // behind the last key: the last again
      const std::uint32_t at = key + static_cast<std::uint32_t>(k);
      rows[k] = keys.first + (at < keys.n ? at : keys.n - 1) * keys.row_bytes;
      if constexpr (kAhead) prefetch(rows[k] + kTileKeys * keys.row_bytes, keys.row_bytes);
    }
    F sums[kSums];
    TOKWATT_UNROLL
    for (int i = 0; i < kSums; ++i) sums[i] = S::zero();
    for (std::uint32_t i = 0; i < width; i += S::kWidth) {
      F cells[kKeys];
      TOKWATT_UNROLL
      for (int k = 0; k < kKeys; ++k) cells[k] = load_cells<S, T>(rows[k], i);
      TOKWATT_UNROLL
      for (int c = 0; c < C; ++c) {
        const F query = S::load(queries + c * scratch.query_stride + i);
        TOKWATT_UNROLL
        for (int k = 0; k < kKeys; ++k) {
          sums[c * kKeys + k] = S::fma(query, cells[k], sums[c * kKeys + k]);
        }
      }
    }
    alignas(64) float done[kSums];
    TOKWATT_UNROLL
    for (int i = 0; i < kSums; i += S::kWidth) S::store(done + i, S::sum_each(sums + i));
    // kKeys divides the tile, so this stays in the column's row.
    for (int c = 0; c < C; ++c) {
      for (int k = 0; k < kKeys; ++k) {
        scores[c * kTileKeys + key + static_cast<unsigned>(k)] = done[c * kKeys + k];
      }
    }
  }
}

/// Lays words of 32 bits of `rows` (n rows of `words` words, `stride` words apart) as
/// to[word][row], kTileKeys rows wide; rounds rows and words up to whole vectors.
template <class S>
void transpose_words(const float* rows, std::size_t stride, std::uint32_t n, std::uint32_t words,
                     float* to) {
  constexpr std::uint32_t kWidth = S::kWidth;
  for (std::uint32_t row = 0; row < n; row += kWidth) {
    for (std::uint32_t word = 0; word < words; word += kWidth) {
      typename S::F square[kWidth];
      TOKWATT_UNROLL
      for (std::uint32_t i = 0; i < kWidth; ++i)
        square[i] = S::load(rows + (row + i) * stride + word);
      S::transpose(square);
      TOKWATT_UNROLL
      for (std::uint32_t i = 0; i < kWidth; ++i)
        S::store(to + (word + i) * kTileKeys + row, square[i]);
    }
  }
}

/// Decodes keys of floats into rows of scratch memory.
template <class S, CacheType T>
TileRows decode_float_keys(const AttentionTask& task, const TileRows& keys) {
  const AttentionScratch& scratch = *task.scratch;
  const std::uint32_t n = task.head_dim_k, width = whole_vectors<S>(n);
  for (std::uint32_t key = 0; key < keys.n; ++key) {
    float* row = scratch.rows + key * scratch.query_stride;
    decode_row<S, T>(keys.first + key * keys.row_bytes, n, row);
    for (std::uint32_t i = n; i < width; ++i) row[i] = 0;
  }
  return {reinterpret_cast<const std::byte*>(scratch.rows), scratch.query_stride * sizeof(float),
          keys.n, keys.position};
}

/// The scales of the blocks of a tile's rows: to[block][key].
template <class S>
void gather_scales(const TileRows& rows, std::size_t block_bytes, std::uint32_t n_blocks,
                   float* to) {
  for (std::uint32_t key = 0; key < rows.n; key += S::kWidth) {
    const std::byte* row = rows.first + key * rows.row_bytes;
    for (std::uint32_t block = 0; block < n_blocks; ++block) {
      S::store(to + block * kTileKeys + key,
               S::gather_halves(row + block * block_bytes, rows.row_bytes, rows.n - key));
    }
  }
}

/// Lays keys of blocks as int8, four of a key in each word: scratch.keys[element / 4][key].
template <class S, class D, CacheType T>
void pack_int8_keys(const AttentionTask& task, const TileRows& keys) {
  const AttentionScratch& scratch = *task.scratch;
  const std::uint32_t n_blocks = task.head_dim_k / kBlock;
  constexpr std::size_t kBlockBytes = bytes_of(T, kBlock);
  const std::size_t stride = scratch.query_stride;  // bytes here
  auto* rows = reinterpret_cast<std::byte*>(scratch.rows);
  for (std::uint32_t key = 0; key < keys.n; ++key) {
    const std::byte* from = keys.first + key * keys.row_bytes + 2;
    std::byte* to = rows + key * stride;
    prefetch(from + kTileKeys * keys.row_bytes, keys.row_bytes);
    for (std::uint32_t block = 0; block < n_blocks; ++block) {
      if constexpr (T == CacheType::q8_0) {
        S::copy_int8(from + block * kBlockBytes, D::kUnsignedKeys, to + block * kBlock);
      } else {
        S::split_nibbles(from + block * kBlockBytes, D::kUnsignedKeys, to + block * kBlock);
      }
    }
  }
  transpose_words<S>(scratch.rows, stride / 4, keys.n, task.head_dim_k / 4, scratch.keys);
  gather_scales<S>(keys, kBlockBytes, n_blocks, scratch.key_scales);
}

/// C columns times kVectors vectors of keys from `first_key` on, over packed int8: whole sums
/// within a block, floats over blocks.
template <class S, class D, int C, int kVectors>
void score_int8_block(const AttentionTask& task, std::uint32_t first_column,
                      std::uint32_t first_key) {
  using F = typename S::F;
  using Sum = typename D::Sum;
  const AttentionScratch& scratch = *task.scratch;
  const std::uint32_t n_blocks = task.head_dim_k / kBlock;
  const std::byte* queries = scratch.query_quants + first_column * scratch.query_stride;
  const float* query_scales = scratch.query_scales + first_column * n_blocks;
  const std::int32_t* offsets = scratch.query_offsets + first_column * n_blocks;
  const auto* keys = reinterpret_cast<const std::byte*>(scratch.keys + first_key);
  const float* key_scales = scratch.key_scales + first_key;
  F sums[C][kVectors];
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    TOKWATT_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[c][v] = S::zero();
  }
  for (std::uint32_t block = 0; block < n_blocks; ++block) {
    Sum whole[C][kVectors];
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      const Sum start = D::set(D::kUnsignedKeys ? offsets[c * n_blocks + block] : 0);
      TOKWATT_UNROLL
      for (int v = 0; v < kVectors; ++v) whole[c][v] = start;
    }
    for (std::uint32_t i = 0; i < kBlock; i += 4, keys += 4 * kTileKeys) {
      typename D::Keys cells[kVectors];
      TOKWATT_UNROLL
      for (int v = 0; v < kVectors; ++v) cells[v] = D::load_keys(keys + v * 4 * S::kWidth);
      TOKWATT_UNROLL
      for (int c = 0; c < C; ++c) {
        const typename D::Query query =
            D::load_query(queries + c * scratch.query_stride + block * kBlock + i);
        TOKWATT_UNROLL
        for (int v = 0; v < kVectors; ++v) whole[c][v] = D::dot(whole[c][v], cells[v], query);
      }
    }
    TOKWATT_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const F key_scale = S::load(key_scales + block * kTileKeys + v * S::kWidth);
      TOKWATT_UNROLL
      for (int c = 0; c < C; ++c) {
        const F factor = S::mul(key_scale, S::set(query_scales[c * n_blocks + block]));
        sums[c][v] = S::fma(D::to_floats(whole[c][v]), factor, sums[c][v]);
      }
    }
  }
  float* scores = scratch.scores + std::size_t{first_column} * kTileKeys + first_key;
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    TOKWATT_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      S::store(scores + c * kTileKeys + v * S::kWidth, sums[c][v]);
    }
  }
}

/// Whether the columns are few enough to read the cache directly, without a decoded tile.
inline bool is_few(std::uint32_t n_columns) {
  return n_columns <= 8;
}

/// Brings the queries into the form that scoring wants, with the scale applied.
template <class S, class D>
void prepare_queries(const AttentionTask& task) {
  const AttentionScratch& scratch = *task.scratch;
  const std::uint32_t n = task.head_dim_k;
  for (std::uint32_t token = 0, column = 0; token < task.n_tokens; ++token) {
    for (std::uint32_t head = 0; head < task.n_group; ++head, ++column) {
      const float* from = task.q + token * task.q_stride + head * n;
      float* to = scratch.queries + column * scratch.query_stride;
      std::uint32_t i = 0;
      for (; i + S::kWidth <= n; i += S::kWidth) {
        S::store(to + i, S::mul(S::load(from + i), S::set(task.scale)));
      }
      for (; i < n; ++i) to[i] = from[i] * task.scale;
      for (; i < whole_vectors<S>(n); ++i) to[i] = 0;
      if (!is_int8(task.type_k)) continue;
      std::byte* quants = scratch.query_quants + column * scratch.query_stride;
      for (std::uint32_t block = 0; block < n / kBlock; ++block) {
        const std::size_t at = std::size_t{column} * (n / kBlock) + block;
        std::byte* block_quants = quants + block * kBlock;
        scratch.query_scales[at] = quantize_block<S>(to + block * kBlock, block_quants);
        std::int32_t sum = 0;
        for (std::uint32_t k = 0; k < kBlock; ++k) {
          sum += static_cast<std::int8_t>(block_quants[k]);
        }
        scratch.query_offsets[at] = -128 * sum;
      }
    }
  }
}

template <class S, CacheType T, bool kAhead>
void score_all_rows(const AttentionTask& task, TileRows keys, std::uint32_t n_columns) {
  const std::uint32_t n = keys.n;
  for (std::uint32_t c = 0; c < n_columns; c += S::kFewColumns) {
    keys.n = kAhead ? n : rows_until_last(task, keys, c, S::kFewColumns);
    with_count<S::kFewColumns>(n_columns - c, [&](auto count) {
      score_rows<S, T, decltype(count)::value, kAhead>(task, keys, c);
    });
    keys.n = n;
  }
}

template <class S, CacheType T>
void score_float_keys(const AttentionTask& task, const TileRows& keys, std::uint32_t n_columns) {
  if (is_few(n_columns) && task.head_dim_k % S::kWidth == 0) {
    return score_all_rows<S, T, true>(task, keys, n_columns);
  }
  score_all_rows<S, CacheType::f32, false>(task, decode_float_keys<S, T>(task, keys), n_columns);
}

template <class S, class D, CacheType T>
void score_int8_keys(const AttentionTask& task, const TileRows& keys, std::uint32_t n_columns) {
  pack_int8_keys<S, D, T>(task, keys);
  for (std::uint32_t c = 0; c < n_columns; c += D::kColumns) {
    const std::uint32_t n = rows_until_last(task, keys, c, D::kColumns);
    with_count<D::kColumns>(n_columns - c, [&](auto count) {
      for (std::uint32_t key = 0; key < n; key += D::kVectors * S::kWidth) {
        score_int8_block<S, D, decltype(count)::value, D::kVectors>(task, c, key);
      }
    });
  }
}

template <class S, class D>
void score_keys(const AttentionTask& task, const TileRows& keys, std::uint32_t n_columns) {
  switch (task.type_k) {
    case CacheType::f32:
      return score_float_keys<S, CacheType::f32>(task, keys, n_columns);
    case CacheType::f16:
      return score_float_keys<S, CacheType::f16>(task, keys, n_columns);
    case CacheType::bf16:
      return score_float_keys<S, CacheType::bf16>(task, keys, n_columns);
    case CacheType::q8_0:
      return score_int8_keys<S, D, CacheType::q8_0>(task, keys, n_columns);
    case CacheType::q4_0:
      return score_int8_keys<S, D, CacheType::q4_0>(task, keys, n_columns);
  }
}

}  // namespace
}  // namespace engine::cpu
