// SPDX-License-Identifier: MIT
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

/// What kernels of products do, in NEON: four registers of four rows. For files with compile flags
/// of their own.
namespace engine::cpu {
namespace {

struct Neon {
  struct U8 {
    uint8x16_t v[4];
  };
  struct I32 {
    int32x4_t v[4];
  };
  struct F32 {
    float32x4_t v[4];
  };

  static inline U8 load(const void* p) {
    const auto* bytes = static_cast<const std::uint8_t*>(p);
    return {{vld1q_u8(bytes), vld1q_u8(bytes + 16), vld1q_u8(bytes + 32), vld1q_u8(bytes + 48)}};
  }
  static inline void store(std::uint8_t* to, U8 x) {
    for (int i = 0; i < 4; ++i) vst1q_u8(to + 16 * i, x.v[i]);
  }
  static inline U8 load_table(const std::uint8_t* p) {
    const uint8x16_t table = vld1q_u8(p);
    return {{table, table, table, table}};
  }
  static inline U8 look_up(U8 table, U8 index) {
    U8 to;
    for (int i = 0; i < 4; ++i) to.v[i] = vqtbl1q_u8(table.v[0], index.v[i]);
    return to;
  }
  template <int from, int to, unsigned mask>
  static inline U8 field(U8 bits) {
    const uint8x16_t only = vdupq_n_u8(static_cast<std::uint8_t>(mask << to));
    U8 v = bits;
    for (int i = 0; i < 4; ++i) {
      if constexpr (from > to) v.v[i] = vshrq_n_u8(v.v[i], from - to);
      if constexpr (from < to) v.v[i] = vshlq_n_u8(v.v[i], to - from);
      v.v[i] = vandq_u8(v.v[i], only);
    }
    return v;
  }
  static inline U8 merge(U8 x, U8 y) {
    for (int i = 0; i < 4; ++i) x.v[i] = vorrq_u8(x.v[i], y.v[i]);
    return x;
  }
  static inline U8 add_bytes(U8 x, unsigned n) {
    for (int i = 0; i < 4; ++i) x.v[i] = vaddq_u8(x.v[i], vdupq_n_u8(static_cast<std::uint8_t>(n)));
    return x;
  }

  static inline I32 zero() { return all(vdupq_n_s32(0)); }
  static inline I32 load_centring(const std::byte* p, unsigned shift) {
    return all(vdupq_n_s32(load_int(p) >> shift));
  }
  template <int shift>
  static inline I32 load_centring(const std::byte* p) {
    return load_centring(p, unsigned{shift});
  }
  static inline I32 add(I32 x, I32 y) {
    for (int i = 0; i < 4; ++i) x.v[i] = vaddq_s32(x.v[i], y.v[i]);
    return x;
  }

