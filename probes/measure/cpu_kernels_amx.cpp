// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_kernels.h"

#if defined(__AMX_INT8__) && defined(__AMX_BF16__)
#include <immintrin.h>
#endif

namespace probes {

#if defined(__AMX_INT8__) && defined(__AMX_BF16__)
namespace {

constexpr unsigned kRows = 16, kRowBytes = 64;

/// The shape of all eight tiles: 16 rows of 64 bytes.
struct TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);

void begin(const PeakInput* input) {
  const TileShapes shapes;
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, input->a, kRowBytes);
  _tile_loadd(5, input->a, kRowBytes);
  _tile_loadd(6, input->b, kRowBytes);
  _tile_loadd(7, input->b, kRowBytes);
}

/// `real` says what the words are: floats or integers.
void end(bool real, PeakResult* result) {
  alignas(64) std::uint32_t tiles[4][kPeakLanes];
  _tile_stored(0, tiles[0], kRowBytes);
  _tile_stored(1, tiles[1], kRowBytes);
  _tile_stored(2, tiles[2], kRowBytes);
  _tile_stored(3, tiles[3], kRowBytes);
  _tile_release();
  for (std::size_t lane = 0; lane < kPeakLanes; ++lane) {
    std::uint32_t sum = 0;
    float real_sum = 0;
    for (const auto& tile : tiles) {
      float value;
      __builtin_memcpy(&value, &tile[lane], sizeof(value));
      real_sum += real ? value : 0.0f;
      sum += tile[lane];
    }
    if (real) __builtin_memcpy(&sum, &real_sum, sizeof(sum));
    result->lane[lane] = sum;
  }
}

void run_int8(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  begin(input);
  for (std::uint64_t step = 0; step < steps; ++step) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  end(false, result);
}

void run_bf16(const PeakInput* input, std::uint64_t steps, PeakResult* result) {
  begin(input);
  for (std::uint64_t step = 0; step < steps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  end(true, result);
}

constexpr PeakKernel kInt8 = {"tdpbssd", PeakMath::int8_tile,     256,     4,
                              4,         2.0 * kRows* kRows * 64, run_int8};
constexpr PeakKernel kBf16 = {"tdpbf16ps", PeakMath::bf16_tile,     256,     4,
                              4,           2.0 * kRows* kRows * 32, run_bf16};

}  // namespace

const PeakKernel* amx_int8_kernel() {
  return &kInt8;
}
const PeakKernel* amx_bf16_kernel() {
  return &kBf16;
}
#else
const PeakKernel* amx_int8_kernel() {
  return nullptr;
}
const PeakKernel* amx_bf16_kernel() {
  return nullptr;
}
#endif

}  // namespace probes
