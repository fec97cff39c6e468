// SPDX-License-Identifier: MIT
#include "engine/cpu/attention-inl.h"
#include "engine/cpu/vectors_plain-inl.h"

namespace engine::cpu {
namespace {

struct PlainDot {
  struct Sum {
    std::int32_t lane[PlainVectors::kWidth];
  };
  struct Keys {
    const std::byte* words;
  };
  struct Query {
    const std::byte* word;
  };
  static constexpr bool kUnsignedKeys = false;
  static constexpr int kColumns = 2, kVectors = 2;
  static Sum set(std::int32_t x) { return {{x, x, x, x}}; }
  static Keys load_keys(const std::byte* p) { return {p}; }
  static Query load_query(const std::byte* p) { return {p}; }
  static Sum dot(Sum sum, Keys keys, Query query) {
    for (int lane = 0; lane < PlainVectors::kWidth; ++lane) {
      for (int i = 0; i < 4; ++i) {
        sum.lane[lane] += static_cast<std::int8_t>(keys.words[4 * lane + i]) *
                          static_cast<std::int8_t>(query.word[i]);
      }
    }
    return sum;
  }
  static PlainVectors::F to_floats(Sum x) {
    PlainVectors::F floats = PlainVectors::zero();
    for (int i = 0; i < PlainVectors::kWidth; ++i) floats[i] = static_cast<float>(x.lane[i]);
    return floats;
  }
};

constexpr AttentionKernels kKernels = attention_kernels<PlainVectors, PlainDot>();

}  // namespace

const AttentionKernels* plain_attention() {
  return &kKernels;
}

}  // namespace engine::cpu
