// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "planner/graph/tensor_graph.h"

namespace planner {

inline constexpr std::size_t kMaxGraphDevices = 17;  // sixteen GPUs and the host

/// Bytes of a tensor as a product: `bytes` times what three extents are worth.
struct SizeRule {
  std::uint64_t bytes = 0;
  std::array<Extent, 3> by{Extent::one, Extent::one, Extent::one};
};

/// The life of every piece of scratch memory of a graph, in order. Which pieces there are, who
/// reuses whose memory and when it is free again does not depend on context or micro-batch: only
/// the sizes do. So it is worked out once and replayed per setting.
struct AllocationScript {
  struct Event {
    bool take = true;          // else give back
    std::uint8_t device = 0;   // buffer it lives in
    std::uint16_t slot = 0;    // which piece
    std::uint16_t rule = 0;    // first of its size rules
    std::uint8_t n_rules = 1;  // each part starts aligned to 128 bytes
  };
  std::vector<Event> events;
  std::vector<SizeRule> rules;
  std::uint16_t n_slots = 0;
  std::uint8_t n_devices = 1;  // the host is the last
};

/// Bytes of each buffer, in the script's device order.
using BufferSizes = std::array<std::uint64_t, kMaxGraphDevices>;

/// Buffer sizes as straight lines over the number of full-context cells: which piece goes where
/// changes only at some numbers of cells, and between them every size grows evenly.
struct BufferLines {
  /// The lines hold for these numbers of cells, where they are multiples of kCellStep as `cells`
  /// is; only for `cells` itself where first == last.
  std::uint64_t first = 0, last = 0;
  std::uint64_t cells = 0;       // what `bytes` belongs to
  BufferSizes bytes{}, slope{};  // slope: bytes a cell
  std::uint64_t at(std::size_t device, std::uint64_t n_cells) const {
    return bytes[device] + slope[device] * (n_cells - cells);
  }
};
inline constexpr std::uint64_t kCellStep = 256;
inline constexpr std::uint64_t kBeyondMemory = std::uint64_t{1} << 62;

/// Places the script's pieces as ggml's allocator does: the smallest hole that is large enough,
/// else at the end; neighbouring holes merge. `alignment` by device. Takes no memory itself. When a
/// piece is beyond 2^48 bytes, every buffer is kBeyondMemory.
BufferLines replay(const AllocationScript& script, const ExtentValues& values,
                   const std::array<std::uint32_t, kMaxGraphDevices>& alignment);

}  // namespace planner
