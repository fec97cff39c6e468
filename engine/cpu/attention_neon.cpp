// SPDX-License-Identifier: MIT
#include "engine/cpu/attention_kernels.h"

#if defined(__aarch64__)
#include "engine/cpu/attention-inl.h"
#include "engine/cpu/vectors_neon-inl.h"

namespace engine::cpu {
namespace {

struct NeonDot {
  using Sum = int32x4_t;
  using Keys = int8x16_t;
  using Query = int8x16_t;
  static constexpr bool kUnsignedKeys = false;
  static constexpr int kColumns = 4, kVectors = 2;
  static Sum set(std::int32_t x) { return vdupq_n_s32(x); }
  static Keys load_keys(const std::byte* p) {
    return vld1q_s8(reinterpret_cast<const std::int8_t*>(p));
  }
  static Query load_query(const std::byte* p) {
    std::int32_t word = 0;
    __builtin_memcpy(&word, p, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
  }
  static Sum dot(Sum sum, Keys keys, Query query) {
    const int16x8_t low = vmull_s8(vget_low_s8(keys), vget_low_s8(query));
    const int16x8_t high = vmull_high_s8(keys, query);
    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
  }
  static float32x4_t to_floats(Sum x) { return vcvtq_f32_s32(x); }
};

constexpr AttentionKernels kKernels = attention_kernels<NeonVectors, NeonDot>();

}  // namespace

const AttentionKernels* neon_attention() {
  return &kKernels;
}

}  // namespace engine::cpu
#else
namespace engine::cpu {

const AttentionKernels* neon_attention() {
  return nullptr;
}

}  // namespace engine::cpu
#endif
