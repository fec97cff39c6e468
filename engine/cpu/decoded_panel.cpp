// SPDX-License-Identifier: MIT
#include "engine/cpu/decoded_panel.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/quant/block_iq1.h"
#include "engine/quant/block_iq2.h"
#include "engine/quant/block_iq3.h"
#include "engine/quant/block_tq.h"
#include "engine/quant/code_books.h"

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

constexpr std::uint32_t kOffset = 0x40404040;  // of four bytes; codes are from -62 to 62

/// Four bytes of ones where a bit of the low four of `signs` is set.
constexpr std::array<std::uint32_t, 16> kSignMasks = [] {
  std::array<std::uint32_t, 16> masks{};
  for (std::uint32_t signs = 0; signs < 16; ++signs) {
    for (std::uint32_t j = 0; j < 4; ++j) masks[signs] |= (signs >> j & 1) * 0xffu << (8 * j);
  }
  return masks;
}();

/// quant::signs_of_7_bits, looked up.
constexpr std::array<std::uint8_t, 128> kSignsOf7Bits = [] {
  std::array<std::uint8_t, 128> signs{};
  for (unsigned bits = 0; bits < 128; ++bits) signs[bits] = quant::signs_of_7_bits(bits);
  return signs;
}();
unsigned signs_of(std::uint32_t bits) {
  return kSignsOf7Bits[bits & 127];
}

/// Four codes + 64 of a point with levels up to 62. No byte carries into its neighbour.
std::uint32_t signed_codes(std::uint32_t point, unsigned signs) {
  return kOffset + point - ((point & kSignMasks[signs & 15]) << 1);
}

/// Where a row's codes of 32 columns go: four of each of eight groups.
class Codes {
 public:
  explicit Codes(std::uint8_t* first) : at_(first) {}
  void put(unsigned group, std::uint32_t four) const {
    std::memcpy(at_ + kGroupBytes * group, &four, 4);
  }
  void put_signed(unsigned point, std::uint64_t levels, unsigned signs) const {
    put(2 * point, signed_codes(static_cast<std::uint32_t>(levels), signs));
    put(2 * point + 1, signed_codes(static_cast<std::uint32_t>(levels >> 32), signs >> 4));
  }
  /// 8 * level + 1 or - 1; `levels` are one above what they mean.
  void put_shifted(unsigned point, std::uint64_t levels, bool down) const {
    const std::uint64_t codes = (levels << 3) + (down ? 0x3737373737373737u : 0x3939393939393939u);
    put(2 * point, static_cast<std::uint32_t>(codes));
    put(2 * point + 1, static_cast<std::uint32_t>(codes >> 32));
  }

 private:
  std::uint8_t* at_;
};

/// kIq1Grid with one added to each level, so that bytes have no signs.
const std::array<std::uint64_t, 2048>& raised_iq1_grid() {
  static const auto grid = [] {
    std::array<std::uint64_t, 2048> raised{};
    for (std::size_t i = 0; i < raised.size(); ++i) {
      for (unsigned j = 0; j < 64; j += 8)
        raised[i] |= (((quant::kIq1Grid[i] >> j) + 1) & 255) << j;
    }
    return raised;
  }();
  return grid;
}

void read_codes(const quant::BlockIQ1_S& block, unsigned g, const Codes& to) {
  const auto& grid = raised_iq1_grid();
  const unsigned high = block.qh[g].bits();
  for (unsigned p = 0; p < 4; ++p)
    to.put_shifted(p, grid[block.qs[4 * g + p] | (high >> (3 * p) & 7) << 8], (high & 0x8000) != 0);
}

void read_codes(const quant::BlockIQ1_M& block, unsigned g, const Codes& to) {
  const auto& grid = raised_iq1_grid();
  for (unsigned p = 0; p < 4; ++p) {
    const unsigned high = static_cast<unsigned>(block.qh[2 * g + p / 2]) >> (4 * (p % 2));
    to.put_shifted(p, grid[block.qs[4 * g + p] | (high & 7) << 8], (high & 8) != 0);
  }
}

