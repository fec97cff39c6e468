// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/mat_mul_panels-inl.h"

/// Unpacked panels times many columns: tiles of P panels by C columns, whose sums stay in
/// registers. For files with compile flags of their own.
namespace engine::cpu {
namespace {

template <int P>
struct TilePanels {
  const std::uint8_t* codes[P];
  const float* scales[P];
  const float* minimums[P];
};

/// The integer sums of kGroups groups, added to `sums`.
template <class S, bool kWide, unsigned kGroups, int P, int C>
TOKWATT_INLINE void add_groups(const TilePanels<P>& panels, std::size_t codes_offset,
                               const std::byte* const* x, std::size_t x_offset,
                               typename S::I32 (&sums)[C][P]) {
  TOKWATT_UNROLL
  for (unsigned g = 0; g < kGroups; ++g) {
    typename S::U8 codes[P];
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p)
      codes[p] = S::load(panels.codes[p] + codes_offset + kGroupBytes * g);
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      TOKWATT_UNROLL
      for (int p = 0; p < P; ++p) {
        if constexpr (kWide) {
          sums[c][p] = S::dot_wide(sums[c][p], codes[p], x[c] + x_offset + 4 * g);
        } else {
          sums[c][p] = S::dot(sums[c][p], codes[p], x[c] + x_offset + 4 * g);
        }
      }
    }
  }
}

/// `shift`: of the centring words, for codes that are not centred by 128.
template <class S, class F, int P, int C>
TOKWATT_APART void multiply_tile(TilePanels<P> panels, unsigned n_cols,
                                 const std::byte* const* columns, unsigned shift, float* to,
                                 std::size_t to_stride) {
  using I32 = typename S::I32;
  using F32 = typename S::F32;
  constexpr bool k256 = F::kRecord == 256;
  constexpr bool kMinimum = F::kKind == CodeKind::minimum;
  constexpr bool kCentred =
      F::kKind == CodeKind::small || (F::kKind == CodeKind::wide && S::kUnsignedWide);
  constexpr bool kWide = F::kKind == CodeKind::wide;
  constexpr unsigned kSubs = 32 / F::kSub;
  constexpr unsigned kBlocks = k256 ? 8 : 1;
  const std::byte* x[C];
  F32 totals[C][P];
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    x[c] = columns[c];
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p) totals[c][p] = S::broadcast(0.0f);
  }
  alignas(64) float kept[C][P][16];  // totals while sums need the registers
  if constexpr (k256) __builtin_memset(kept, 0, sizeof(kept));
  for (unsigned record = 0; record < n_cols / F::kRecord; ++record) {
    F32 sums[C][P];
    if constexpr (k256) {
      TOKWATT_UNROLL
      for (int c = 0; c < C; ++c) {
        TOKWATT_UNROLL
        for (int p = 0; p < P; ++p) sums[c][p] = S::broadcast(0.0f);
      }
    }
    for (unsigned sub = 0; sub < kBlocks * kSubs; ++sub) {
      const std::size_t word = k256 ? kRecord256Words + 4 * sub : kRecord32Word;
      I32 products[C][P];
      TOKWATT_UNROLL
      for (int c = 0; c < C; ++c) {
        I32 start = S::zero();
        if constexpr (kCentred && (kWide || S::kUnsignedWide)) {
          start = S::template load_centring<0>(x[c] + word);
        } else if constexpr (kCentred) {
          start = S::load_centring(x[c] + word, shift);
        }
        TOKWATT_UNROLL
        for (int p = 0; p < P; ++p) products[c][p] = start;
      }
      add_groups<S, kWide, F::kSub / 4, P, C>(panels, 16 * F::kSub * sub, x, F::kSub * sub,
                                              products);
      F32 scales[P], minimums[P];
      TOKWATT_UNROLL
      for (int p = 0; p < P; ++p) {
        scales[p] = S::load_floats(panels.scales[p] + 16 * sub);
        if constexpr (kMinimum) minimums[p] = S::load_floats(panels.minimums[p] + 16 * sub);
      }
      TOKWATT_UNROLL
      for (int c = 0; c < C; ++c) {
        TOKWATT_UNROLL
        for (int p = 0; p < P; ++p) {
          if constexpr (k256) {
            sums[c][p] = S::multiply_add(S::to_float(products[c][p]), scales[p], sums[c][p]);
            if constexpr (kMinimum) {
              sums[c][p] =
                  S::multiply_add(minimums[p], S::broadcast(float_at(x[c] + word)), sums[c][p]);
            }
          } else {
            totals[c][p] =
                S::multiply_add(S::multiply(S::to_float(products[c][p]), scales[p]),
                                S::broadcast(float_at(x[c] + kRecord32Scale)), totals[c][p]);
            if constexpr (kMinimum) {
              totals[c][p] =
                  S::multiply_add(minimums[p], S::broadcast(float_at(x[c] + word)), totals[c][p]);
            }
          }
        }
      }
    }
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p) {
      panels.codes[p] += 16 * F::kRecord;
      panels.scales[p] += 16 * kBlocks * kSubs;
      if constexpr (kMinimum) panels.minimums[p] += 16 * kBlocks * kSubs;
    }
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      if constexpr (k256) {
        TOKWATT_UNROLL
        for (int p = 0; p < P; ++p) {
          S::store_floats(
              kept[c][p],
              S::multiply_add(sums[c][p], S::broadcast(float_at(x[c] + kRecord256Scale)),
                              S::load_floats(kept[c][p])));
        }
        x[c] += F::kSub == 32 ? kRecord256x32Bytes : kRecord256x16Bytes;
      } else {
        x[c] += kRecord32Bytes;
      }
    }
  }
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    TOKWATT_UNROLL
    for (int p = 0; p < P; ++p) {
      S::store_floats(to + static_cast<unsigned>(c) * to_stride + 16 * p,
                      k256 ? S::load_floats(kept[c][p]) : totals[c][p]);
    }
  }
}

