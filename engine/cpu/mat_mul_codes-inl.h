// SPDX-License-Identifier: MIT
#pragma once

#include "engine/cpu/panel_format.h"
#include "engine/cpu/unroll-inl.h"

/// How the codes and the scales of each panel format are read; panel_format.h says how they lie.
/// For files with compile flags of their own: all of it is in an unnamed namespace. `S` is the
/// file's Simd: U8 is one group, F32 one number for each row.
namespace engine::cpu {
namespace {

// ---- Codes: pair<i> reads groups i and i + 4 of the block of 32 columns at `p`. ----

struct NibbleCodes {
  static constexpr unsigned kBytes = 256;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    const typename S::U8 v = S::load(p + kGroupBytes * i);
    *low = S::template field<0, 0, 15>(v);
    *high = S::template field<4, 0, 15>(v);
  }
};

/// Nibbles and a line of fifth bits.
struct FiveBitCodes {
  static constexpr unsigned kBytes = 320;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    const typename S::U8 bits = S::load(p + 256);
    NibbleCodes::pair<S, i>(p, low, high);
    *low = S::merge(*low, S::template field<i, 4, 1>(bits));
    *high = S::merge(*high, S::template field<i + 4, 4, 1>(bits));
  }
};

/// Nibbles and two lines of pairs of bits.
struct SixBitCodes {
  static constexpr unsigned kBytes = 384;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    NibbleCodes::pair<S, i>(p, low, high);
    *low = S::merge(*low, S::template field<2 * i, 4, 3>(S::load(p + 256)));
    *high = S::merge(*high, S::template field<2 * i, 4, 3>(S::load(p + 320)));
  }
};

struct TwoBitCodes {
  static constexpr unsigned kBytes = 128;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    *low = S::template field<2 * i, 0, 3>(S::load(p));
    *high = S::template field<2 * i, 0, 3>(S::load(p + kGroupBytes));
  }
};

/// Two lines of pairs of bits and a line of third bits.
struct ThreeBitCodes {
  static constexpr unsigned kBytes = 192;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    const typename S::U8 bits = S::load(p + 128);
    TwoBitCodes::pair<S, i>(p, low, high);
    *low = S::merge(*low, S::template field<i, 2, 1>(bits));
    *high = S::merge(*high, S::template field<i + 4, 2, 1>(bits));
  }
};

/// Bytes that stand for themselves.
struct ByteCodes {
  static constexpr unsigned kBytes = 512;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    *low = S::load(p + kGroupBytes * i);
    *high = S::load(p + kGroupBytes * (i + 4));
  }
};

/// Signed bytes + 128.
struct WideByteCodes {
  static constexpr unsigned kBytes = 512;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    ByteCodes::pair<S, i>(p, low, high);
    *low = S::to_wide(*low);
    *high = S::to_wide(*high);
  }
};

/// 128 + engine::quant::kIq4Levels.
alignas(16) constexpr std::uint8_t kWideIq4Levels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                         129, 141, 153, 166, 181, 197, 217, 241};
struct Iq4Codes {
  static constexpr unsigned kBytes = 256;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    NibbleCodes::pair<S, i>(p, low, high);
    const typename S::U8 levels = S::to_wide(S::load_table(kWideIq4Levels));
    *low = S::look_up(levels, *low);
    *high = S::look_up(levels, *high);
  }
};

/// 16 + engine::quant::kTwiceE2m1.
alignas(16) constexpr std::uint8_t kCentredE2m1[16] = {16, 17, 18, 19, 20, 22, 24, 28,
                                                       16, 15, 14, 13, 12, 10, 8,  4};
struct E2m1Codes {
  static constexpr unsigned kBytes = 256;
  template <class S, int i>
  static TOKWATT_INLINE void pair(const std::byte* p, typename S::U8* low, typename S::U8* high) {
    NibbleCodes::pair<S, i>(p, low, high);
    const typename S::U8 values = S::load_table(kCentredE2m1);
    *low = S::look_up(values, *low);
    *high = S::look_up(values, *high);
  }
};

// ---- Scales: expand writes a float for each row and sub-block of n_blocks blocks of 32 columns.
// Their products are exact: 11 bits of a half times at most 8 bits. ----

/// A half for each row.
struct HalfScales {
  static constexpr unsigned kBytes32 = 32;
  static constexpr unsigned kBytes256 = 0;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    for (unsigned b = 0; b < n_blocks; ++b)
      S::store_floats(scales + 16 * b, S::load_halves(p + 32 * b));
  }
};