std::uint32_t word_of(const std::uint8_t (&bytes)[4]) {
  return bytes[0] | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

void read_codes(const quant::BlockIQ2_XXS& block, unsigned g, const Codes& to) {
  const std::uint32_t word = word_of(block.groups[g].scale_and_signs);
  for (unsigned p = 0; p < 4; ++p) {
    to.put_signed(p, quant::kIq2XxsGrid[block.groups[g].points[p]], signs_of(word >> (7 * p)));
  }
}

void read_codes(const quant::BlockIQ2_XS& block, unsigned g, const Codes& to) {
  for (unsigned p = 0; p < 4; ++p) {
    const unsigned field = block.qs[4 * g + p].bits();
    to.put_signed(p, quant::kIq2XsGrid[field & 511], signs_of(field >> 9));
  }
}

void read_codes(const quant::BlockIQ2_S& block, unsigned g, const Codes& to) {
  for (unsigned p = 0; p < 4; ++p) {
    const unsigned high = static_cast<unsigned>(block.qh[g]) >> (2 * p) & 3;
    to.put_signed(p, quant::kIq2SGrid[block.qs[4 * g + p] | high << 8], block.signs[4 * g + p]);
  }
}

void read_codes(const quant::BlockIQ3_XXS& block, unsigned g, const Codes& to) {
  const std::uint32_t word = word_of(block.scales_and_signs[g]);
  for (unsigned p = 0; p < 8; ++p) {
    const unsigned signs = signs_of(word >> (7 * (p / 2)));
    to.put(p, signed_codes(quant::kIq3XxsGrid[block.points[8 * g + p]], signs >> (4 * (p % 2))));
  }
}

void read_codes(const quant::BlockIQ3_S& block, unsigned g, const Codes& to) {
  for (unsigned p = 0; p < 8; ++p) {
    const unsigned high = static_cast<unsigned>(block.qh[g]) >> p & 1;
    const unsigned signs = static_cast<unsigned>(block.signs[4 * g + p / 2]) >> (4 * (p % 2));
    to.put(p, signed_codes(quant::kIq3SGrid[block.qs[8 * g + p] | high << 8], signs));
  }
}

void read_codes(const quant::BlockTQ1_0& block, unsigned g, const Codes& to) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  std::uint8_t codes[32];
  const auto code = [&](unsigned byte, unsigned digit) {
    return static_cast<std::uint8_t>(63 + ((byte * kPowers[digit] & 255) * 3 >> 8));
  };
  // Digits lie 32 bytes, then 16, then 4 at a time.
  if (g < 5) {
    for (unsigned j = 0; j < 32; ++j) codes[j] = code(block.qs[j], g);
  } else {
    for (unsigned j = 0; j < 32; ++j) {
      const unsigned k = 32 * g + j - 160;
      codes[j] = k < 80 ? code(block.qs[32 + k % 16], k / 16) : code(block.qh[k % 4], (k - 80) / 4);
    }
  }
  for (unsigned p = 0; p < 8; ++p)
    to.put(p, word_of({codes[4 * p], codes[4 * p + 1], codes[4 * p + 2], codes[4 * p + 3]}));
}

template <class Block, unsigned kSub>
void decode_blocks(const std::byte* const (&rows)[kPanelRows], std::uint32_t n_cols,
                   std::byte* panel) {
  static constexpr Block kZeros{};
  constexpr unsigned kSubs = 256 / kSub;
  for (std::uint32_t chunk = 0; chunk < n_cols / 256; ++chunk) {
    auto* codes = reinterpret_cast<std::uint8_t*>(panel);
    auto* scales = reinterpret_cast<float*>(panel + 16 * 256);
    for (unsigned r = 0; r < kPanelRows; ++r) {
      const Block& block =
          rows[r] != nullptr ? reinterpret_cast<const Block*>(rows[r])[chunk] : kZeros;
      for (unsigned g = 0; g < 8; ++g) {
        read_codes(block, g, Codes(codes + 512 * g + 4 * r));
        const Steps steps = steps_of(block, g);
        scales[16 * (g * kSubs / 8) + r] = steps.first;
        if constexpr (kSub == 16) scales[16 * (2 * g + 1) + r] = steps.last;
      }
    }
    panel += 16 * 256 + 64 * kSubs;
  }
}

struct Decoder {
  hwdb::TensorType type;
  PanelLayout layout;
  void (*decode)(const std::byte* const (&rows)[kPanelRows], std::uint32_t n_cols,
                 std::byte* panel);
};

template <class Block, unsigned kSub>
Decoder make_row(std::string_view name) {
  return {hwdb::tensor_type(name),
          {kSub == 16 ? PanelFormat::i8_x16 : PanelFormat::i8_x32,
           kSub == 16 ? XForm::centred_256x16 : XForm::centred_256x32, 256, 256 + 4 * 256 / kSub,
           kSub, 64, nullptr},
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
  return it != decoders().end() ? &*it : nullptr;
}

}  // namespace

const PanelLayout* find_decoded_layout(hwdb::TensorType type) {
  const Decoder* decoder = find_decoder(type);
  return decoder != nullptr ? &decoder->layout : nullptr;
}

void decode_panel(hwdb::TensorType type, const std::byte* const (&rows)[kPanelRows],
                  std::uint32_t n_cols, std::byte* panel) {
  find_decoder(type)->decode(rows, n_cols, panel);
}

}  // namespace engine::cpu
