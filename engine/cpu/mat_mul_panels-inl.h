// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/mat_mul_codes-inl.h"
#include "engine/cpu/mat_mul_kernels.h"
#include "engine/cpu/unroll-inl.h"

/// Packed panels times a few columns (decode), and unpacking for many. For files with compile flags
/// of their own.
///
/// What all loops of products share is the order of their floating-point operations, so that the
/// number of columns in a call changes nothing: the integer sum of a sub-block becomes a float, is
/// multiplied by its scale, and is added to the sum of its record; that (in records of 256) is
/// multiplied by the scale of the activations and added to the total.
namespace engine::cpu {
namespace {

constexpr int log2_of(unsigned n) {
  return n <= 1 ? 0 : 1 + log2_of(n / 2);
}

/// Bytes of activations for 256 columns.
template <class F>
constexpr unsigned record_step() {
  if (F::kRecord == 32) return 8 * kRecord32Bytes;
  return F::kSub == 32 ? kRecord256x32Bytes : kRecord256x16Bytes;
}

template <class F>
constexpr unsigned chunk_bytes(unsigned n_blocks) {
  return n_blocks * (F::Codes::kBytes + F::Scales::kBytes32) + F::Scales::kBytes256;
}

TOKWATT_INLINE float float_at(const std::byte* p) {
  float f;
  __builtin_memcpy(&f, p, sizeof(f));
  return f;
}

/// What a sum of products starts from, such that it ends as if codes were centred.
template <class S, class F>
TOKWATT_INLINE typename S::I32 start_of_sum(const std::byte* word) {
  if constexpr (F::kKind == CodeKind::small) {
    return S::template load_centring<log2_of(128 / F::kOffset)>(word);
  } else if constexpr (F::kKind == CodeKind::wide && S::kUnsignedWide) {
    return S::template load_centring<0>(word);
  } else {
    return S::zero();
  }
}

template <class S, class F>
TOKWATT_INLINE typename S::I32 dot(typename S::I32 sum, typename S::U8 codes, const std::byte* x) {
  if constexpr (F::kKind == CodeKind::wide) {
    return S::dot_wide(sum, codes, x);
  } else {
    return S::dot(sum, codes, x);
  }
}

/// Adds a sub-block of a record of 256 to the record's sum.
template <class S, class F>
TOKWATT_INLINE void add_sub_block(typename S::I32 products, const float* scales,
                                  const float* minimums, const std::byte* word,
                                  typename S::F32* sum) {
  *sum = S::multiply_add(S::to_float(products), S::load_floats(scales), *sum);
  if constexpr (F::kKind == CodeKind::minimum)
    *sum = S::multiply_add(S::load_floats(minimums), S::broadcast(float_at(word)), *sum);
}

/// Adds a record of 32 to the total; `scale_and_word` are the record's last two numbers.
template <class S, class F>
TOKWATT_INLINE void add_block(typename S::I32 products, const float* scales, const float* minimums,
                              const std::byte* scale_and_word, typename S::F32* total) {
  const typename S::F32 part = S::multiply(S::to_float(products), S::load_floats(scales));
  *total = S::multiply_add(part, S::broadcast(float_at(scale_and_word)), *total);
  if constexpr (F::kKind == CodeKind::minimum) {
    *total = S::multiply_add(S::load_floats(minimums), S::broadcast(float_at(scale_and_word + 4)),
                             *total);
  }
}

/// The integer sums of a block of 32 columns, for C columns of activations; `second` has columns 16
/// and on where sub-blocks have 16.
template <class S, class F, int C, int i>
TOKWATT_INLINE void add_pair(const std::byte* codes, const std::byte* const* bytes,
                             typename S::I32* first, typename S::I32* second) {
  typename S::U8 low, high;
  F::Codes::template pair<S, i>(codes, &low, &high);
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    first[c] = dot<S, F>(first[c], low, bytes[c] + 4 * i);
    second[c] = dot<S, F>(second[c], high, bytes[c] + 16 + 4 * i);
  }
}

/// One chunk of one panel times C columns; x[c] is where the column's records of the chunk begin.
template <class S, class F, int C>
inline void multiply_chunk(const std::byte* chunk, unsigned n_blocks, const float* scales,
                           const float* minimums, const std::byte* const* x, float* totals) {
  using I32 = typename S::I32;
  using F32 = typename S::F32;
  constexpr bool k256 = F::kRecord == 256;
  constexpr bool k16 = F::kSub == 16;
  F32 sums[C];
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) sums[c] = k256 ? S::broadcast(0.0f) : S::load_floats(totals + 16 * c);
  for (unsigned b = 0; b < n_blocks; ++b) {
    const std::byte* bytes[C];
    const std::byte* words[C];
    I32 first[C], second[C];
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      bytes[c] = x[c] + b * (k256 ? 32 : kRecord32Bytes);
      words[c] = k256 ? x[c] + kRecord256Words + b * (k16 ? 8 : 4) : bytes[c] + kRecord32Word;
      first[c] = start_of_sum<S, F>(words[c]);
      second[c] = k16 ? start_of_sum<S, F>(words[c] + 4) : S::zero();
    }
    const std::byte* codes = chunk + b * F::Codes::kBytes;
    add_pair<S, F, C, 0>(codes, bytes, first, second);
    add_pair<S, F, C, 1>(codes, bytes, first, second);
    add_pair<S, F, C, 2>(codes, bytes, first, second);
    add_pair<S, F, C, 3>(codes, bytes, first, second);
    TOKWATT_UNROLL
    for (int c = 0; c < C; ++c) {
      if constexpr (!k256) {
        add_block<S, F>(S::add(first[c], second[c]), scales + 16 * b, minimums + 16 * b,
                        bytes[c] + kRecord32Scale, &sums[c]);
      } else if constexpr (k16) {
        add_sub_block<S, F>(first[c], scales + 32 * b, minimums + 32 * b, words[c], &sums[c]);
        add_sub_block<S, F>(second[c], scales + 32 * b + 16, minimums + 32 * b + 16, words[c] + 4,
                            &sums[c]);
      } else {
        add_sub_block<S, F>(S::add(first[c], second[c]), scales + 16 * b, minimums + 16 * b,
                            words[c], &sums[c]);
      }
    }
  }
  TOKWATT_UNROLL
  for (int c = 0; c < C; ++c) {
    if constexpr (k256) {
      S::store_floats(totals + 16 * c,
                      S::multiply_add(sums[c], S::broadcast(float_at(x[c] + kRecord256Scale)),
                                      S::load_floats(totals + 16 * c)));
    } else {
      S::store_floats(totals + 16 * c, sums[c]);
    }
  }
}

