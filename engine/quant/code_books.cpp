// SPDX-License-Identifier: MIT
#include "engine/quant/code_books.h"

namespace engine::quant {
namespace {

#include "engine/quant/code_books.inc"

// Each coordinate's code, `bits` wide, becomes a byte of the point.
template <typename Point, std::size_t n_points, std::size_t n_levels>
constexpr std::array<Point, n_points> unpack(const std::uint16_t (&codes)[n_points],
                                             const std::uint8_t (&levels)[n_levels],
                                             unsigned bits) {
  std::array<Point, n_points> points{};
  for (std::size_t i = 0; i < n_points; ++i) {
    for (unsigned j = 0; j < sizeof(Point); ++j) {
      const unsigned code = codes[i] >> (bits * j) & ((1u << bits) - 1);
      points[i] |= static_cast<Point>(levels[code]) << (8 * j);
    }
  }
  return points;
}

constexpr std::uint8_t kIq2Levels[] = {8, 25, 43};
constexpr std::uint8_t kIq3XxsLevels[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr std::uint8_t kIq3SLevels[] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr std::uint8_t kIq1Levels[] = {0xff, 0, 1};

}  // namespace

constexpr std::array<std::uint64_t, 256> kIq2XxsGrid =
    unpack<std::uint64_t>(kIq2XxsCodes, kIq2Levels, 2);
constexpr std::array<std::uint64_t, 512> kIq2XsGrid =
    unpack<std::uint64_t>(kIq2XsCodes, kIq2Levels, 2);
constexpr std::array<std::uint64_t, 1024> kIq2SGrid =
    unpack<std::uint64_t>(kIq2SCodes, kIq2Levels, 2);
constexpr std::array<std::uint32_t, 256> kIq3XxsGrid =
    unpack<std::uint32_t>(kIq3XxsCodes, kIq3XxsLevels, 3);
constexpr std::array<std::uint32_t, 512> kIq3SGrid =
    unpack<std::uint32_t>(kIq3SCodes, kIq3SLevels, 3);
constexpr std::array<std::uint64_t, 2048> kIq1Grid =
    unpack<std::uint64_t>(kIq1Codes, kIq1Levels, 2);

}  // namespace engine::quant