template <class S, class F, int P, int C>
inline void multiply_tile_columns(const TilePanels<P>& panels, const TileJob& job,
                                  const std::byte* const* x, unsigned n_x, unsigned shift,
                                  float* to) {
  if constexpr (C > 0) {
    if (n_x == C) {
      multiply_tile<S, F, P, C>(panels, job.n_cols, x, shift, to, job.to_stride);
    } else {
      multiply_tile_columns<S, F, P, C - 1>(panels, job, x, n_x, shift, to);
    }
  }
}

template <class S, class F, int P>
inline void multiply_tile_panels(const TileJob& job, unsigned first, const std::byte* const* x,
                                 unsigned n_x, unsigned shift, float* to) {
  TilePanels<P> panels;
  for (unsigned p = 0; p < P; ++p) {
    panels.codes[p] = job.panels[first + p].codes;
    panels.scales[p] = job.panels[first + p].scales;
    panels.minimums[p] = job.panels[first + p].minimums;
  }
  multiply_tile_columns<S, F, P, S::kTileColumns>(panels, job, x, n_x, shift, to);
}

/// All tiles of a family: the kind of codes, the record and the sub-block. Columns outside, so that
/// those of a tile stay near while the panels pass.
template <class S, class F>
void multiply_family(const TileJob& job, unsigned shift) {
  constexpr unsigned kColumns = S::kTileColumns, kPanels = S::kTilePanels;
  for (unsigned first_x = 0; first_x < job.n_x; first_x += kColumns) {
    const unsigned n_x = job.n_x - first_x < kColumns ? job.n_x - first_x : kColumns;
    float* to = job.to + first_x * job.to_stride;
    unsigned p = 0;
    for (; p + kPanels <= job.n_panels; p += kPanels)
      multiply_tile_panels<S, F, kPanels>(job, p, job.x + first_x, n_x, shift, to + 16 * p);
    if constexpr (kPanels > 1) {
      for (; p < job.n_panels; ++p)
        multiply_tile_panels<S, F, 1>(job, p, job.x + first_x, n_x, shift, to + 16 * p);
    }
  }
}

template <class S, class F>
void multiply_tiles(const TileJob* job) {
  constexpr CodeKind kKind =
      S::kUnsignedWide && F::kKind == CodeKind::small ? CodeKind::wide : F::kKind;
  using Family = Format<void, void, kKind, F::kRecord, F::kSub>;
  multiply_family<S, Family>(*job, unsigned{log2_of(128 / F::kOffset)});
}

}  // namespace
}  // namespace engine::cpu
