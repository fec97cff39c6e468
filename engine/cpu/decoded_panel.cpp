// SPDX-License-Identifier: MIT
// Rows of types without panels, as bytes with float scales.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "engine/cpu/panel_layout.h"
#include "engine/quant/block_iq1.h"
#include "engine/quant/block_iq2.h"
#include "engine/quant/block_iq3.h"
#include "engine/quant/block_tq.h"
#include "engine/quant/quant_codec.h"

namespace engine::cpu {
namespace {

using quant::fp16_to_float;

/// What the codes of the 32 columns of group g are multiples of, for the first and the last 16.
struct Steps {
  float first, last;
};

Steps steps_of(const quant::BlockIQ1_S& block, unsigned g) {
  const int scale = block.qh[g].bits() >> 12 & 7;
  const float step = fp16_to_float(block.d) * static_cast<float>(2 * scale + 1) * 0.125f;
  return {step, step};
}

Steps steps_of(const quant::BlockIQ1_M& block, unsigned g) {
  const float d = fp16_to_float(quant::scale_bits_of_iq1_m(block)) * 0.125f;
  const int scales = block.scales[g / 2].bits() >> (6 * (g % 2));
  return {d * static_cast<float>(2 * (scales & 7) + 1),
          d * static_cast<float>(2 * (scales >> 3 & 7) + 1)};
}

Steps steps_of_halves(quant::Bits16 d, std::uint8_t scales) {
  const float quarter = fp16_to_float(d) * 0.25f;
  return {quarter * (static_cast<float>(scales & 15) + 0.5f),
          quarter * (static_cast<float>(scales >> 4) + 0.5f)};
}

Steps steps_of(const quant::BlockIQ2_XXS& block, unsigned g) {
  const int scale = block.groups[g].scale_and_signs[3] >> 4;
  const float step = fp16_to_float(block.d) * (static_cast<float>(scale) + 0.5f) * 0.25f;
  return {step, step};
}

Steps steps_of(const quant::BlockIQ2_XS& block, unsigned g) {
  return steps_of_halves(block.d, block.scales[g]);
}

Steps steps_of(const quant::BlockIQ2_S& block, unsigned g) {
  return steps_of_halves(block.d, block.scales[g]);
}

Steps steps_of(const quant::BlockIQ3_XXS& block, unsigned g) {
  const int scale = block.scales_and_signs[g][3] >> 4;
  const float step = fp16_to_float(block.d) * (static_cast<float>(scale) + 0.5f) * 0.5f;
  return {step, step};
}

Steps steps_of(const quant::BlockIQ3_S& block, unsigned g) {
  const int scale = block.scales[g / 2] >> (4 * (g % 2)) & 15;
  const float step = fp16_to_float(block.d) * static_cast<float>(2 * scale + 1);
  return {step, step};
}

Steps steps_of(const quant::BlockTQ1_0& block, unsigned /*g*/) {
  const float step = fp16_to_float(block.d);
  return {step, step};
}

constexpr unsigned kOffset = 64;  // of the bytes; all of these types have codes from -62 to 62

template <class Block, unsigned kSub>
void decode_blocks(hwdb::TensorType type, const std::byte* const (&rows)[kPanelRows],
                   std::uint32_t n_cols, std::byte* panel) {
  const QuantCodec* codec = find_quant_codec(type);
  constexpr unsigned kSubs = 256 / kSub;
  for (std::uint32_t chunk = 0; chunk < n_cols / 256; ++chunk) {
    auto* codes = reinterpret_cast<std::uint8_t*>(panel);
    auto* scales = reinterpret_cast<float*>(panel + 16 * 256);
    for (unsigned r = 0; r < kPanelRows; ++r) {
      float values[256] = {};
      Block block{};
      if (rows[r] != nullptr) {
        const std::byte* from = rows[r] + std::size_t{chunk} * sizeof(Block);
        std::memcpy(&block, from, sizeof(Block));
        codec->decode(from, 256, values);
      }
      for (unsigned sub = 0; sub < kSubs; ++sub) {
        const Steps steps = steps_of(block, sub * kSub / 32);
        const float step = kSub == 16 && sub % 2 == 1 ? steps.last : steps.first;
        const float inverse = step != 0 ? 1.0f / step : 0.0f;
        scales[16 * sub + r] = step;
        for (unsigned k = kSub * sub; k < kSub * (sub + 1); ++k) {
          // In this order a number that is none ends within the bounds too.
          const float code = std::max(-64.0f, std::min(63.0f, values[k] * inverse));
          codes[k / 4 * kGroupBytes + 4 * r + k % 4] =
              static_cast<std::uint8_t>(code + static_cast<float>(kOffset) + 0.5f);
        }
      }
    }
    panel += 16 * 256 + 64 * kSubs;
  }
}

struct Decoder {
  hwdb::TensorType type;
  PanelLayout layout;
  void (*decode)(hwdb::TensorType type, const std::byte* const (&rows)[kPanelRows],
                 std::uint32_t n_cols, std::byte* panel);
};

template <class Block, unsigned kSub>
Decoder make_row(std::string_view name) {
  return {hwdb::tensor_type(name),
          {kSub == 16 ? PanelFormat::i8_x16 : PanelFormat::i8_x32,
           kSub == 16 ? XForm::centred_256x16 : XForm::centred_256x32, 256, 256 + 4 * 256 / kSub,
           kSub, nullptr},
          decode_blocks<Block, kSub>};
}

const auto& decoders() {
  using namespace quant;
  static const std::array rows = {
      make_row<BlockIQ1_S, 32>("IQ1_S"),     make_row<BlockIQ1_M, 16>("IQ1_M"),
      make_row<BlockIQ2_XXS, 32>("IQ2_XXS"), make_row<BlockIQ2_XS, 16>("IQ2_XS"),
      make_row<BlockIQ2_S, 16>("IQ2_S"),     make_row<BlockIQ3_XXS, 32>("IQ3_XXS"),
      make_row<BlockIQ3_S, 32>("IQ3_S"),     make_row<BlockTQ1_0, 32>("TQ1_0"),
  };
  return rows;
}

const Decoder* find_decoder(hwdb::TensorType type) {
  const auto it = std::ranges::find(decoders(), type, &Decoder::type);
  return it != decoders().end() && find_quant_codec(type) != nullptr ? &*it : nullptr;
}

}  // namespace

const PanelLayout* find_decoded_layout(hwdb::TensorType type) {
  const Decoder* decoder = find_decoder(type);
  return decoder != nullptr ? &decoder->layout : nullptr;
}

void decode_panel(hwdb::TensorType type, const std::byte* const (&rows)[kPanelRows],
                  std::uint32_t n_cols, std::byte* panel) {
  find_decoder(type)->decode(type, rows, n_cols, panel);
}

}  // namespace engine::cpu
