// SPDX-License-Identifier: MIT
#include "engine/quant/quant_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "engine/quant/block_float.h"
#include "engine/quant/block_iq1.h"
#include "engine/quant/block_iq2.h"
#include "engine/quant/block_iq3.h"
#include "engine/quant/block_iq4.h"
#include "engine/quant/block_mxfp4.h"
#include "engine/quant/block_q2_k.h"
#include "engine/quant/block_q3_k.h"
#include "engine/quant/block_q4_0.h"
#include "engine/quant/block_q4_k.h"
#include "engine/quant/block_q5_0.h"
#include "engine/quant/block_q6_k.h"
#include "engine/quant/block_q8_0.h"
#include "engine/quant/block_tq.h"

namespace engine {
namespace {

std::array<QuantCodec, 25> make_codecs() {
  using namespace quant;
  return {{
      {hwdb::tensor_type("F32"), decode_f32, encode_f32},
      {hwdb::tensor_type("F16"), decode_f16, encode_f16},
      {hwdb::tensor_type("BF16"), decode_bf16, encode_bf16},
      {hwdb::tensor_type("Q4_0"), decode_q4_0, encode_q4_0},
      {hwdb::tensor_type("Q4_1"), decode_q4_1, encode_q4_1},
      {hwdb::tensor_type("Q5_0"), decode_q5_0, encode_q5_0},
      {hwdb::tensor_type("Q5_1"), decode_q5_1, encode_q5_1},
      {hwdb::tensor_type("Q8_0"), decode_q8_0, encode_q8_0},
      {hwdb::tensor_type("Q2_K"), decode_q2_k, encode_q2_k},
      {hwdb::tensor_type("Q3_K"), decode_q3_k, encode_q3_k},
      {hwdb::tensor_type("Q4_K"), decode_q4_k, encode_q4_k},
      {hwdb::tensor_type("Q5_K"), decode_q5_k, encode_q5_k},
      {hwdb::tensor_type("Q6_K"), decode_q6_k, encode_q6_k},
      {hwdb::tensor_type("IQ4_NL"), decode_iq4_nl, encode_iq4_nl},
      {hwdb::tensor_type("IQ4_XS"), decode_iq4_xs, encode_iq4_xs},
      {hwdb::tensor_type("IQ3_S"), decode_iq3_s, nullptr},
      {hwdb::tensor_type("IQ3_XXS"), decode_iq3_xxs, nullptr},
      {hwdb::tensor_type("IQ2_XXS"), decode_iq2_xxs, nullptr},
      {hwdb::tensor_type("IQ2_XS"), decode_iq2_xs, nullptr},
      {hwdb::tensor_type("IQ2_S"), decode_iq2_s, nullptr},
      {hwdb::tensor_type("IQ1_S"), decode_iq1_s, nullptr},
      {hwdb::tensor_type("IQ1_M"), decode_iq1_m, nullptr},
      {hwdb::tensor_type("TQ1_0"), decode_tq1_0, encode_tq1_0},
      {hwdb::tensor_type("TQ2_0"), decode_tq2_0, encode_tq2_0},
      {hwdb::tensor_type("MXFP4"), decode_mxfp4, encode_mxfp4},
  }};
}

}  // namespace

std::span<const QuantCodec> quant_codecs() {
  static const std::array codecs = make_codecs();
  return codecs;
}

const QuantCodec* find_quant_codec(hwdb::TensorType type) {
  const std::span<const QuantCodec> codecs = quant_codecs();
  const auto it = std::ranges::find(codecs, type, &QuantCodec::type);
  return it != codecs.end() ? &*it : nullptr;
}

bool all_finite(std::span<const float> weights) {
  std::uint32_t bad = 0;
  for (const float weight : weights) {
    // All exponent bits set: adding one below them carries into the sign.
    bad |= (std::bit_cast<std::uint32_t>(weight) & 0x7f800000) + 0x00800000;
  }
  return bad >> 31 == 0;
}

}  // namespace engine
