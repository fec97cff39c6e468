// SPDX-License-Identifier: MIT
#include "engine/cpu/panel_layout.h"

#include <algorithm>
#include <array>
#include <cstring>

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

namespace engine::cpu {
namespace {

using quant::Bits16;
using Byte = std::uint8_t;
using Rows = const std::byte* const (&)[kPanelRows];
using Groups = Byte[8][kGroupBytes];

// ---- Codes of a block of 32 columns, group by group, into lines of bits. ----

void put_nibbles(const Groups& groups, Byte* to) {
  for (unsigned i = 0; i < 4; ++i) {
    for (unsigned j = 0; j < kGroupBytes; ++j)
      to[64 * i + j] = static_cast<Byte>((groups[i][j] & 15) | groups[i + 4][j] << 4);
  }
}

void put_pairs_of_bits(const Groups& groups, unsigned shift, Byte* to) {
  for (unsigned i = 0; i < 2; ++i) {
    for (unsigned j = 0; j < kGroupBytes; ++j) {
      unsigned bits = 0;
      for (unsigned g = 0; g < 4; ++g) bits |= (groups[4 * i + g][j] >> shift & 3u) << (2 * g);
      to[64 * i + j] = static_cast<Byte>(bits);
    }
  }
}

void put_bits(const Groups& groups, unsigned shift, Byte* to) {
  for (unsigned j = 0; j < kGroupBytes; ++j) {
    unsigned bits = 0;
    for (unsigned g = 0; g < 8; ++g) bits |= (groups[g][j] >> shift & 1u) << g;
    to[j] = static_cast<Byte>(bits);
  }
}

/// Writes codes of that many bits; returns what follows.
template <unsigned kBits>
Byte* put_codes(const Groups& groups, Byte* to) {
  if constexpr (kBits == 8) {
    std::memcpy(to, groups, sizeof(Groups));
    return to + 512;
  } else if constexpr (kBits >= 4) {
    put_nibbles(groups, to);
    if constexpr (kBits == 5) put_bits(groups, 4, to + 256);
    if constexpr (kBits == 6) put_pairs_of_bits(groups, 4, to + 256);
  } else {
    put_pairs_of_bits(groups, 0, to);
    if constexpr (kBits == 3) put_bits(groups, 2, to + 128);
  }
  return to + 64 * kBits;
}

// ---- Codes of block b of 32 columns of a row's block, in order. ----

void add_nibbles(const Byte (&qs)[16], Byte* codes) {
  for (unsigned j = 0; j < 16; ++j) {
    codes[j] = qs[j] & 15;
    codes[16 + j] = qs[j] >> 4;
  }
}

void add_fifth_bits(const Byte (&qh)[4], Byte* codes) {
  for (unsigned j = 0; j < 32; ++j)
    codes[j] = static_cast<Byte>(codes[j] | (qh[j / 8] >> j % 8 & 1) << 4);
}

/// Blocks whose codes are halves of bytes in the order of BlockQ4_0.
template <class Block>
void read_codes(const Block& block, unsigned /*b*/, Byte* codes) {
  add_nibbles(block.qs, codes);
  if constexpr (requires { block.qh; }) add_fifth_bits(block.qh, codes);
}

void read_codes(const quant::BlockQ8_0& block, unsigned /*b*/, Byte* codes) {
  for (unsigned j = 0; j < 32; ++j) codes[j] = static_cast<Byte>(block.qs[j] + 128);
}

void read_codes(const quant::BlockIQ4_XS& block, unsigned b, Byte* codes) {
  for (unsigned j = 0; j < 16; ++j) {
    codes[j] = block.qs[16 * b + j] & 15;
    codes[16 + j] = block.qs[16 * b + j] >> 4;
  }
}

void read_two_bits(const Byte (&qs)[64], unsigned b, Byte* codes) {
  for (unsigned j = 0; j < 32; ++j) codes[j] = qs[32 * (b / 4) + j] >> (2 * (b % 4)) & 3;
}

void read_codes(const quant::BlockQ2_K& block, unsigned b, Byte* codes) {
  read_two_bits(block.qs, b, codes);
}

void read_codes(const quant::BlockTQ2_0& block, unsigned b, Byte* codes) {
  read_two_bits(block.qs, b, codes);
}

void read_codes(const quant::BlockQ3_K& block, unsigned b, Byte* codes) {
  read_two_bits(block.qs, b, codes);
  for (unsigned j = 0; j < 32; ++j)
    codes[j] = static_cast<Byte>(codes[j] | (block.hmask[j] >> b & 1) << 2);
}

void read_codes(const quant::BlockQ4_K& block, unsigned b, Byte* codes) {
  for (unsigned j = 0; j < 32; ++j) codes[j] = block.qs[32 * (b / 2) + j] >> (4 * (b % 2)) & 15;
}

void read_codes(const quant::BlockQ5_K& block, unsigned b, Byte* codes) {
  for (unsigned j = 0; j < 32; ++j) {
    const unsigned low = block.qs[32 * (b / 2) + j] >> (4 * (b % 2)) & 15u;
    codes[j] = static_cast<Byte>(low | (block.qh[j] >> b & 1u) << 4);
  }
}

void read_codes(const quant::BlockQ6_K& block, unsigned b, Byte* codes) {
  const unsigned half = b / 4, part = b % 4;
  for (unsigned j = 0; j < 32; ++j) {
    const unsigned low = block.ql[64 * half + 32 * (part % 2) + j] >> (4 * (part / 2)) & 15u;
    codes[j] = static_cast<Byte>(low | (block.qh[32 * half + j] >> (2 * part) & 3u) << 4);
  }
}

// ---- Scales of a chunk: `block(r, b)` is row r's block b of the chunk. ----

void put(Bits16 bits, Byte* to) {
  to[0] = bits.low;
  to[1] = bits.high;
}

template <class Block, class At>
void put_scales(const At& block, unsigned n_blocks, Byte* to) {
  for (unsigned b = 0; b < n_blocks; ++b) {
    for (unsigned r = 0; r < kPanelRows; ++r) {
      if constexpr (requires(Block x) { x.e; }) {
        to[16 * b + r] = block(r, b).e;
      } else if constexpr (requires(Block x) { x.m; }) {
        put(block(r, b).d, to + 64 * b + 2 * r);
        put(block(r, b).m, to + 64 * b + 32 + 2 * r);
      } else {
        put(block(r, b).d, to + 32 * b + 2 * r);
      }
    }
  }
}

/// As read_six_bits of mat_mul_codes-inl.h reads them.
void put_six_bits(const Byte (&numbers)[16][kPanelRows], Byte* to) {
  for (unsigned i = 0; i < 8; ++i) {
    for (unsigned r = 0; r < kPanelRows; ++r)
      to[16 * i + r] = static_cast<Byte>((numbers[i][r] & 15) | numbers[i + 8][r] << 4);
  }
  for (unsigned j = 0; j < 4; ++j) {
    for (unsigned r = 0; r < kPanelRows; ++r) {
      unsigned bits = 0;
      for (unsigned n = 0; n < 4; ++n) bits |= (numbers[j + 4 * n][r] >> 4 & 3u) << (2 * n);
      to[128 + 16 * j + r] = static_cast<Byte>(bits);
    }
  }
}

template <class Block, class At>
requires(requires(Block x) { x.scales; }) void put_scales(const At& block, unsigned /*n_blocks*/,
                                                          Byte* to) {
  Byte* halves = to;  // where d begins
  if constexpr (std::is_same_v<Block, quant::BlockQ4_K> ||
                std::is_same_v<Block, quant::BlockQ5_K>) {
    Byte numbers[16][kPanelRows];
    for (unsigned r = 0; r < kPanelRows; ++r) {
      for (unsigned g = 0; g < 8; ++g) {
        const quant::ScaleAndMin pair = quant::scale_and_min_k(block(r, 0).scales, g);
        numbers[g][r] = pair.scale;
        numbers[8 + g][r] = pair.min;
      }
    }
    put_six_bits(numbers, to);
    halves = to + 192;
  } else if constexpr (std::is_same_v<Block, quant::BlockQ3_K>) {
    Byte numbers[16][kPanelRows];
    for (unsigned r = 0; r < kPanelRows; ++r) {
      for (unsigned g = 0; g < 16; ++g)
        numbers[g][r] = static_cast<Byte>(quant::scale_of_q3_k(block(r, 0).scales, g));
    }
    put_six_bits(numbers, to);
    halves = to + 192;
  } else {
    for (unsigned g = 0; g < 16; ++g) {
      for (unsigned r = 0; r < kPanelRows; ++r)
        to[16 * g + r] = static_cast<Byte>(block(r, 0).scales[g]);
    }
    halves = to + 256;
  }
  for (unsigned r = 0; r < kPanelRows; ++r) {
    put(block(r, 0).d, halves + 2 * r);
    if constexpr (requires(Block x) { x.dmin; }) put(block(r, 0).dmin, halves + 32 + 2 * r);
  }
}

template <class Block, class At>
requires(requires(Block x) { x.scales_h; }) void put_scales(const At& block, unsigned /*n_blocks*/,
                                                            Byte* to) {
  Byte numbers[8][kPanelRows];
  for (unsigned r = 0; r < kPanelRows; ++r) {
    for (unsigned g = 0; g < 8; ++g)
      numbers[g][r] = static_cast<Byte>(quant::scale_of_iq4_xs(block(r, 0), g));
    put(block(r, 0).d, to + 96 + 2 * r);
  }
  for (unsigned i = 0; i < 4; ++i) {
    for (unsigned r = 0; r < kPanelRows; ++r)
      to[16 * i + r] = static_cast<Byte>((numbers[i][r] & 15) | numbers[i + 4][r] << 4);
  }
  for (unsigned j = 0; j < 2; ++j) {
    for (unsigned r = 0; r < kPanelRows; ++r) {
      unsigned bits = 0;
      for (unsigned n = 0; n < 4; ++n) bits |= (numbers[j + 2 * n][r] >> 4 & 3u) << (2 * n);
      to[64 + 16 * j + r] = static_cast<Byte>(bits);
    }
  }
}

/// Panels of a type with blocks of kColumns and codes of kBits.
template <class Block, unsigned kColumns, unsigned kBits>
void pack_blocks(Rows rows, std::uint32_t n_cols, std::byte* panel) {
  static constexpr Block kZeros{};
  constexpr unsigned kOfChunk = kChunkColumns / kColumns;
  Byte* to = reinterpret_cast<Byte*>(panel);
  const Byte* const begin = to;
  for (std::uint32_t first = 0; first < n_cols / kColumns; first += kOfChunk) {
    const unsigned n_blocks = std::min(kOfChunk, n_cols / kColumns - first);
    const auto block = [&](unsigned r, unsigned b) -> const Block& {
      return rows[r] == nullptr ? kZeros : reinterpret_cast<const Block*>(rows[r])[first + b];
    };
    for (unsigned b = 0; b < n_blocks * kColumns / 32; ++b) {
      Groups groups;
      for (unsigned r = 0; r < kPanelRows; ++r) {
        Byte codes[32];
        read_codes(block(r, b * 32 / kColumns), b % (kColumns / 32), codes);
        for (unsigned g = 0; g < 8; ++g) std::memcpy(groups[g] + 4 * r, codes + 4 * g, 4);
      }
      to = put_codes<kBits>(groups, to);
    }
    put_scales<Block>(block, n_blocks, to);
    to = const_cast<Byte*>(begin) + std::size_t{kPanelRows} * (first + n_blocks) * sizeof(Block);
  }
}

template <unsigned kBytes>
void pack_floats(Rows rows, std::uint32_t n_cols, std::byte* panel) {
  for (std::uint32_t k = 0; k < n_cols; ++k) {
    for (unsigned r = 0; r < kPanelRows; ++r) {
      std::byte* to = panel + (std::size_t{k} * kPanelRows + r) * kBytes;
      if (rows[r] == nullptr) {
        std::memset(to, 0, kBytes);
      } else {
        std::memcpy(to, rows[r] + std::size_t{k} * kBytes, kBytes);
      }
    }
  }
}

struct NamedLayout {
  hwdb::TensorType type;
  PanelLayout layout;
};

template <class Block, unsigned kColumns, unsigned kBits>
NamedLayout make_row(std::string_view name, PanelFormat format, XForm x_form, unsigned sub_block,
                     int centre) {
  static_assert(alignof(Block) == 1);
  return {hwdb::tensor_type(name),
          {format, x_form, kColumns, sizeof(Block), sub_block, centre,
           pack_blocks<Block, kColumns, kBits>}};
}

template <unsigned kBytes>
NamedLayout make_float_row(std::string_view name, PanelFormat format) {
  return {hwdb::tensor_type(name), {format, XForm::f32, 1, kBytes, 0, 0, pack_floats<kBytes>}};
}

const auto& layouts() {
  using namespace quant;
  using enum PanelFormat;
  static const std::array rows = {
      make_row<BlockQ4_0, 32, 4>("Q4_0", q4_0, XForm::centred_32, 32, 8),
      make_row<BlockQ4_1, 32, 4>("Q4_1", q4_1, XForm::sums_32, 32, 0),
      make_row<BlockQ5_0, 32, 5>("Q5_0", q5_0, XForm::centred_32, 32, 16),
      make_row<BlockQ5_1, 32, 5>("Q5_1", q5_1, XForm::sums_32, 32, 0),
      make_row<BlockQ8_0, 32, 8>("Q8_0", q8_0, XForm::centred_32, 32, 128),
      make_row<BlockQ2_K, 256, 2>("Q2_K", q2_k, XForm::sums_256x16, 16, 0),
      make_row<BlockQ3_K, 256, 3>("Q3_K", q3_k, XForm::centred_256x16, 16, 4),
      make_row<BlockQ4_K, 256, 4>("Q4_K", q4_k, XForm::sums_256x32, 32, 0),
      make_row<BlockQ5_K, 256, 5>("Q5_K", q5_k, XForm::sums_256x32, 32, 0),
      make_row<BlockQ6_K, 256, 6>("Q6_K", q6_k, XForm::centred_256x16, 16, 32),
      make_row<BlockIQ4_NL, 32, 4>("IQ4_NL", iq4_nl, XForm::centred_32, 32, 128),
      make_row<BlockIQ4_XS, 256, 4>("IQ4_XS", iq4_xs, XForm::centred_256x32, 32, 128),
      make_row<BlockMXFP4, 32, 4>("MXFP4", mxfp4, XForm::centred_32, 32, 16),
      make_row<BlockTQ2_0, 256, 2>("TQ2_0", tq2_0, XForm::centred_256x32, 32, 1),
      make_float_row<2>("F16", f16),
      make_float_row<2>("BF16", bf16),
      make_float_row<4>("F32", f32),
  };
  return rows;
}

}  // namespace

const PanelLayout* find_panel_layout(hwdb::TensorType type) {
  const auto it = std::ranges::find(layouts(), type, &NamedLayout::type);
  return it != layouts().end() ? &it->layout : nullptr;
}

std::size_t bytes_of_panel(const PanelLayout& layout, std::uint32_t n_cols) {
  return std::size_t{kPanelRows} * (n_cols / layout.columns) * layout.bytes;
}

std::size_t record_bytes(XForm form, std::uint32_t n_cols) {
  switch (form) {
    case XForm::f32:
      return 0;
    case XForm::centred_32:
    case XForm::sums_32:
      return n_cols / 32 * std::size_t{kRecord32Bytes};
    case XForm::centred_256x32:
    case XForm::sums_256x32:
      return n_cols / 256 * std::size_t{kRecord256x32Bytes};
    case XForm::centred_256x16:
    case XForm::sums_256x16:
      return n_cols / 256 * std::size_t{kRecord256x16Bytes};
  }
  return 0;
}

}  // namespace engine::cpu
