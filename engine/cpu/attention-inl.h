// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/attention_scores-inl.h"

/// The whole of attention for one set of instructions: S are its vectors (vectors_<isa>-inl.h), D
/// its products of int8. Keys go by in tiles of kTileKeys: scores, softmax so far, values.
namespace engine::cpu {
namespace {

inline constexpr float kNoScore = -__builtin_inff();

/// The first position that a token at `position` sees.
inline std::uint32_t first_seen(const AttentionTask& task, std::uint32_t position) {
  std::uint32_t first = 0;
  if (task.window != 0 && position >= task.window) first = position - task.window + 1;
  if (task.chunk != 0) {
    const std::uint32_t start = position - position % task.chunk;
    if (start > first) first = start;
  }
  return first;
}

/// Turns the scores of one column (n keys, of which [low, high) are seen) into weights, and brings
/// its sums to the new greatest score.
template <class S>
void weigh_column(const AttentionTask& task, std::uint32_t column, std::uint32_t low,
                  std::uint32_t high, std::uint32_t n) {
  using F = typename S::F;
  float* scores = task.scratch->scores + std::size_t{column} * kTileKeys;
  if (low >= high) {
    for (std::uint32_t i = 0; i < n; i += S::kWidth) S::store(scores + i, S::zero());
    return;
  }
  const F no_score = S::set(kNoScore);
  const F first = S::set(static_cast<float>(low)), behind = S::set(static_cast<float>(high));
  F most = no_score;
  for (std::uint32_t i = 0; i < n; i += S::kWidth) {
    const F lane = S::add(S::iota(), S::set(static_cast<float>(i)));
    F x = S::load(scores + i);
    if (task.softcap != 0) {
      const F cap = S::set(task.softcap);
      x = S::mul(cap, tanh_of<S>(S::div(x, cap)));
    }
    x = S::if_less(lane, first, no_score, S::if_less(lane, behind, x, no_score));
    S::store(scores + i, x);
    most = S::max(most, x);
  }
  const float before = task.greatest[column], tile = S::greatest(most);
  const float greatest = tile > before ? tile : before;
  F sum = S::zero();
  for (std::uint32_t i = 0; i < n; i += S::kWidth) {
    const F weight = exp_of<S>(S::sub(S::load(scores + i), S::set(greatest)));
    S::store(scores + i, weight);
    sum = S::add(sum, weight);
  }
  float total = task.total[column];
  if (greatest > before && total > 0) {
    const F factor = exp_of<S>(S::set(before - greatest));
    alignas(64) float factors[S::kWidth];
    S::store(factors, factor);
    total *= factors[0];
    const std::size_t stride = task.scratch->value_stride;
    float* sums = task.sums + column * stride;
    for (std::size_t i = 0; i < stride; i += S::kWidth) {
      S::store(sums + i, S::mul(S::load(sums + i), factor));
    }
  }
  task.greatest[column] = greatest;
  task.total[column] = total + S::sum(sum);
}

/// Adds weight times value for C columns and kVectors vectors of the values from element i on.
/// kAhead: asks for the next tile's rows, in the order of memory, because the processor's own
/// prefetch follows that only.
template <class S, CacheType T, int C, int kVectors, bool kAhead>
void add_value_block(const AttentionTask& task, const TileRows& rows, std::uint32_t first_column,
                     std::uint32_t i) {
  using F = typename S::F;
  constexpr std::uint32_t kSpan = kVectors * S::kWidth;
  const std::size_t stride = task.scratch->value_stride;
  const float* weights = task.scratch->scores + std::size_t{first_column} * kTileKeys;
  float* to = task.sums + first_column * stride + i;
  F sums[C][kVectors];
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    TOKWATT_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[c][v] = S::load(to + c * stride + v * S::kWidth);
  }
  // Of blocks, the span lies in one: rows from there on, elements within it.
  const std::uint32_t block = i / kBlock, in_block = kSpan == kBlock ? 0 : i % kBlock;
  const std::byte* row = rows.first + (is_int8(T) ? bytes_of(T, block * kBlock) : bytes_of(T, i));
  constexpr std::size_t kAheadStep =
      is_int8(T) ? bytes_of(T, kBlock) * kSpan / kBlock : bytes_of(T, kSpan);
  const std::byte* ahead =
      rows.first + kTileKeys * (rows.row_bytes + std::size_t{i / kSpan} * kAheadStep);
  const float* scales = task.scratch->value_scales + block * kTileKeys;
  for (std::size_t key = 0; key < rows.n; ++key, row += rows.row_bytes) {
    if constexpr (kAhead) prefetch(ahead + key * kAheadStep, kAheadStep);
    F values[kVectors];
    TOKWATT_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const auto at = static_cast<std::uint32_t>(v * S::kWidth);
      values[v] = load_cells<S, T>(row, is_int8(T) ? in_block + at : at);
      if constexpr (is_int8(T)) values[v] = S::mul(values[v], S::set(scales[key]));
    }
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      const F weight = S::set(weights[static_cast<std::size_t>(c) * kTileKeys + key]);
      TOKWATT_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[c][v] = S::fma(weight, values[v], sums[c][v]);
    }
  }
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    TOKWATT_UNROLL
    for (int v = 0; v < kVectors; ++v) S::store(to + c * stride + v * S::kWidth, sums[c][v]);
  }
}

