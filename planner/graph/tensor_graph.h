// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace planner {

/// What one dimension of a tensor grows with from run to run; `one` is a constant.
enum class Extent : std::uint8_t {
  one,
  tokens,         // of a micro-batch
  outputs,        // tokens of it whose logits are wanted
  stream_tokens,  // tokens of one cache stream
  streams,        // caches side by side: sequences that are not unified
  cells,          // of the full-context cache, per stream
  window_cells,   // of the sliding-window cache, per stream
  sequences,
  block_matrix,   // bytes of 256 weights of a block's matrices, as far as a GPU borrows them
  expert_matrix,  // the same of routed experts
  output_matrix   // the same of the vocabulary matrix
};
inline constexpr std::size_t kExtents = 11;
using ExtentValues = std::array<std::uint64_t, kExtents>;

/// `n` times what the extent is worth.
struct Dim {
  std::uint64_t n : 56 = 1;  // packed, since graphs have thousands of them
  Extent extent : 8 = Extent::one;
  constexpr Dim() = default;
  constexpr Dim(std::uint64_t count) : n(count) {}
  constexpr Dim(Extent e) : extent(e) {}
  constexpr Dim(std::uint64_t count, Extent e) : n(count), extent(e) {}
  bool operator==(const Dim&) const = default;
};
using Dims = std::array<Dim, 4>;

/// What the allocator has to know of an operation; the arithmetic does not matter.
enum class GraphOp : std::uint8_t {
  leaf,        // an input, or memory that exists before the graph runs
  view,        // another reading of a tensor's bytes
  overwrites,  // may write over an operand of its own layout: sums, products, RMS norm, softmax
  rope,        // the same, and follows its neighbours' device whatever its tables live on
  flash_attention,
  lookup,  // rows picked from a table; never moved to a GPU for its size
  matmul,
  expert_matmul,
  store,  // writes into the cache and yields a view of it
  fresh   // anything else: always new memory
};

inline constexpr int kNoTensor = -1;
inline constexpr int kAnyDevice = -1;

struct GraphTensor {
  GraphOp op = GraphOp::fresh;
  Dims ne;
  std::uint32_t block_bytes = 4, block_elements = 1;
  bool contiguous = true;
  bool input = false;     // filled on the host before each run
  bool output = false;    // read after the run: its memory is never given back
  bool external = false;  // lives in another buffer: weights, cache
  int root = kNoTensor;   // whose bytes a view reads
  std::array<int, 6> src{kNoTensor, kNoTensor, kNoTensor, kNoTensor, kNoTensor, kNoTensor};
  int home = kAnyDevice;         // device of an external tensor, or one that is forced
  int weight_home = kAnyDevice;  // device of the weight matrix it reads; kAnyDevice: reads none
  std::uint64_t weight_bytes = 0;
  Extent weight_scale = Extent::one;
  Dims more{Dim(0), Dim(), Dim(),
            Dim()};                    // a second part behind the first; none while its count is 0
  std::uint64_t scratch_elements = 0;  // extra half-precision elements a cell of `scratch_cells`
  Extent scratch_cells = Extent::one;
  std::uint8_t scratch_parts = 0;  // how often: keys, values
};

/// Where an operation's weights live and what they weigh: `bytes` times what the extent is worth.
struct WeightPlace {
  int device = kAnyDevice;
  std::uint64_t bytes = 0;
  Extent scale = Extent::one;
};

/// A computation as llama.cpp's libraries see it when they plan memory: tensors, and the order in
/// which they are computed. Sizes stay symbolic, so that one graph serves many contexts.
class TensorGraph {
 public:
  TensorGraph() {
    tensors_.reserve(512);
    visited_.reserve(512);
    order_.reserve(512);
  }
  int input(const Dims& ne, std::uint32_t element_bytes);
  /// Memory outside the graph, such as a cache, on `device`.
  int external(const Dims& ne, std::uint32_t block_bytes, std::uint32_t block_elements, int device);
  int view(int of, const Dims& ne, bool contiguous = true);
  int op(GraphOp op, const Dims& ne, std::initializer_list<int> src, WeightPlace weight = {},
         std::uint32_t element_bytes = 4);
  /// An operation with the shape of its first operand.
  int same(GraphOp op, std::initializer_list<int> src, WeightPlace weight = {});
  /// Writes `rows` into `cache` at `places`.
  int store(int rows, int places, int cache);

  /// Has a GPU hold `tensor` until `until` is computed: CUDA's fused kernels read it again there.
  void keep(int tensor, int until) { kept_.push_back({tensor, until}); }
  struct Kept {
    int tensor, until;
  };
  const std::vector<Kept>& kept() const { return kept_; }

  /// Appends what `tensor` needs and is not yet in the order, operands first.
  void expand(int tensor);

  GraphTensor& at(int i) { return tensors_[static_cast<std::size_t>(i)]; }
  const GraphTensor& at(int i) const { return tensors_[static_cast<std::size_t>(i)]; }
  std::size_t size() const { return tensors_.size(); }
  /// Hands the tensors over; the orders stay.
  std::vector<GraphTensor> take_tensors() { return std::move(tensors_); }
  const std::vector<int>& order() const { return order_; }    // computed tensors
  const std::vector<int>& leaves() const { return leaves_; }  // inputs and external memory, as met

 private:
  int add(const GraphTensor& tensor);
  std::vector<GraphTensor> tensors_;
  std::vector<char> visited_;
  std::vector<int> order_, leaves_;
  std::vector<Kept> kept_;
};

}  // namespace planner
