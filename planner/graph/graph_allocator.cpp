// SPDX-License-Identifier: MIT
#include "planner/graph/graph_allocator.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace planner {
namespace {

constexpr std::int64_t kEndless = std::int64_t{1} << 62;
constexpr std::int64_t kLargestPiece = std::int64_t{1} << 48;  // thousands of them stay below 2^62
constexpr std::size_t kMaxHoles = 256;
constexpr std::size_t kMaxSlots = 4096;
constexpr std::uint64_t kPartAlignment = 128;

/// A number that grows with the cells: `value` now, `slope` a cell. Without initial values, since
/// there are thousands of them.
struct Line {
  std::int64_t value, slope;
  Line operator+(const Line& o) const { return {value + o.value, slope + o.slope}; }
  Line operator-(const Line& o) const { return {value - o.value, slope - o.slope}; }
};

/// Every comparison is answered for the cells at hand, and narrows the range of cells for which all
/// answers so far stay the same.
class Range {
 public:
  bool not_negative(const Line& line) {
    const bool answer = line.value >= 0;
    if (line.slope != 0) narrow(answer ? line : Line{-line.value - 1, -line.slope});
    return answer;
  }
  bool is_zero(const Line& line) {
    if (line.slope == 0) return line.value == 0;
    if (line.value == 0) {
      only_here();
      return true;
    }
    narrow(line.value > 0 ? Line{line.value - 1, line.slope} : Line{-line.value - 1, -line.slope});
    return false;
  }
  void only_here() { low_ = high_ = 0; }
  std::int64_t low() const { return low_; }
  std::int64_t high() const { return high_; }

 private:
  // line.value + t * line.slope stays >= 0.
  void narrow(const Line& line) {
    if (line.slope > 0) {
      low_ = std::max(low_, -(line.value / line.slope));
    } else {
      high_ = std::min(high_, line.value / -line.slope);
    }
  }
  std::int64_t low_ = std::numeric_limits<std::int64_t>::min() / 2;
  std::int64_t high_ = std::numeric_limits<std::int64_t>::max() / 2;
};

/// Free space of one buffer, by address; the last hole has no end.
class FreeSpace {
 public:
  Line take(const Line& size, Range* range) {
    std::size_t best = n_ - 1;
    for (std::size_t i = 0; i + 1 < n_; ++i)
      if (range->not_negative(holes_[i].size - size) &&
          (best == n_ - 1 || range->not_negative(holes_[best].size - holes_[i].size)))
        best = i;
    Hole& hole = holes_[best];
    const Line offset = hole.offset;
    hole.offset = hole.offset + size;
    if (best + 1 < n_) {
      hole.size = hole.size - size;
      if (range->is_zero(hole.size)) remove(best);
    }
    const Line end = offset + size;
    if (range->not_negative(end - high_)) high_ = end;
    return offset;
  }

  /// Joins the first hole, by address, that touches the piece, and then that hole's other
  /// neighbour. Empty pieces make empty holes, which later can keep two holes apart: as in ggml.
  void give_back(const Line& offset, const Line& size, Range* range) {
    const Line end = offset + size;
    for (std::size_t i = 0; i < n_; ++i) {
      Hole& hole = holes_[i];
      const bool last = i + 1 == n_;
      if (!last && range->is_zero(hole.offset + hole.size - offset)) {
        hole.size = hole.size + size;
        if (range->is_zero(hole.offset + hole.size - holes_[i + 1].offset)) join(i);
        return;
      }
      if (range->is_zero(end - hole.offset)) {
        hole = {offset, last ? hole.size : hole.size + size};
        if (i > 0 && range->is_zero(holes_[i - 1].offset + holes_[i - 1].size - hole.offset))
          join(i - 1);
        return;
      }
    }
    if (n_ == kMaxHoles) return;  // far beyond any graph; the space is then taken to stay in use
    std::size_t at = 0;
    while (at < n_ && !range->not_negative(holes_[at].offset - offset)) ++at;
    std::copy_backward(holes_.begin() + static_cast<std::ptrdiff_t>(at),
                       holes_.begin() + static_cast<std::ptrdiff_t>(n_),
                       holes_.begin() + static_cast<std::ptrdiff_t>(n_ + 1));
    holes_[at] = {offset, size};
    ++n_;
  }

