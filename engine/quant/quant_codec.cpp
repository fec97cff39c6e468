// SPDX-License-Identifier: MIT
#include "engine/quant/quant_codec.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace engine {
namespace {

void decode_f32(const std::byte* from, std::size_t n_weights, float* to) {
  std::memcpy(to, from, n_weights * sizeof(float));
}

void encode_f32(const float* from, std::size_t n_weights, const float* /*importance*/,
                std::byte* to) {
  std::memcpy(to, from, n_weights * sizeof(float));
}

const std::array kCodecs = {
    QuantCodec{hwdb::tensor_type("F32"), decode_f32, encode_f32},
};

}  // namespace

std::span<const QuantCodec> quant_codecs() {
  return kCodecs;
}

const QuantCodec* find_quant_codec(hwdb::TensorType type) {
  const auto* it = std::ranges::find(kCodecs, type, &QuantCodec::type);
  return it != kCodecs.end() ? it : nullptr;
}

}  // namespace engine