/// C columns at a time of those that a chunk is multiplied with while its scales are at hand.
template <class S, class F, int C>
inline void multiply_chunk_columns(const std::byte* chunk, unsigned n_blocks, const float* scales,
                                   const float* minimums, const std::byte* const* x,
                                   std::size_t x_offset, unsigned n_x, float* totals) {
  if constexpr (C > 0) {
    unsigned done = 0;
    for (; done + C <= n_x; done += C) {
      const std::byte* columns[C];
      for (int c = 0; c < C; ++c) columns[c] = x[done + static_cast<unsigned>(c)] + x_offset;
      multiply_chunk<S, F, C>(chunk, n_blocks, scales, minimums, columns, totals + 16 * done);
    }
    if (done < n_x) {
      multiply_chunk_columns<S, F, C - 1>(chunk, n_blocks, scales, minimums, x + done, x_offset,
                                          n_x - done, totals + 16 * done);
    }
  }
}

// Panels that are walked side by side: more streams than one keep the memory busy.
constexpr unsigned kStreams = 4;
constexpr unsigned kMostColumns = 16;  // with totals at hand; more are taken in turns
// The first-level cache waits for few lines at a time, the second for many: lines come in two
// steps.
constexpr unsigned kFarBytes = 6144, kNearBytes = 1024;

