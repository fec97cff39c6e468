// SPDX-License-Identifier: MIT
#pragma once

namespace engine {

/// What was moved and computed, by hwdb's formulas: the figures that plans predict.
struct OpCounts {
  double weight_bytes_read = 0;
  double cache_bytes_read = 0;
  double cache_bytes_written = 0;
  double flops = 0;
  OpCounts& operator+=(const OpCounts& other) {
    weight_bytes_read += other.weight_bytes_read;
    cache_bytes_read += other.cache_bytes_read;
    cache_bytes_written += other.cache_bytes_written;
    flops += other.flops;
    return *this;
  }
  double bytes() const { return weight_bytes_read + cache_bytes_read + cache_bytes_written; }
};

}  // namespace engine
