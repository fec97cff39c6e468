// SPDX-License-Identifier: MIT
#include "planner/graph_allocator.h"

#include <algorithm>

namespace planner {
namespace {

constexpr std::uint64_t kEndless = std::uint64_t{1} << 62;
constexpr std::size_t kMaxHoles = 256;
constexpr std::size_t kMaxSlots = 4096;
constexpr std::uint64_t kPartAlignment = 128;

/// Free space of one buffer, by address; the last hole has no end.
class FreeSpace {
 public:
  std::uint64_t take(std::uint64_t size) {
    std::size_t best = n_ - 1;
    std::uint64_t best_size = kEndless;
    for (std::size_t i = 0; i + 1 < n_; ++i)
      if (holes_[i].size >= size && holes_[i].size <= best_size) {
        best = i;
        best_size = holes_[i].size;
      }
    const std::uint64_t offset = holes_[best].offset;
    holes_[best].offset += size;
    holes_[best].size -= std::min(size, holes_[best].size);
    if (holes_[best].size == 0 && best + 1 < n_) remove(best);
    high_ = std::max(high_, std::min(offset + size, kEndless));
    return offset;
  }

  /// Joins the first hole, by address, that touches the piece, and then that hole's other
  /// neighbour. Empty pieces make empty holes, which later can keep two holes apart: as in ggml.
  void give_back(std::uint64_t offset, std::uint64_t size) {
    for (std::size_t i = 0; i < n_; ++i) {
      Hole& hole = holes_[i];
      if (hole.offset + hole.size == offset) {
        hole.size += size;
        if (i + 1 < n_ && hole.offset + hole.size == holes_[i + 1].offset) {
          hole.size += holes_[i + 1].size;
          remove(i + 1);
        }
        return;
      }
      if (offset + size == hole.offset) {
        hole = {offset, hole.size + size};
        if (i > 0 && holes_[i - 1].offset + holes_[i - 1].size == offset) {
          holes_[i - 1].size += hole.size;
          remove(i);
        }
        return;
      }
    }
    if (n_ == kMaxHoles) return;  // far beyond any graph; the space is then taken to stay in use
    std::size_t at = 0;
    while (at < n_ && holes_[at].offset < offset) ++at;
    std::copy_backward(holes_.begin() + static_cast<std::ptrdiff_t>(at),
                       holes_.begin() + static_cast<std::ptrdiff_t>(n_),
                       holes_.begin() + static_cast<std::ptrdiff_t>(n_ + 1));
    holes_[at] = {offset, size};
    ++n_;
  }

  void reset() {
    n_ = 1;
    holes_[0] = {0, kEndless};
    high_ = 0;
  }
  std::uint64_t high() const { return high_; }

 private:
  struct Hole {
    std::uint64_t offset, size;
  };
  void remove(std::size_t at) {
    std::copy(holes_.begin() + static_cast<std::ptrdiff_t>(at + 1),
              holes_.begin() + static_cast<std::ptrdiff_t>(n_),
              holes_.begin() + static_cast<std::ptrdiff_t>(at));
    --n_;
  }
  std::array<Hole, kMaxHoles> holes_;
  std::size_t n_ = 1;
  std::uint64_t high_ = 0;
};

std::uint64_t rule_bytes(const SizeRule& rule, const ExtentValues& values) {
  std::uint64_t product = rule.bytes;
  for (const Extent e : rule.by)
    if (__builtin_mul_overflow(product, values[static_cast<std::size_t>(e)], &product))
      return kEndless / 2;
  return std::min(product, kEndless / 2);
}

std::uint64_t align_up(std::uint64_t size, std::uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

}  // namespace

BufferSizes replay(const AllocationScript& script, const ExtentValues& values,
                   const std::array<std::uint32_t, kMaxGraphDevices>& alignment) {
  std::array<FreeSpace, kMaxGraphDevices> space;
  for (std::size_t d = 0; d < script.n_devices; ++d) space[d].reset();
  struct Piece {
    std::uint64_t offset, size;
  };
  std::array<Piece, kMaxSlots> pieces;
  for (const AllocationScript::Event& event : script.events) {
    Piece& piece = pieces[event.slot];
    if (!event.take) {
      space[event.device].give_back(piece.offset, piece.size);
      continue;
    }
    std::uint64_t size = 0;
    for (std::size_t r = event.rule; r < event.rule + std::size_t{event.n_rules}; ++r)
      size = std::min((r == event.rule ? 0 : align_up(size, kPartAlignment)) +
                          rule_bytes(script.rules[r], values),
                      kEndless / 2);
    piece.size = align_up(size, alignment[event.device]);
    piece.offset = space[event.device].take(piece.size);
  }
  BufferSizes sizes{};
  for (std::size_t d = 0; d < script.n_devices; ++d) sizes[d] = space[d].high();
  return sizes;
}

}  // namespace planner