/// A half for each row, then a half to add for each row.
struct HalfAndMinimumScales {
  static constexpr unsigned kBytes32 = 64;
  static constexpr unsigned kBytes256 = 0;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float* minimums) {
    for (unsigned b = 0; b < n_blocks; ++b) {
      S::store_floats(scales + 16 * b, S::load_halves(p + 64 * b));
      S::store_floats(minimums + 16 * b, S::load_halves(p + 64 * b + 32));
    }
  }
};

/// The exponent of a power of two for each row; codes are twice what they mean.
struct ExponentScales {
  static constexpr unsigned kBytes32 = 16;
  static constexpr unsigned kBytes256 = 0;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    for (unsigned b = 0; b < n_blocks; ++b)
      S::store_floats(scales + 16 * b, S::load_half_powers(p + 16 * b));
  }
};

/// One half for each row and 256 columns.
struct OneScale {
  static constexpr unsigned kBytes32 = 0;
  static constexpr unsigned kBytes256 = 32;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    const typename S::F32 d = S::load_halves(p);
    for (unsigned b = 0; b < n_blocks; ++b) S::store_floats(scales + 16 * b, d);
  }
};

/// Sixteen numbers of six bits for each row: 128 bytes that hold the low four bits of numbers i
/// (low) and i + 8 (high), 16 rows for each i, then 64 bytes of high bits: numbers j, j + 4, j + 8
/// and j + 12 from the lowest pair, 16 rows for each j.
template <class S>
inline void read_six_bits(const std::byte* p, std::uint8_t* numbers) {
  const typename S::U8 low0 = S::load(p), low1 = S::load(p + 64), high = S::load(p + 128);
  S::store(numbers, S::merge(S::template field<0, 0, 15>(low0), S::template field<0, 4, 3>(high)));
  S::store(numbers + 64,
           S::merge(S::template field<0, 0, 15>(low1), S::template field<2, 4, 3>(high)));
  S::store(numbers + 128,
           S::merge(S::template field<4, 0, 15>(low0), S::template field<4, 4, 3>(high)));
  S::store(numbers + 192,
           S::merge(S::template field<4, 0, 15>(low1), S::template field<6, 4, 3>(high)));
}

/// Eight scales and eight minimums of six bits, then a half for each of the two.
struct SixBitAndMinimumScales {
  static constexpr unsigned kBytes32 = 0;
  static constexpr unsigned kBytes256 = 256;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float* minimums) {
    alignas(64) std::uint8_t numbers[256];
    read_six_bits<S>(p, numbers);
    const typename S::F32 d = S::load_halves(p + 192);
    const typename S::F32 less = S::negate(S::load_halves(p + 224));
    for (unsigned b = 0; b < n_blocks; ++b) {
      S::store_floats(scales + 16 * b, S::multiply(d, S::load_unsigned(numbers + 16 * b)));
      S::store_floats(minimums + 16 * b,
                      S::multiply(less, S::load_unsigned(numbers + 128 + 16 * b)));
    }
  }
};

/// Sixteen scales of six bits, from which 32 is taken, then a half.
struct SixBitScales {
  static constexpr unsigned kBytes32 = 0;
  static constexpr unsigned kBytes256 = 224;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    alignas(64) std::uint8_t numbers[256];
    read_six_bits<S>(p, numbers);
    const typename S::F32 d = S::load_halves(p + 192);
    const typename S::F32 centre = S::broadcast(32.0f);
    for (unsigned s = 0; s < 2 * n_blocks; ++s) {
      S::store_floats(scales + 16 * s,
                      S::multiply(d, S::subtract(S::load_unsigned(numbers + 16 * s), centre)));
    }
  }
};

/// Eight scales of six bits: 64 bytes with the low four bits of numbers i and i + 4, 32 bytes with
/// high bits of numbers j, j + 2, j + 4 and j + 6; then a half. 32 is taken from the scales.
struct EightSixBitScales {
  static constexpr unsigned kBytes32 = 0;
  static constexpr unsigned kBytes256 = 128;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    alignas(64) std::uint8_t numbers[128];
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(p);
    for (unsigned half = 0; half < 2; ++half) {
      for (unsigned r = 0; r < 32; ++r) {
        const unsigned low = bytes[32 * half + r], high = bytes[64 + r] >> (2 * half);
        numbers[32 * half + r] = static_cast<std::uint8_t>((low & 15) | (high & 3) << 4);
        numbers[64 + 32 * half + r] = static_cast<std::uint8_t>(low >> 4 | (high >> 4 & 3) << 4);
      }
    }
    const typename S::F32 d = S::load_halves(p + 96);
    const typename S::F32 centre = S::broadcast(32.0f);
    for (unsigned b = 0; b < n_blocks; ++b) {
      S::store_floats(scales + 16 * b,
                      S::multiply(d, S::subtract(S::load_unsigned(numbers + 16 * b), centre)));
    }
  }
};

