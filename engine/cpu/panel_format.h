// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

/// How 16 rows of weights lie side by side, and the form of activations that each layout is
/// multiplied with. Files with compile flags of their own include this header: no inline function
/// and no header of the standard library that has one.
namespace engine::cpu {

inline constexpr unsigned kPanelRows = 16;
/// Columns of a chunk. A panel is one chunk after the other: the codes of its blocks of 32 columns,
/// then their scales. The last chunk of a type with blocks of 32 may have fewer.
inline constexpr unsigned kChunkColumns = 256;
/// Codes of four neighbouring columns of all rows: byte 4 * row + column % 4. A block of 32 columns
/// has groups 0...7. Of a code's bits,
///  - nibbles: byte j of line i (of 4) holds groups i (low) and i + 4 (high),
///  - pairs of bits: byte j of line i (of 2) holds groups 4 i...4 i + 3, from the lowest bits,
///  - single bits: byte j of the one line holds groups 0...7, from the lowest bit,
///  - bytes: line i (of 8) holds group i.
inline constexpr unsigned kGroupBytes = 64;

/// What panels are made of. The last two are no types of files: bytes + 64 with a float scale for
/// each 32 or 16 columns, which rows of types without panels are decoded to, block by block.
enum class PanelFormat : std::uint8_t {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  tq2_0,
  f16,
  bf16,
  f32,
  i8_x32,
  i8_x16
};
inline constexpr unsigned kPanelFormats = 19;

/// Forms of activations. f32: the floats. Others are records of 32 or 256 signed bytes with a
/// float scale, and a word for every 16 or 32 bytes from their sum: int32 -128 * sum, which centres
/// unsigned codes (`centred`), or a float that minimums are multiplied with (`sums`), the sum (in
/// records of 32: times the scale).
enum class XForm : std::uint8_t {
  f32,
  centred_32,
  sums_32,
  centred_256x32,
  centred_256x16,
  sums_256x32,
  sums_256x16
};
inline constexpr unsigned kXForms = 7;

/// A record of 32 columns: bytes, scale, word.
inline constexpr unsigned kRecord32Bytes = 40, kRecord32Scale = 32, kRecord32Word = 36;
/// A record of 256 columns: bytes, scale, words.
inline constexpr unsigned kRecord256Scale = 256, kRecord256Words = 260;
inline constexpr unsigned kRecord256x32Bytes = 292, kRecord256x16Bytes = 324;

}  // namespace engine::cpu