template <class S, class F>
void multiply_panels(const PanelJob* job) {
  constexpr unsigned kBytes = chunk_bytes<F>(8);
  alignas(64) float scales[256], minimums[256];
  alignas(64) float totals[kStreams][kMostColumns * 16];
  for (unsigned first_x = 0; first_x < job->n_x; first_x += kMostColumns) {
    const unsigned n_x = job->n_x - first_x < kMostColumns ? job->n_x - first_x : kMostColumns;
    for (unsigned first = 0; first < job->n_panels; first += kStreams) {
      const unsigned n = job->n_panels - first < kStreams ? job->n_panels - first : kStreams;
      const std::byte* panels = job->panels + first * job->panel_bytes;
      __builtin_memset(totals, 0, sizeof(totals));
      for (unsigned chunk = 0, left = job->n_cols; left != 0; ++chunk) {
        const unsigned n_blocks = left < kChunkColumns ? left / 32 : 8;
        left -= n_blocks * 32;
        for (unsigned p = 0; p < n; ++p) {
          const std::byte* at = panels + p * job->panel_bytes + chunk * std::size_t{kBytes};
          for (unsigned byte = 0; byte < kBytes; byte += 64) {
            S::prefetch_far(at + kFarBytes + byte);
            S::prefetch(at + kNearBytes + byte);
          }
          F::Scales::template expand<S>(at + n_blocks * F::Codes::kBytes, n_blocks, scales,
                                        minimums);
          multiply_chunk_columns<S, F, S::kPanelColumns>(
              at, n_blocks, scales, minimums, job->x + first_x,
              chunk * std::size_t{record_step<F>()}, n_x, totals[p]);
        }
      }
      for (unsigned x = 0; x < n_x; ++x) {
        for (unsigned p = 0; p < n; ++p) {
          __builtin_memcpy(job->to + (first_x + x) * job->to_stride + 16 * (first + p),
                           totals[p] + 16 * x, 64);
        }
      }
    }
  }
}

/// Unpacked codes: wide ones as S::dot_wide wants them; small ones centred by 128 as well where
/// that makes one kind of both.
template <class S, class F>
TOKWATT_INLINE typename S::U8 to_unpacked(typename S::U8 codes) {
  if constexpr (S::kUnsignedWide && F::kKind == CodeKind::small) {
    return S::add_bytes(codes, 128 - F::kOffset);
  } else {
    return codes;
  }
}

template <class S, class F, int i>
TOKWATT_INLINE void unpack_pair(const std::byte* codes, std::uint8_t* to) {
  typename S::U8 low, high;
  F::Codes::template pair<S, i>(codes, &low, &high);
  S::store(to + kGroupBytes * i, to_unpacked<S, F>(low));
  S::store(to + kGroupBytes * (i + 4), to_unpacked<S, F>(high));
}

template <class S, class F>
void unpack(const std::byte* panel, unsigned n_cols, const UnpackedPanel* to) {
  std::uint8_t* codes = to->codes;
  float* scales = to->scales;
  float* minimums = to->minimums;
  for (unsigned left = n_cols; left != 0;) {
    const unsigned n_blocks = left < kChunkColumns ? left / 32 : 8;
    left -= n_blocks * 32;
    for (unsigned b = 0; b < n_blocks; ++b, codes += 512) {
      const std::byte* from = panel + b * F::Codes::kBytes;
      unpack_pair<S, F, 0>(from, codes);
      unpack_pair<S, F, 1>(from, codes);
      unpack_pair<S, F, 2>(from, codes);
      unpack_pair<S, F, 3>(from, codes);
    }
    F::Scales::template expand<S>(panel + n_blocks * F::Codes::kBytes, n_blocks, scales, minimums);
    scales += n_blocks * (32 / F::kSub) * 16;
    minimums += n_blocks * (32 / F::kSub) * 16;
    panel += chunk_bytes<F>(n_blocks);
  }
}

}  // namespace
}  // namespace engine::cpu
