// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/runtime/thread_pool.h"
#include "hwdb/quant_format.h"

/// Products of weights with activations: y[t][r] = sum over k of w[r][k] * x[t][k].
namespace engine::cpu {

/// One matrix, or a stack of equal ones (experts, heads), as products read it. Does not own its
/// bytes.
struct Weights {
  /// rows: as in a GGUF file. panels: 16 rows side by side, as make_panels lays them.
  enum class Layout { rows, panels };
  hwdb::TensorType type{};
  Layout layout = Layout::rows;
  std::uint32_t n_rows = 0;  // outputs
  std::uint32_t n_cols = 0;  // inputs; a multiple of the type's block
  std::uint32_t n_matrices = 1;
  const std::byte* data = nullptr;  // rows: any alignment; panels: 64 bytes
  std::size_t matrix_bytes = 0;     // from one matrix of the stack to the next
};

/// Whether products with this type exist (in Layout::rows; every type of quant_codecs() has them).
bool can_multiply(hwdb::TensorType type);

/// Whether the type has a panel layout; one without stays in rows.
bool has_panels(hwdb::TensorType type);
/// Bytes of one matrix in panels: the bytes of its rows, rounded up to 16 rows and to 64 bytes.
std::size_t panel_bytes(hwdb::TensorType type, std::uint32_t n_rows, std::uint32_t n_cols);
/// Lays panels [first, first + n) of one matrix (`rows` as in a file) into `matrix`, the start of
/// the matrix in panels. Calls for different panels may run side by side.
void make_panels(hwdb::TensorType type, const std::byte* rows, std::uint32_t n_rows,
                 std::uint32_t n_cols, std::uint32_t first_panel, std::uint32_t n_panels,
                 std::byte* matrix);

/// Activations of n_tokens rows, and the forms of them that kernels want, each made once when the
/// first product asks (Q, K and V share one). Buffers are kept for the next use.
class Activations {
 public:
  Activations();
  ~Activations();
  Activations(const Activations&) = delete;
  Activations& operator=(const Activations&) = delete;

  /// Points at `n_tokens` rows of `n_cols` floats, `stride` floats apart; forgets earlier forms.
  /// The floats must stay until the last product.
  void set(const float* x, std::uint32_t n_tokens, std::uint32_t n_cols, std::size_t stride);

  std::uint32_t n_tokens() const { return n_tokens_; }
  std::uint32_t n_cols() const { return n_cols_; }

 private:
  friend struct ActivationAccess;  // the kernels' side, in activations.h
  const float* x_ = nullptr;
  std::uint32_t n_tokens_ = 0, n_cols_ = 0;
  std::size_t stride_ = 0;
  struct Forms;
  std::unique_ptr<Forms> forms_;
};

/// One product of a task list.
struct Product {
  const Weights* weights = nullptr;
  std::uint32_t matrix = 0;  // of the stack
  Activations* x = nullptr;
  /// Which rows of x: these, or when null the rows [x_first, x_first + n_tokens).
  const std::uint32_t* x_rows = nullptr;
  std::uint32_t x_first = 0;
  std::uint32_t n_tokens = 0;
  float* y = nullptr;  // row t of the result is at y + t * y_stride
  std::size_t y_stride = 0;
  const float* bias = nullptr;      // n_rows floats that are added; or null
  const float* residual = nullptr;  // row t at residual + t * y_stride is added; may be y; or null
};

/// Carries out all products as one task list; returns when all are done. The results do not
/// depend on the number of threads or of tokens in a call, to the bit.
void multiply(ThreadPool& pool, std::span<const Product> products);

/// Bytes of weights that the products of this thread pool have read since the last call, counted
/// panel by panel and row by row where kernels load them. For holding op counts against.
std::uint64_t take_weight_bytes_read();

}  // namespace engine::cpu