template <class S, CacheType T, int kMaxColumns, int kVectors, bool kAhead>
void add_value_rows(const AttentionTask& task, const TileRows& rows, std::uint32_t n_columns,
                    std::uint32_t n) {
  for (std::uint32_t c = 0; c < n_columns; c += kMaxColumns) {
    TileRows seen = rows;
    seen.n = rows_until_last(task, rows, c, kMaxColumns);
    with_count<kMaxColumns>(n_columns - c, [&](auto count) {
      constexpr int kCount = decltype(count)::value;
      std::uint32_t i = 0;
      for (; i + kVectors * S::kWidth <= n; i += kVectors * S::kWidth) {
        add_value_block<S, T, kCount, kVectors, kAhead>(task, seen, c, i);
      }
      for (; i < n; i += S::kWidth) add_value_block<S, T, kCount, 1, kAhead>(task, seen, c, i);
    });
  }
}

template <class S, CacheType T>
void add_values(const AttentionTask& task, TileRows rows, std::uint32_t n_columns) {
  const AttentionScratch& scratch = *task.scratch;
  const std::uint32_t n = task.head_dim_v;
  if (is_few(n_columns) && n % S::kWidth == 0) {
    if constexpr (is_int8(T)) {
      gather_scales<S>(rows, bytes_of(T, kBlock), n / kBlock, scratch.value_scales);
    }
    return add_value_rows<S, T, S::kFewColumns, 2, true>(task, rows, n_columns, n);
  }
  for (std::uint32_t key = 0; key < rows.n; ++key) {
    float* to = scratch.values + key * scratch.value_stride;
    decode_row<S, T>(rows.first + key * rows.row_bytes, n, to);
  }
  rows.first = reinterpret_cast<const std::byte*>(scratch.values);
  rows.row_bytes = scratch.value_stride * sizeof(float);
  const auto padded = static_cast<std::uint32_t>(scratch.value_stride);
  add_value_rows<S, CacheType::f32, S::kColumns, S::kVectors, false>(task, rows, n_columns, padded);
}

template <class S>
void add_values_of(CacheType type, const AttentionTask& task, const TileRows& rows,
                   std::uint32_t n_columns) {
  switch (type) {
    case CacheType::f32:
      return add_values<S, CacheType::f32>(task, rows, n_columns);
    case CacheType::f16:
      return add_values<S, CacheType::f16>(task, rows, n_columns);
    case CacheType::bf16:
      return add_values<S, CacheType::bf16>(task, rows, n_columns);
    case CacheType::q8_0:
      return add_values<S, CacheType::q8_0>(task, rows, n_columns);
    case CacheType::q4_0:
      return add_values<S, CacheType::q4_0>(task, rows, n_columns);
  }
}

