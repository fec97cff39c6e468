// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

/// Types without blocks. The codecs take importance for the common signature only.
namespace engine::quant {

/// As QuantCodec says.
void decode_f32(const std::byte* from, std::size_t n_weights, float* to);
void encode_f32(const float* from, std::size_t n_weights, const float* importance, std::byte* to);
void decode_f16(const std::byte* from, std::size_t n_weights, float* to);
void encode_f16(const float* from, std::size_t n_weights, const float* importance, std::byte* to);
void decode_bf16(const std::byte* from, std::size_t n_weights, float* to);
void encode_bf16(const float* from, std::size_t n_weights, const float* importance, std::byte* to);

}  // namespace engine::quant