/// Sixteen bytes with a scale in the low and a minimum in the high half, 16 rows for each, then a
/// half for each of the two.
struct NibbleAndMinimumScales {
  static constexpr unsigned kBytes32 = 0;
  static constexpr unsigned kBytes256 = 320;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float* minimums) {
    alignas(64) std::uint8_t low[256], high[256];
    for (unsigned i = 0; i < 4; ++i) {
      const typename S::U8 both = S::load(p + 64 * i);
      S::store(low + 64 * i, S::template field<0, 0, 15>(both));
      S::store(high + 64 * i, S::template field<4, 0, 15>(both));
    }
    const typename S::F32 d = S::load_halves(p + 256);
    const typename S::F32 less = S::negate(S::load_halves(p + 288));
    for (unsigned s = 0; s < 2 * n_blocks; ++s) {
      S::store_floats(scales + 16 * s, S::multiply(d, S::load_unsigned(low + 16 * s)));
      S::store_floats(minimums + 16 * s, S::multiply(less, S::load_unsigned(high + 16 * s)));
    }
  }
};

/// Sixteen signed bytes, 16 rows for each, then a half.
struct SignedByteScales {
  static constexpr unsigned kBytes32 = 0;
  static constexpr unsigned kBytes256 = 288;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    const typename S::F32 d = S::load_halves(p + 256);
    for (unsigned s = 0; s < 2 * n_blocks; ++s)
      S::store_floats(scales + 16 * s, S::multiply(d, S::load_signed(p + 16 * s)));
  }
};

/// Floats, kPer32 for each row and block of 32.
template <unsigned kPer32>
struct FloatScales {
  static constexpr unsigned kBytes32 = 64 * kPer32;
  static constexpr unsigned kBytes256 = 0;
  template <class S>
  static inline void expand(const std::byte* p, unsigned n_blocks, float* scales, float*) {
    for (unsigned s = 0; s < kPer32 * n_blocks; ++s) {
      S::store_floats(scales + 16 * s, S::load_floats(reinterpret_cast<const float*>(p) + 16 * s));
    }
  }
};

// ---- Formats. ----

/// What unsigned codes are: centred by kOffset (which must be a power of two and codes below 128),
/// centred by 128 (wide), or meant as they are, with a minimum to add.
enum class CodeKind { small, wide, minimum };

template <class CodesT, class ScalesT, CodeKind kKindT, unsigned kRecordT, unsigned kSubT,
          unsigned kOffsetT = 128>
struct Format {
  using Codes = CodesT;
  using Scales = ScalesT;
  static constexpr CodeKind kKind = kKindT;
  static constexpr unsigned kRecord = kRecordT;  // columns for each scale of the activations
  static constexpr unsigned kSub = kSubT;        // columns for each scale of the weights
  static constexpr unsigned kOffset = kOffsetT;
};

using Q4_0 = Format<NibbleCodes, HalfScales, CodeKind::small, 32, 32, 8>;
using Q4_1 = Format<NibbleCodes, HalfAndMinimumScales, CodeKind::minimum, 32, 32>;
using Q5_0 = Format<FiveBitCodes, HalfScales, CodeKind::small, 32, 32, 16>;
using Q5_1 = Format<FiveBitCodes, HalfAndMinimumScales, CodeKind::minimum, 32, 32>;
using Q8_0 = Format<WideByteCodes, HalfScales, CodeKind::wide, 32, 32>;
using Q2_K = Format<TwoBitCodes, NibbleAndMinimumScales, CodeKind::minimum, 256, 16>;
using Q3_K = Format<ThreeBitCodes, SixBitScales, CodeKind::small, 256, 16, 4>;
using Q4_K = Format<NibbleCodes, SixBitAndMinimumScales, CodeKind::minimum, 256, 32>;
using Q5_K = Format<FiveBitCodes, SixBitAndMinimumScales, CodeKind::minimum, 256, 32>;
using Q6_K = Format<SixBitCodes, SignedByteScales, CodeKind::small, 256, 16, 32>;
using Iq4Nl = Format<Iq4Codes, HalfScales, CodeKind::wide, 32, 32>;
using Iq4Xs = Format<Iq4Codes, EightSixBitScales, CodeKind::wide, 256, 32>;
using Mxfp4 = Format<E2m1Codes, ExponentScales, CodeKind::small, 32, 32, 16>;
using Tq2_0 = Format<TwoBitCodes, OneScale, CodeKind::small, 256, 32, 1>;
using I8X32 = Format<ByteCodes, FloatScales<1>, CodeKind::small, 256, 32, 64>;
using I8X16 = Format<ByteCodes, FloatScales<2>, CodeKind::small, 256, 16, 64>;

}  // namespace
}  // namespace engine::cpu
