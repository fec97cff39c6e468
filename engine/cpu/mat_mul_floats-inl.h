// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/mat_mul_kernels.h"
#include "engine/cpu/unroll-inl.h"

/// Panels of F16, BF16 and F32: 16 rows for each column, multiplied with floats, one column after
/// the other into one sum. For files with compile flags of their own.
namespace engine::cpu {
namespace {

struct F16Weights {
  static constexpr unsigned kBytes = 32;  // of a column
  template <class S>
  static inline typename S::F32 load(const std::byte* p) {
    return S::load_halves(p);
  }
};
struct BF16Weights {
  static constexpr unsigned kBytes = 32;
  template <class S>
  static inline typename S::F32 load(const std::byte* p) {
    return S::load_bfloats(p);
  }
};
struct F32Weights {
  static constexpr unsigned kBytes = 64;
  template <class S>
  static inline typename S::F32 load(const std::byte* p) {
    return S::load_floats(reinterpret_cast<const float*>(p));
  }
};

/// P panels times C columns.
template <class S, class W, int P, int C>
void multiply_floats(const std::byte* const* panels, unsigned n_cols, const std::byte* const* x,
                     float* to, std::size_t to_stride) {
  using F32 = typename S::F32;
  const float* columns[C];
  const std::byte* at[P];
  F32 sums[C][P];
  TOKWATT_UNROLL
  for (int p = 0; p < P; ++p) at[p] = panels[p];
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    columns[c] = reinterpret_cast<const float*>(x[c]);
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p) sums[c][p] = S::broadcast(0.0f);
  }
  constexpr unsigned kStep = 64 / W::kBytes;  // columns of a cache line
  for (unsigned k = 0; k < n_cols; ++k) {
    F32 weights[P];
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p) {
      if (k % kStep == 0) S::prefetch_far(at[p] + 4096);
      weights[p] = W::template load<S>(at[p]);
      at[p] += W::kBytes;
    }
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      const F32 factor = S::broadcast(columns[c][k]);
      TOKWATT_UNROLL
      for (int p = 0; p < P; ++p) sums[c][p] = S::multiply_add(weights[p], factor, sums[c][p]);
    }
  }
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p)
      S::store_floats(to + static_cast<unsigned>(c) * to_stride + 16 * p, sums[c][p]);
  }
}

template <class S, class W, int P, int C>
inline void multiply_float_columns(const std::byte* const* panels, unsigned n_cols,
                                   const std::byte* const* x, unsigned n_x, float* to,
                                   std::size_t to_stride) {
  if constexpr (C > 0) {
    unsigned done = 0;
    for (; done + C <= n_x; done += C)
      multiply_floats<S, W, P, C>(panels, n_cols, x + done, to + done * to_stride, to_stride);
    if (done < n_x) {
      multiply_float_columns<S, W, P, C - 1>(panels, n_cols, x + done, n_x - done,
                                             to + done * to_stride, to_stride);
    }
  }
}

template <class S, class W>
void multiply_float_panels(const PanelJob* job) {
  // One sum a column waits for itself; two panels hide it.
  constexpr unsigned kPanels = 2;
  const std::byte* panels[kPanels];
  unsigned p = 0;
  for (; p + kPanels <= job->n_panels; p += kPanels) {
    for (unsigned i = 0; i < kPanels; ++i) panels[i] = job->panels + (p + i) * job->panel_bytes;
    multiply_float_columns<S, W, kPanels, S::kTileColumns>(panels, job->n_cols, job->x, job->n_x,
                                                           job->to + 16 * p, job->to_stride);
  }
  for (; p < job->n_panels; ++p) {
    panels[0] = job->panels + p * job->panel_bytes;
    multiply_float_columns<S, W, 1, S::kTileColumns>(panels, job->n_cols, job->x, job->n_x,
                                                     job->to + 16 * p, job->to_stride);
  }
}

template <class S, class W>
void unpack_floats(const std::byte* panel, unsigned n_cols, const UnpackedPanel* to) {
  auto* floats = reinterpret_cast<float*>(to->codes);
  for (unsigned k = 0; k < n_cols; ++k)
    S::store_floats(floats + 16 * k, W::template load<S>(panel + k * W::kBytes));
}

template <class S>
void multiply_float_tiles(const TileJob* job) {
  constexpr unsigned kColumns = S::kTileColumns, kPanels = S::kTilePanels;
  for (unsigned first = 0; first < job->n_x; first += kColumns) {
    const unsigned n_x = job->n_x - first < kColumns ? job->n_x - first : kColumns;
    float* to = job->to + first * job->to_stride;
    const std::byte* panels[kPanels];
    unsigned p = 0;
    for (; p + kPanels <= job->n_panels; p += kPanels) {
      for (unsigned i = 0; i < kPanels; ++i)
        panels[i] = reinterpret_cast<const std::byte*>(job->panels[p + i].codes);
      multiply_float_columns<S, F32Weights, kPanels, kColumns>(panels, job->n_cols, job->x + first,
                                                               n_x, to + 16 * p, job->to_stride);
    }
    for (; p < job->n_panels; ++p) {
      panels[0] = reinterpret_cast<const std::byte*>(job->panels[p].codes);
      multiply_float_columns<S, F32Weights, 1, kColumns>(panels, job->n_cols, job->x + first, n_x,
                                                         to + 16 * p, job->to_stride);
    }
  }
}

}  // namespace
}  // namespace engine::cpu
