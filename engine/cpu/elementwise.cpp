// SPDX-License-Identifier: MIT
#include "engine/cpu/elementwise.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "engine/cpu/elementwise_kernels.h"
#include "engine/cpu/isa.h"

namespace engine::cpu {
namespace {

const ElementwiseKernels& kernels() {
  const ElementwiseKernels* found = nullptr;
  switch (current_isa()) {
    case Isa::plain:
      break;
    case Isa::avx2:
    case Isa::avx_vnni:
      found = avx2_elementwise();
      break;
    case Isa::avx512:
    case Isa::avx512_vnni:
      found = avx512_elementwise();
      break;
    case Isa::neon:
    case Isa::neon_dotprod:
    case Isa::neon_i8mm:
      found = neon_elementwise();
      break;
  }
  return found != nullptr ? *found : *plain_elementwise();
}

/// Elements of a task: enough that a thread is worth waking.
constexpr std::size_t kTaskElements = 8192;

/// Calls body(first, n) for ranges of n_elements.
template <class Body>
void for_ranges(ThreadPool& pool, std::size_t n_elements, const Body& body) {
  pool.for_each((n_elements + kTaskElements - 1) / kTaskElements, [&](std::size_t task, unsigned) {
    const std::size_t first = task * kTaskElements;
    body(first, std::min(kTaskElements, n_elements - first));
  });
}

/// Calls body(row) for all rows, several in a task when they are short.
template <class Body>
void for_rows(ThreadPool& pool, std::size_t n_rows, std::size_t row_elements, const Body& body) {
  const std::size_t of_task =
      std::max<std::size_t>(1, kTaskElements / std::max<std::size_t>(row_elements, 1));
  pool.for_each((n_rows + of_task - 1) / of_task, [&](std::size_t task, unsigned) {
    const std::size_t end = std::min(n_rows, (task + 1) * of_task);
    for (std::size_t row = task * of_task; row < end; ++row) body(row);
  });
}

}  // namespace

void rms_norm(ThreadPool& pool, const float* from, std::size_t n_rows, std::size_t width,
              std::size_t stride, const float* weight, float eps, float* to) {
  const ElementwiseKernels& rows = kernels();
  for_rows(pool, n_rows, width, [&](std::size_t row) {
    rows.rms_norm(from + row * stride, width, weight, eps, to + row * stride);
  });
}

void layer_norm(ThreadPool& pool, const float* from, std::size_t n_rows, std::size_t width,
                std::size_t stride, const float* weight, const float* bias, float eps, float* to) {
  const ElementwiseKernels& rows = kernels();
  for_rows(pool, n_rows, width, [&](std::size_t row) {
    rows.layer_norm(from + row * stride, width, weight, bias, eps, to + row * stride);
  });
}

void add(ThreadPool& pool, const float* from, std::size_t n, float* to) {
  const ElementwiseKernels& ranges = kernels();
  for_ranges(pool, n, [&](std::size_t first, std::size_t count) {
    ranges.add(from + first, count, to + first);
  });
}

void scale(ThreadPool& pool, const float* from, std::size_t n, float factor, float* to) {
  const ElementwiseKernels& ranges = kernels();
  for_ranges(pool, n, [&](std::size_t first, std::size_t count) {
    ranges.scale(from + first, count, factor, to + first);
  });
}

void softcap(ThreadPool& pool, const float* from, std::size_t n, float cap, float* to) {
  const ElementwiseKernels& ranges = kernels();
  for_ranges(pool, n, [&](std::size_t first, std::size_t count) {
    ranges.softcap(from + first, count, cap, to + first);
  });
}

void activate(ThreadPool& pool, Activation activation, const float* gate, const float* up,
              std::size_t n_rows, std::size_t width, std::size_t in_stride, float* to) {
  assert(up != nullptr || activation != Activation::swiglu_oai);
  const ElementwiseKernels& ranges = kernels();
  const std::size_t of_row = (width + kTaskElements - 1) / kTaskElements;
  for_rows(pool, n_rows * of_row, std::min(width, kTaskElements), [&](std::size_t piece) {
    const std::size_t row = piece / of_row, first = piece % of_row * kTaskElements;
    ranges.activate(activation, gate + row * in_stride + first,
                    up != nullptr ? up + row * in_stride + first : nullptr,
                    std::min(kTaskElements, width - first), to + row * width + first);
  });
}

void RopeTable::set(ThreadPool& pool, const Rope& rope, std::span<const std::uint32_t> positions) {
  assert(rope.n_rotated % 2 == 0 && rope.frequencies.size() >= rope.n_rotated / 2);
  pairs_ = rope.pairs;
  n_rows_ = positions.size();
  n_pairs_ = rope.n_rotated / 2;
  cosines_.resize(n_rows_ * n_pairs_);
  sines_.resize(n_rows_ * n_pairs_);
  constexpr std::size_t kCost = 16;  // of a sine and cosine, against an element of other loops
  for_rows(pool, n_rows_, n_pairs_ * kCost, [&](std::size_t row) {
    for (std::size_t i = 0; i < n_pairs_; ++i) {
      // A float of a large position times a frequency would lose the angle's last digits.
      const double angle = double{rope.frequencies[i]} * positions[row];
      cosines_[row * n_pairs_ + i] = static_cast<float>(std::cos(angle)) * rope.magnitude;
      sines_[row * n_pairs_ + i] = static_cast<float>(std::sin(angle)) * rope.magnitude;
    }
  });
}

void rotate(ThreadPool& pool, const RopeTable& table, std::uint32_t n_heads, std::uint32_t head_dim,
            std::size_t stride, float* x) {
  assert(2 * table.n_pairs_ <= head_dim);
  const ElementwiseKernels& rows = kernels();
  const std::size_t n = table.n_pairs_;
  for_rows(pool, table.n_rows_, 2 * n * n_heads, [&](std::size_t row) {
    const float* cosines = table.cosines_.data() + row * n;
    const float* sines = table.sines_.data() + row * n;
    for (std::uint32_t head = 0; head < n_heads; ++head) {
      float* at = x + row * stride + std::size_t{head} * head_dim;
      if (table.pairs_ == Rope::Pairs::halves) {
        rows.rotate_halves(cosines, sines, n, at, at + n);
      } else {
        rows.rotate_adjacent(cosines, sines, n, at);
      }
    }
  });
}

void softmax(const float* from, std::size_t n, float* to) {
  if (n > 0) kernels().softmax(from, n, to);
}

}  // namespace engine::cpu