template <class S, class D>
void attend_task(const AttentionTask& task) {
  const std::uint32_t n_columns = task.n_tokens * task.n_group;
  const std::size_t k_bytes = bytes_of(task.type_k, task.head_dim_k);
  const CacheType type_v = task.v != nullptr ? task.type_v : task.type_k;
  const std::byte* v = task.v != nullptr ? task.v : task.k;
  const std::size_t v_bytes = task.v != nullptr ? bytes_of(type_v, task.head_dim_v) : k_bytes;
  prepare_queries<S, D>(task);
  for (std::uint32_t c = 0; c < n_columns; ++c) {
    task.greatest[c] = kNoScore;
    task.total[c] = 0;
  }
  for (std::size_t i = 0; i < n_columns * task.scratch->value_stride; i += S::kWidth) {
    S::store(task.sums + i, S::zero());
  }
  // Keys before task.begin that share its tile are read and not seen.
  for (std::uint32_t position = task.begin - task.begin % kTileKeys; position < task.end;) {
    const std::uint32_t cell = position % task.n_cells;
    std::uint32_t n = kTileKeys - position % kTileKeys;
    if (n > task.end - position) n = task.end - position;
    if (n > task.n_cells - cell) n = task.n_cells - cell;  // the ring begins anew
    const TileRows keys = {task.k + cell * k_bytes, k_bytes, n, position};
    score_keys<S, D>(task, keys, n_columns);
    for (std::uint32_t c = 0; c < n_columns; ++c) {
      const std::uint32_t first = first_seen(task, task.first_position + c / task.n_group);
      const std::uint32_t low = first > position ? first - position : 0;
      weigh_column<S>(task, c, low, rows_until(task, keys, c), n);
    }
    add_values_of<S>(type_v, task, {v + cell * v_bytes, v_bytes, n, position}, n_columns);
    position += n;
  }
}

/// exp(x), by the same arithmetic as scores.
template <class S>
float exp_of_one(float x) {
  alignas(64) float lanes[S::kWidth];
  S::store(lanes, exp_of<S>(S::set(x)));
  return lanes[0];
}

template <class S>
void fold_part(const AttentionFold& fold) {
  for (std::size_t c = 0; c < fold.n_columns; ++c) {
    const float before = fold.greatest[c], part = fold.part_greatest[c];
    if (part == kNoScore) continue;  // this part has nothing that the column sees
    const float greatest = part > before ? part : before;
    const float kept = before == kNoScore ? 0.0f : exp_of_one<S>(before - greatest);
    const float added = exp_of_one<S>(part - greatest);
    fold.greatest[c] = greatest;
    fold.total[c] = fold.total[c] * kept + fold.part_total[c] * added;
    float* sums = fold.sums + c * fold.stride;
    const float* more = fold.part_sums + c * fold.stride;
    for (std::size_t i = 0; i < fold.stride; i += S::kWidth) {
      S::store(sums + i,
               S::fma(S::set(added), S::load(more + i), S::mul(S::set(kept), S::load(sums + i))));
    }
  }
}

template <class S>
void write_answer(const AttentionAnswer& answer) {
  using F = typename S::F;
  float total = answer.total, factor = 1;
  if (answer.sink != nullptr) {
    const float sink = *answer.sink;
    const float greatest = sink > answer.greatest ? sink : answer.greatest;
    factor = answer.greatest == kNoScore ? 0.0f : exp_of_one<S>(answer.greatest - greatest);
    total = total * factor + exp_of_one<S>(sink - greatest);
  }
  // A column that saw nothing gives zeros.
  const F share = S::set(total > 0 ? factor / total : 0.0f);
  const std::uint32_t n = answer.head_dim_v;
  for (std::uint32_t i = 0; i < n; i += S::kWidth) {
    const F value = S::mul(share, S::load(answer.sums + i));
    if (i + S::kWidth <= n) {
      S::store(answer.out + i, value);
    } else {
      alignas(64) float lanes[S::kWidth];
      S::store(lanes, value);
      for (std::uint32_t k = 0; i + k < n; ++k) answer.out[i + k] = lanes[k];
    }
  }
}

template <class S, class D>
constexpr AttentionKernels attention_kernels() {
  return {store_row<S>, attend_task<S, D>, fold_part<S>, write_answer<S>};
}

}  // namespace
}  // namespace engine::cpu