  static inline F32 to_float(I32 x) {
    F32 to;
    for (int i = 0; i < 4; ++i) to.v[i] = vcvtq_f32_s32(x.v[i]);
    return to;
  }
  static inline F32 load_floats(const float* p) {
    return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
  }
  static inline void store_floats(float* to, F32 x) {
    for (int i = 0; i < 4; ++i) vst1q_f32(to + 4 * i, x.v[i]);
  }
  static inline F32 broadcast(float x) {
    const float32x4_t v = vdupq_n_f32(x);
    return {{v, v, v, v}};
  }
  static inline F32 multiply(F32 x, F32 y) {
    for (int i = 0; i < 4; ++i) x.v[i] = vmulq_f32(x.v[i], y.v[i]);
    return x;
  }
  static inline F32 subtract(F32 x, F32 y) {
    for (int i = 0; i < 4; ++i) x.v[i] = vsubq_f32(x.v[i], y.v[i]);
    return x;
  }
  static inline F32 multiply_add(F32 x, F32 y, F32 z) {
    for (int i = 0; i < 4; ++i) z.v[i] = vfmaq_f32(z.v[i], x.v[i], y.v[i]);
    return z;
  }
  static inline F32 negate(F32 x) {
    for (int i = 0; i < 4; ++i) x.v[i] = vnegq_f32(x.v[i]);
    return x;
  }
  static inline F32 absolute(F32 x) {
    for (int i = 0; i < 4; ++i) x.v[i] = vabsq_f32(x.v[i]);
    return x;
  }
  static inline F32 maximum(F32 x, F32 y) {
    for (int i = 0; i < 4; ++i) x.v[i] = vmaxq_f32(x.v[i], y.v[i]);
    return x;
  }
  static inline float largest(F32 x) {
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.v[0], x.v[1]), vmaxq_f32(x.v[2], x.v[3])));
  }
  static inline int round_to_bytes(F32 x, std::byte* to) {
    const int32x4_t a = vcvtnq_s32_f32(x.v[0]), b = vcvtnq_s32_f32(x.v[1]),
                    c = vcvtnq_s32_f32(x.v[2]), d = vcvtnq_s32_f32(x.v[3]);
    const int16x8_t ab = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    const int16x8_t cd = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
    vst1q_s8(reinterpret_cast<std::int8_t*>(to), vcombine_s8(vqmovn_s16(ab), vqmovn_s16(cd)));
    return vaddvq_s32(vaddq_s32(vaddq_s32(a, b), vaddq_s32(c, d)));
  }

  static inline F32 load_halves(const std::byte* p) {
    F32 to;
    for (int i = 0; i < 4; ++i) {
      to.v[i] = vcvt_f32_f16(vreinterpret_f16_u16(load_4_words(p + 8 * i)));
    }
    return to;
  }
  static inline F32 load_bfloats(const std::byte* p) {
    F32 to;
    for (int i = 0; i < 4; ++i)
      to.v[i] = vreinterpretq_f32_u32(vshll_n_u16(load_4_words(p + 8 * i), 16));
    return to;
  }
  static inline F32 load_half_powers(const std::byte* p) {
    const Words words = load_words(reinterpret_cast<const std::uint8_t*>(p));
    F32 to;
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t e = words.v[i], one = vdupq_n_u32(1);
      const uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, one), 23);
      const uint32x4_t tiny = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
      to.v[i] = vreinterpretq_f32_u32(vbslq_u32(vcgtq_u32(e, one), normal, tiny));
    }
    return to;
  }
  static inline F32 load_unsigned(const std::uint8_t* p) {
    const Words words = load_words(p);
    F32 to;
    for (int i = 0; i < 4; ++i) to.v[i] = vcvtq_f32_u32(words.v[i]);
    return to;
  }
  static inline F32 load_signed(const std::byte* p) {
    const int8x16_t bytes = vld1q_s8(reinterpret_cast<const std::int8_t*>(p));
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return to_float({{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)),
                      vmovl_s16(vget_low_s16(high)), vmovl_s16(vget_high_s16(high))}});
  }
  static inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }
  static inline void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

  static inline std::int32_t load_int(const void* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, 4);
    return word;
  }
  static inline int8x16_t broadcast_bytes(const void* p) {
    return vreinterpretq_s8_s32(vdupq_n_s32(load_int(p)));
  }

 private:
  struct Words {
    uint32x4_t v[4];
  };
  static inline I32 all(int32x4_t x) { return {{x, x, x, x}}; }
  static inline uint16x4_t load_4_words(const std::byte* p) {
    return vreinterpret_u16_u8(vld1_u8(reinterpret_cast<const std::uint8_t*>(p)));
  }
  static inline Words load_words(const std::uint8_t* p) {
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    return {{vmovl_u16(vget_low_u16(low)), vmovl_u16(vget_high_u16(low)),
             vmovl_u16(vget_low_u16(high)), vmovl_u16(vget_high_u16(high))}};
  }
};

}  // namespace
}  // namespace engine::cpu
