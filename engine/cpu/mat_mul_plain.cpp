// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul_kernels.h"
#include "engine/cpu/mat_mul_table-inl.h"

namespace engine::cpu {
namespace {

/// Loops, for any processor: what the other sets are held against.
struct Simd {
  struct U8 {
    std::uint8_t at[64];
  };
  struct I32 {
    std::int32_t at[16];
  };
  struct F32 {
    float at[16];
  };
  static constexpr unsigned kPanelColumns = 1, kTileColumns = 2, kTilePanels = 1;
  static constexpr bool kUnsignedWide = false;

  static U8 load(const void* p) {
    U8 v;
    __builtin_memcpy(v.at, p, 64);
    return v;
  }
  static void store(std::uint8_t* to, U8 v) { __builtin_memcpy(to, v.at, 64); }
  static U8 load_table(const std::uint8_t* p) {
    U8 v;
    for (int i = 0; i < 4; ++i) __builtin_memcpy(v.at + 16 * i, p, 16);
    return v;
  }
  static U8 look_up(const U8& table, const U8& index) {
    U8 v;
    for (int i = 0; i < 64; ++i) v.at[i] = table.at[index.at[i]];
    return v;
  }
  template <int from, int to, unsigned mask>
  static U8 field(const U8& bits) {
    U8 v;
    for (int i = 0; i < 64; ++i)
      v.at[i] = static_cast<std::uint8_t>((bits.at[i] >> from & mask) << to);
    return v;
  }
  static U8 merge(const U8& a, const U8& b) {
    U8 v;
    for (int i = 0; i < 64; ++i) v.at[i] = a.at[i] | b.at[i];
    return v;
  }
  static U8 add_bytes(const U8& a, unsigned b) {
    U8 v;
    for (int i = 0; i < 64; ++i) v.at[i] = static_cast<std::uint8_t>(a.at[i] + b);
    return v;
  }
  static U8 to_wide(const U8& codes) { return add_bytes(codes, 128); }  // signed bytes

  static I32 zero() { return {}; }
  template <int shift>
  static I32 load_centring(const std::byte* p) {
    return load_centring(p, unsigned{shift});
  }
  static I32 load_centring(const std::byte* p, unsigned shift) {
    std::int32_t word;
    __builtin_memcpy(&word, p, 4);
    I32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = word >> shift;
    return v;
  }
  static I32 add(const I32& a, const I32& b) {
    I32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = a.at[i] + b.at[i];
    return v;
  }
  static I32 dot(I32 sum, const U8& codes, const std::byte* x) {
    std::int8_t factors[4];
    __builtin_memcpy(factors, x, 4);
    for (int i = 0; i < 64; ++i) sum.at[i / 4] += codes.at[i] * factors[i % 4];
    return sum;
  }
  static I32 dot_wide(I32 sum, const U8& codes, const std::byte* x) {
    std::int8_t factors[4];
    __builtin_memcpy(factors, x, 4);
    for (int i = 0; i < 64; ++i)
      sum.at[i / 4] += static_cast<std::int8_t>(codes.at[i]) * factors[i % 4];
    return sum;
  }

  static F32 to_float(const I32& a) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = static_cast<float>(a.at[i]);
    return v;
  }
  static F32 load_floats(const float* p) {
    F32 v;
    __builtin_memcpy(v.at, p, 64);
    return v;
  }
  static void store_floats(float* to, const F32& v) { __builtin_memcpy(to, v.at, 64); }
  static F32 broadcast(float a) {
    F32 v;
    for (float& f : v.at) f = a;
    return v;
  }
  static F32 multiply(const F32& a, const F32& b) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = a.at[i] * b.at[i];
    return v;
  }
  static F32 subtract(const F32& a, const F32& b) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = a.at[i] - b.at[i];
    return v;
  }
  static F32 multiply_add(const F32& a, const F32& b, const F32& c) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = a.at[i] * b.at[i] + c.at[i];
    return v;
  }
  static F32 negate(const F32& a) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = -a.at[i];
    return v;
  }
  static F32 absolute(const F32& a) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = __builtin_fabsf(a.at[i]);
    return v;
  }
  static F32 maximum(const F32& a, const F32& b) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = a.at[i] > b.at[i] ? a.at[i] : b.at[i];
    return v;
  }
  static float largest(const F32& a) {
    float most = a.at[0];
    for (const float f : a.at) most = f > most ? f : most;
    return most;
  }

  /// Ties to even, for |a| < 2^22.
  static int round_to_bytes(const F32& a, std::byte* to) {
    int sum = 0;
    for (int i = 0; i < 16; ++i) {
      const float shifted = a.at[i] + 12582912.0f;  // 1.5 * 2^23: leaves no bits below one
      std::int32_t bits;
      __builtin_memcpy(&bits, &shifted, 4);
      const int byte = bits - 0x4b400000;
      sum += byte;
      to[i] = static_cast<std::byte>(byte);
    }
    return sum;
  }

  static float from_bits(std::uint32_t bits) {
    float f;
    __builtin_memcpy(&f, &bits, 4);
    return f;
  }
  static F32 load_halves(const std::byte* p) {
    std::uint16_t halves[16];
    __builtin_memcpy(halves, p, 32);
    F32 v;
    for (int i = 0; i < 16; ++i) {
      const std::uint32_t magnitude = halves[i] & 0x7fffu;
      const float tiny = static_cast<float>(magnitude) * 0x1p-24f;
      const float wide =
          from_bits((magnitude << 13) + (magnitude >= 0x7c00u ? 224u << 23 : 112u << 23));
      const float f = magnitude < 0x0400u ? tiny : wide;
      v.at[i] = (halves[i] & 0x8000u) != 0 ? -f : f;
    }
    return v;
  }
  static F32 load_bfloats(const std::byte* p) {
    std::uint16_t halves[16];
    __builtin_memcpy(halves, p, 32);
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = from_bits(static_cast<std::uint32_t>(halves[i]) << 16);
    return v;
  }
  /// 2^(byte - 128).
  static F32 load_half_powers(const std::byte* p) {
    F32 v;
    for (int i = 0; i < 16; ++i) {
      const unsigned e = static_cast<unsigned>(p[i]);
      v.at[i] = from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
    }
    return v;
  }
  static F32 load_unsigned(const std::uint8_t* p) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = p[i];
    return v;
  }
  static F32 load_signed(const std::byte* p) {
    F32 v;
    for (int i = 0; i < 16; ++i) v.at[i] = static_cast<std::int8_t>(p[i]);
    return v;
  }
  static void prefetch(const void*) {}
  static void prefetch_far(const void*) {}
};

constexpr MatMulKernels kTable = make_table<Simd>();

}  // namespace

const MatMulKernels* plain_mat_mul_kernels() {
  return &kTable;
}

}  // namespace engine::cpu