  void reset() {
    n_ = 1;
    holes_[0] = {{0, 0}, {kEndless, 0}};
    high_ = {0, 0};
  }
  const Line& high() const { return high_; }

 private:
  struct Hole {
    Line offset, size;
  };
  void join(std::size_t at) {
    const bool endless = at + 2 == n_;
    holes_[at].size = endless ? Line{kEndless, 0} : holes_[at].size + holes_[at + 1].size;
    remove(at + 1);
  }
  void remove(std::size_t at) {
    std::copy(holes_.begin() + static_cast<std::ptrdiff_t>(at + 1),
              holes_.begin() + static_cast<std::ptrdiff_t>(n_),
              holes_.begin() + static_cast<std::ptrdiff_t>(at));
    --n_;
  }
  std::array<Hole, kMaxHoles> holes_;
  std::size_t n_;
  Line high_;
};

/// Absent: larger than any memory.
std::optional<Line> bytes_of(const SizeRule& rule, const ExtentValues& values, Range* range) {
  std::uint64_t product = rule.bytes;
  int grows = 0;
  for (const Extent e : rule.by) {
    if (__builtin_mul_overflow(product, values[static_cast<std::size_t>(e)], &product))
      product = std::numeric_limits<std::uint64_t>::max();
    grows += e == Extent::cells;
  }
  if (product > static_cast<std::uint64_t>(kLargestPiece)) return std::nullopt;
  const auto value = static_cast<std::int64_t>(product);
  if (grows == 0) return Line{value, 0};
  const auto cells = static_cast<std::int64_t>(values[static_cast<std::size_t>(Extent::cells)]);
  if (grows > 1 || cells == 0) range->only_here();
  return Line{value, cells == 0 ? 0 : value / cells};
}

// Steps of kCellStep cells keep an aligned line aligned, if they are multiples of the alignment.
void align_up(std::uint64_t alignment, bool even_cells, Line* line, Range* range) {
  const auto a = static_cast<std::int64_t>(alignment);
  line->value = (line->value + a - 1) / a * a;
  if (line->slope == 0) return;
  if (!even_cells || line->slope * static_cast<std::int64_t>(kCellStep) % a != 0)
    range->only_here();
}

BufferLines beyond_memory(std::uint64_t cells) {
  BufferLines lines{cells, cells, cells, {}, {}};
  lines.bytes.fill(kBeyondMemory);
  return lines;
}

}  // namespace

BufferLines replay(const AllocationScript& script, const ExtentValues& values,
                   const std::array<std::uint32_t, kMaxGraphDevices>& alignment) {
  const std::uint64_t cells = values[static_cast<std::size_t>(Extent::cells)];
  const bool even_cells = cells % kCellStep == 0;
  Range range;
  std::array<FreeSpace, kMaxGraphDevices> space;
  for (std::size_t d = 0; d < script.n_devices; ++d) space[d].reset();
  struct Piece {
    Line offset, size;
  };
  std::array<Piece, kMaxSlots> pieces;
  for (const AllocationScript::Event& event : script.events) {
    Piece& piece = pieces[event.slot];
    if (!event.take) {
      space[event.device].give_back(piece.offset, piece.size, &range);
      continue;
    }
    Line size{0, 0};
    for (std::size_t r = event.rule; r < event.rule + std::size_t{event.n_rules}; ++r) {
      if (r != event.rule) align_up(kPartAlignment, even_cells, &size, &range);
      const auto part = bytes_of(script.rules[r], values, &range);
      if (!part) return beyond_memory(cells);
      size = size + *part;
    }
    align_up(alignment[event.device], even_cells, &size, &range);
    piece.size = size;
    piece.offset = space[event.device].take(piece.size, &range);
  }
  BufferLines lines;
  lines.cells = cells;
  const auto here = static_cast<std::int64_t>(std::min<std::uint64_t>(cells, kLargestPiece));
  lines.first = static_cast<std::uint64_t>(std::max<std::int64_t>(0, here + range.low()));
  lines.last = static_cast<std::uint64_t>(here + range.high());
  for (std::size_t d = 0; d < script.n_devices; ++d) {
    lines.bytes[d] = static_cast<std::uint64_t>(space[d].high().value);
    lines.slope[d] = static_cast<std::uint64_t>(space[d].high().slope);
  }
  return lines;
}

}  // namespace planner
