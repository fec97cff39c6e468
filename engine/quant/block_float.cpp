// SPDX-License-Identifier: MIT
#include "engine/quant/block_float.h"

#include <cstring>

#include "engine/quant/block_access.h"
#include "engine/quant/half.h"

namespace engine::quant {

void decode_f32(const std::byte* from, std::size_t n_weights, float* to) {
  if (n_weights > 0) std::memcpy(to, from, n_weights * sizeof(float));
}

void encode_f32(const float* from, std::size_t n_weights, const float* /*importance*/,
                std::byte* to) {
  if (n_weights > 0) std::memcpy(to, from, n_weights * sizeof(float));
}

void decode_f16(const std::byte* from, std::size_t n_weights, float* to) {
  const Bits16* halves = blocks_at<Bits16>(from);
  for (std::size_t i = 0; i < n_weights; ++i) to[i] = fp16_to_float(halves[i]);
}

void encode_f16(const float* from, std::size_t n_weights, const float* /*importance*/,
                std::byte* to) {
  Bits16* halves = blocks_at<Bits16>(to);
  for (std::size_t i = 0; i < n_weights; ++i) halves[i] = to_half(from[i]);
}

void decode_bf16(const std::byte* from, std::size_t n_weights, float* to) {
  const Bits16* numbers = blocks_at<Bits16>(from);
  for (std::size_t i = 0; i < n_weights; ++i) to[i] = bf16_to_float(numbers[i].bits());
}

void encode_bf16(const float* from, std::size_t n_weights, const float* /*importance*/,
                 std::byte* to) {
  Bits16* numbers = blocks_at<Bits16>(to);
  for (std::size_t i = 0; i < n_weights; ++i) numbers[i] = to_bits16(float_to_bf16(from[i]));
}

}  // namespace engine::quant
