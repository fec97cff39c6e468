// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/cpu/mat_mul.h"
#include "engine/cpu/mat_mul_kernels.h"
#include "engine/cpu/panel_format.h"

namespace engine::cpu {

/// The table of current_isa().
const MatMulKernels& mat_mul_kernels();

/// Bytes that start on a cache line; what they held is lost when they grow.
class AlignedBytes {
 public:
  /// At least `n` bytes; null for none.
  std::byte* grow(std::size_t n);
  std::byte* get() const { return bytes_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const;
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  std::size_t size_ = 0;
};

struct Activations::Forms {
  struct Records {
    AlignedBytes bytes;
    std::size_t row_bytes = 0;
    bool ready = false;
  };
  std::array<Records, kXForms> of;
};

/// The kernels' side of Activations.
struct ActivationAccess {
  static bool is_ready(const Activations& x, XForm form);
  /// Makes room for a form; quantize_part must then be called for every part of every row.
  static void begin(Activations* x, XForm form);
  /// Columns [first, first + n) of a row, multiples of the record's columns.
  static void quantize_part(const Activations& x, XForm form, std::uint32_t row,
                            std::uint32_t first, std::uint32_t n);
  /// Where the records (or floats) of a row begin.
  static const std::byte* row(const Activations& x, XForm form, std::uint32_t row);
};

}  // namespace engine::cpu
