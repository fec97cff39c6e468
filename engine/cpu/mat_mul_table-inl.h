// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/mat_mul_floats-inl.h"
#include "engine/cpu/mat_mul_tiles-inl.h"

/// Activations in the forms that products want, and the table of a file's kernels. For files with
/// compile flags of their own.
namespace engine::cpu {
namespace {

inline void put_float(std::byte* to, float value) {
  __builtin_memcpy(to, &value, sizeof(value));
}

/// Every instruction set gives the same bytes and scales: each operation is rounded once.
template <class S, unsigned kRecord, unsigned kSub, bool kSums>
void quantize(const float* from, unsigned n_cols, std::byte* to) {
  using F32 = typename S::F32;
  constexpr unsigned kWords = kRecord / kSub;
  constexpr unsigned kScaleAt = kRecord == 32 ? kRecord32Scale : kRecord256Scale;
  constexpr unsigned kWordsAt = kRecord == 32 ? kRecord32Word : kRecord256Words;
  for (unsigned k = 0; k < n_cols; k += kRecord, from += kRecord) {
    F32 most = S::absolute(S::load_floats(from));
    for (unsigned i = 16; i < kRecord; i += 16)
      most = S::maximum(most, S::absolute(S::load_floats(from + i)));
    const float largest = S::largest(most);
    // Below this the inverse of the scale is no number; such activations are zero to any sum.
    const bool zero = largest < 1e-35f;
    const float scale = zero ? 0.0f : largest / 127.0f;
    const F32 inverse = S::broadcast(zero ? 0.0f : 127.0f / largest);
    int sums[kRecord / 16];
    for (unsigned i = 0; i < kRecord / 16; ++i) {
      sums[i] = S::round_to_bytes(S::multiply(S::load_floats(from + 16 * i), inverse), to + 16 * i);
    }
    put_float(to + kScaleAt, scale);
    for (unsigned w = 0; w < kWords; ++w) {
      const int sum = kSub == 32 ? sums[2 * w] + sums[2 * w + 1] : sums[w];
      if constexpr (kSums) {
        const float number = static_cast<float>(sum);
        put_float(to + kWordsAt + 4 * w, kRecord == 32 ? number * scale : number);
      } else {
        const int centring = -128 * sum;
        __builtin_memcpy(to + kWordsAt + 4 * w, &centring, 4);
      }
    }
    to += kWordsAt + 4 * kWords;
  }
}

#define TOKWATT_FORMATS(ROW)                                                                   \
  {                                                                                            \
    ROW(Q4_0), ROW(Q4_1), ROW(Q5_0), ROW(Q5_1), ROW(Q8_0), ROW(Q2_K), ROW(Q3_K), ROW(Q4_K),    \
        ROW(Q5_K), ROW(Q6_K), ROW(Iq4Nl), ROW(Iq4Xs), ROW(Mxfp4), ROW(Tq2_0), ROW(F16Weights), \
        ROW(BF16Weights), ROW(F32Weights), ROW(I8X32), ROW(I8X16)                              \
  }

template <class S, class F>
struct Kernels {
  static constexpr auto* kPanels = multiply_panels<S, F>;
  static constexpr auto* kUnpack = unpack<S, F>;
  static constexpr auto* kTiles = multiply_tiles<S, F>;
};
template <class S, class W>
struct FloatKernels {
  static constexpr auto* kPanels = multiply_float_panels<S, W>;
  static constexpr auto* kUnpack = unpack_floats<S, W>;
  static constexpr auto* kTiles = multiply_float_tiles<S>;
};
template <class S>
struct Kernels<S, F16Weights> : FloatKernels<S, F16Weights> {};
template <class S>
struct Kernels<S, BF16Weights> : FloatKernels<S, BF16Weights> {};
template <class S>
struct Kernels<S, F32Weights> : FloatKernels<S, F32Weights> {};

template <class S>
constexpr MatMulKernels make_table() {
#define TOKWATT_PANELS(format) Kernels<S, format>::kPanels
#define TOKWATT_UNPACK(format) Kernels<S, format>::kUnpack
#define TOKWATT_TILES(format) Kernels<S, format>::kTiles
  return {
      TOKWATT_FORMATS(TOKWATT_PANELS),
      TOKWATT_FORMATS(TOKWATT_UNPACK),
      TOKWATT_FORMATS(TOKWATT_TILES),
      {nullptr, quantize<S, 32, 32, false>, quantize<S, 32, 32, true>, quantize<S, 256, 32, false>,
       quantize<S, 256, 16, false>, quantize<S, 256, 32, true>, quantize<S, 256, 16, true>}};
#undef TOKWATT_PANELS
#undef TOKWATT_UNPACK
#undef TOKWATT_TILES
}
#undef TOKWATT_FORMATS

}  // namespace
}  // namespace engine::cpu
