// SPDX-License-Identifier: MIT
#include "engine/cpu/mat_mul.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "engine/cpu/activations.h"
#include "engine/cpu/decoded_panel.h"
#include "engine/cpu/mat_mul_kernels.h"
#include "engine/cpu/panel_layout.h"
#include "engine/quant/quant_codec.h"

#if defined(__linux__)
#include <unistd.h>
#endif

namespace engine::cpu {
namespace {

/// Up to so many columns, packed panels are read straight; beyond, unpacking them pays.
constexpr std::uint32_t kFewTokens = 8;
/// Columns of results that a task holds before it writes them out.
constexpr std::uint32_t kTokenGroup = 48;

std::size_t l2_bytes() {
  static const std::size_t bytes = [] {
    long found = 0;
#if defined(__linux__) && defined(_SC_LEVEL2_CACHE_SIZE)
    found = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return found > 0 ? static_cast<std::size_t>(found) : std::size_t{1} << 20;
  }();
  return bytes;
}

/// Bytes read by each worker, on cache lines of their own.
struct alignas(64) ByteCount {
  std::atomic<std::uint64_t> bytes{0};
};
std::array<ByteCount, 64> bytes_read;

void count_bytes(unsigned worker, std::uint64_t bytes) {
  bytes_read[worker % bytes_read.size()].bytes.fetch_add(bytes, std::memory_order_relaxed);
}

/// A product with what its tasks have in common.
struct Prepared {
  const Product* product;
  const PanelLayout* layout;
  bool packed;            // or rows that become panels on the way
  bool decoded;           // rows of a type without panels
  const std::byte* data;  // of the matrix
  std::size_t row_bytes;  // of a row in a file
  std::size_t panel_bytes;
  std::uint32_t n_panels;
  std::size_t first_x;  // of the pointers to its columns
};

struct Task {
  std::uint32_t product, first_panel, n_panels;
};

struct Quantization {
  Activations* x;
  XForm form;
  std::uint32_t first_row, n_rows, first_column, n_columns;
};

/// What one call of multiply works out. Kept for the next, so that decoding allocates nothing.
struct Plan {
  std::vector<Prepared> products;
  std::vector<const std::byte*> x;
  std::vector<Task> tasks;
  std::vector<Quantization> quantizations;
};

/// What one task needs, kept by its thread.
struct Scratch {
  AlignedBytes panels, codes, scales, results;
};

Scratch& thread_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

Prepared prepare(const Product& product) {
  const Weights& w = *product.weights;
  Prepared p{};
  p.product = &product;
  p.packed = w.layout == Weights::Layout::panels;
  p.layout = find_panel_layout(w.type);
  p.decoded = p.layout == nullptr;
  if (p.decoded) p.layout = find_decoded_layout(w.type);
  p.data = w.data + product.matrix * w.matrix_bytes;
  p.row_bytes = hwdb::row_bytes(w.type, w.n_cols);
  p.panel_bytes = bytes_of_panel(*p.layout, w.n_cols);
  p.n_panels = (w.n_rows + kPanelRows - 1) / kPanelRows;
  return p;
}

/// Columns that one call of quantize takes, a multiple of every record.
constexpr std::uint32_t kQuantizedColumns = 2048;
/// Fewer activations than this are quantized by the caller alone: workers would take longer to
/// come.
constexpr std::size_t kWorthSharing = 16384;

void quantize_activations(ThreadPool& pool, Plan* plan) {
  plan->quantizations.clear();
  std::size_t n_all = 0;
  for (const Prepared& p : plan->products) {
    Activations* x = p.product->x;
    const XForm form = p.layout->x_form;
    if (p.product->n_tokens == 0 || ActivationAccess::is_ready(*x, form)) continue;
    ActivationAccess::begin(x, form);
    n_all += std::size_t{x->n_tokens()} * x->n_cols();
    for (std::uint32_t row = 0; row < x->n_tokens(); ++row) {
      for (std::uint32_t k = 0; k < x->n_cols(); k += kQuantizedColumns) {
        plan->quantizations.push_back(
            {x, form, row, 1, k, std::min(kQuantizedColumns, x->n_cols() - k)});
      }
    }
  }
  const auto quantize = [plan](std::size_t i) {
    const Quantization& q = plan->quantizations[i];
    ActivationAccess::quantize_part(*q.x, q.form, q.first_row, q.first_column, q.n_columns);
  };
  const std::size_t n = plan->quantizations.size();
  if (n_all < kWorthSharing || pool.size() == 1) {
    for (std::size_t i = 0; i < n; ++i) quantize(i);
    return;
  }
  constexpr std::size_t kTogether = 8;
  pool.for_each((n + kTogether - 1) / kTogether, [&](std::size_t task, unsigned) {
    for (std::size_t i = task * kTogether; i < std::min(n, (task + 1) * kTogether); ++i)
      quantize(i);
  });
}

/// Bytes that one unpacked panel takes, codes and scales apart.
std::size_t unpacked_code_bytes(const PanelLayout& layout, std::uint32_t n_cols) {
  return std::size_t{kPanelRows} * n_cols * (layout.sub_block == 0 ? sizeof(float) : 1);
}

std::size_t unpacked_scales(const PanelLayout& layout, std::uint32_t n_cols) {
  return layout.sub_block == 0 ? 0 : std::size_t{kPanelRows} * (n_cols / layout.sub_block);
}

/// Whether packed panels are multiplied as they are. Floats are converted on the way, unless there
/// are many columns and the second-level cache takes two panels of them.
bool stays_packed(const Prepared& p) {
  if (p.product->n_tokens <= kFewTokens) return true;
  if (p.layout->sub_block != 0) return false;
  const std::uint32_t n_cols = p.product->weights->n_cols;
  return p.product->n_tokens < 64 || 2 * unpacked_code_bytes(*p.layout, n_cols) > l2_bytes() / 2;
}

void add_tasks(Plan* plan, unsigned n_threads) {
  plan->tasks.clear();
  std::size_t total_bytes = 0;
  for (const Prepared& p : plan->products)
    total_bytes += p.product->n_tokens != 0 ? p.n_panels * p.panel_bytes : 0;
  // Some 20 microseconds to a third of a millisecond of memory traffic, and several tasks a worker.
  const std::size_t few_bytes =
      std::clamp<std::size_t>(total_bytes / (std::size_t{n_threads} * 8), 1u << 17, 1u << 22);
  for (std::uint32_t i = 0; i < plan->products.size(); ++i) {
    const Prepared& p = plan->products[i];
    if (p.product->n_tokens == 0) continue;
    const std::uint32_t n_cols = p.product->weights->n_cols;
    std::size_t panels;
    if (p.product->n_tokens <= kFewTokens) {
      panels = few_bytes / p.panel_bytes / 4 * 4;
    } else {
      const std::size_t unpacked = unpacked_code_bytes(*p.layout, n_cols) +
                                   2 * sizeof(float) * unpacked_scales(*p.layout, n_cols);
      panels = l2_bytes() / 2 / unpacked / 2 * 2;
      panels = std::min<std::size_t>(panels, p.n_panels / (std::size_t{n_threads} * 4));
    }
    panels = std::clamp<std::size_t>(panels, p.product->n_tokens <= kFewTokens ? 4 : 2, p.n_panels);
    for (std::uint32_t first = 0; first < p.n_panels; first += static_cast<std::uint32_t>(panels)) {
      plan->tasks.push_back(
          {i, first, std::min(static_cast<std::uint32_t>(panels), p.n_panels - first)});
    }
  }
}

/// Adds what the product adds and writes rows [first_row, ...) of `n` tokens; `from` has `stride`
/// floats a token.
void write_results(const Product& product, std::uint32_t first_row, std::uint32_t n_rows,
                   std::uint32_t first_token, std::uint32_t n, const float* from,
                   std::size_t stride) {
  for (std::uint32_t t = 0; t < n; ++t) {
    const std::size_t at = (first_token + t) * product.y_stride + first_row;
    const float* sums = from + t * stride;
    float* y = product.y + at;
    const float* bias = product.bias != nullptr ? product.bias + first_row : nullptr;
    const float* residual = product.residual != nullptr ? product.residual + at : nullptr;
    if (bias == nullptr && residual == nullptr) {
      std::memcpy(y, sums, n_rows * sizeof(float));
    } else if (residual == nullptr) {
      for (std::uint32_t r = 0; r < n_rows; ++r) y[r] = sums[r] + bias[r];
    } else if (bias == nullptr) {
      for (std::uint32_t r = 0; r < n_rows; ++r) y[r] = sums[r] + residual[r];
    } else {
      for (std::uint32_t r = 0; r < n_rows; ++r) y[r] = sums[r] + bias[r] + residual[r];
    }
  }
}

/// One panel of a matrix in rows.
void pack_rows(const Prepared& p, std::uint32_t panel, std::byte* to) {
  const Weights& w = *p.product->weights;
  const std::byte* rows[kPanelRows];
  for (std::uint32_t r = 0; r < kPanelRows; ++r) {
    const std::uint32_t row = panel * kPanelRows + r;
    rows[r] = row < w.n_rows ? p.data + row * p.row_bytes : nullptr;
  }
  if (p.decoded) {
    decode_panel(w.type, rows, w.n_cols, to);
  } else {
    p.layout->pack(rows, w.n_cols, to);
  }
}

/// The panels of a task, next to each other; made here where the matrix is in rows.
const std::byte* panels_of(const Prepared& p, std::uint32_t first, std::uint32_t n,
                           Scratch* scratch) {
  if (p.packed) return p.data + first * p.panel_bytes;
  std::byte* panels = scratch->panels.grow(n * p.panel_bytes);
  for (std::uint32_t i = 0; i < n; ++i) pack_rows(p, first + i, panels + i * p.panel_bytes);
  return panels;
}

void multiply_few(const Prepared& p, const std::byte* const* x, std::uint32_t first_panel,
                  std::uint32_t n_panels, const std::byte* panels, Scratch* scratch) {
  const std::uint32_t n_tokens = p.product->n_tokens;
  const std::size_t stride = n_panels * kPanelRows;
  auto* results =
      reinterpret_cast<float*>(scratch->results.grow(n_tokens * stride * sizeof(float)));
  const PanelJob job = {panels, p.panel_bytes, n_panels, p.product->weights->n_cols,
                        x,      n_tokens,      results,  stride};
  mat_mul_kernels().multiply_panels[static_cast<std::size_t>(p.layout->format)](&job);
  const std::uint32_t first_row = first_panel * kPanelRows;
  write_results(
      *p.product, first_row,
      std::min<std::uint32_t>(n_panels * kPanelRows, p.product->weights->n_rows - first_row), 0,
      n_tokens, results, stride);
}

void multiply_many(const Prepared& p, const std::byte* const* x, std::uint32_t first_panel,
                   std::uint32_t n_panels, const std::byte* panels, Scratch* scratch) {
  const MatMulKernels& kernels = mat_mul_kernels();
  const auto format = static_cast<std::size_t>(p.layout->format);
  const std::uint32_t n_cols = p.product->weights->n_cols;
  const std::size_t code_bytes = unpacked_code_bytes(*p.layout, n_cols);
  const std::size_t n_scales = unpacked_scales(*p.layout, n_cols);
  auto* codes = reinterpret_cast<std::uint8_t*>(scratch->codes.grow(n_panels * code_bytes));
  auto* scales =
      reinterpret_cast<float*>(scratch->scales.grow(n_panels * n_scales * 2 * sizeof(float)));
  std::array<UnpackedPanel, 64> unpacked;
  for (std::uint32_t i = 0; i < n_panels; ++i) {
    unpacked[i] = {codes + i * code_bytes, scales + 2 * i * n_scales,
                   scales + (2 * i + 1) * n_scales};
    kernels.unpack[format](panels + i * p.panel_bytes, n_cols, &unpacked[i]);
  }
  const std::size_t stride = n_panels * kPanelRows;
  auto* results =
      reinterpret_cast<float*>(scratch->results.grow(kTokenGroup * stride * sizeof(float)));
  const std::uint32_t first_row = first_panel * kPanelRows;
  const std::uint32_t n_rows =
      std::min<std::uint32_t>(n_panels * kPanelRows, p.product->weights->n_rows - first_row);
  for (std::uint32_t t = 0; t < p.product->n_tokens; t += kTokenGroup) {
    const std::uint32_t n = std::min(kTokenGroup, p.product->n_tokens - t);
    const TileJob job = {unpacked.data(), n_panels, n_cols, x + t, n, results, stride};
    kernels.multiply_tiles[format](&job);
    write_results(*p.product, first_row, n_rows, t, n, results, stride);
  }
}

void run_task(const Plan& plan, const Task& task, unsigned worker) {
  const Prepared& p = plan.products[task.product];
  const std::byte* const* x = plan.x.data() + p.first_x;
  Scratch& scratch = thread_scratch();
  const bool few = stays_packed(p);
  // Rows become panels a few at a time, which stay in the cache until they are multiplied.
  const std::uint32_t step = p.packed ? (few ? task.n_panels : 64) : 4;
  for (std::uint32_t done = 0; done < task.n_panels; done += step) {
    const std::uint32_t first = task.first_panel + done;
    const std::uint32_t n = std::min(step, task.n_panels - done);
    const std::byte* panels = panels_of(p, first, n, &scratch);
    if (few) {
      multiply_few(p, x, first, n, panels, &scratch);
    } else {
      multiply_many(p, x, first, n, panels, &scratch);
    }
    const std::uint64_t rows =
        std::min<std::uint64_t>(n * kPanelRows, p.product->weights->n_rows - first * kPanelRows);
    count_bytes(worker, p.packed ? n * p.panel_bytes : rows * p.row_bytes);
  }
}

}  // namespace

bool can_multiply(hwdb::TensorType type) {
  return find_panel_layout(type) != nullptr || find_decoded_layout(type) != nullptr;
}

bool has_panels(hwdb::TensorType type) {
  return find_panel_layout(type) != nullptr;
}

std::size_t panel_bytes(hwdb::TensorType type, std::uint32_t n_rows, std::uint32_t n_cols) {
  const std::size_t n_panels = (std::size_t{n_rows} + kPanelRows - 1) / kPanelRows;
  return (n_panels * bytes_of_panel(*find_panel_layout(type), n_cols) + 63) / 64 * 64;
}

void make_panels(hwdb::TensorType type, const std::byte* rows, std::uint32_t n_rows,
                 std::uint32_t n_cols, std::uint32_t first_panel, std::uint32_t n_panels,
                 std::byte* matrix) {
  const PanelLayout& layout = *find_panel_layout(type);
  const std::size_t row_bytes = std::size_t{n_cols / layout.columns} * layout.bytes;
  const std::size_t bytes = bytes_of_panel(layout, n_cols);
  for (std::uint32_t panel = first_panel; panel < first_panel + n_panels; ++panel) {
    const std::byte* of_panel[kPanelRows];
    for (std::uint32_t r = 0; r < kPanelRows; ++r) {
      const std::size_t row = std::size_t{panel} * kPanelRows + r;
      of_panel[r] = row < n_rows ? rows + row * row_bytes : nullptr;
    }
    layout.pack(of_panel, n_cols, matrix + panel * bytes);
  }
}

void multiply(ThreadPool& pool, std::span<const Product> products) {
  thread_local Plan plan;
  plan.products.clear();
  plan.x.clear();
  for (const Product& product : products) plan.products.push_back(prepare(product));
  quantize_activations(pool, &plan);
  for (Prepared& p : plan.products) {
    const Product& product = *p.product;
    p.first_x = plan.x.size();
    for (std::uint32_t t = 0; t < product.n_tokens; ++t) {
      const std::uint32_t row = product.x_rows != nullptr ? product.x_rows[t] : product.x_first + t;
      plan.x.push_back(ActivationAccess::row(*product.x, p.layout->x_form, row));
    }
  }
  add_tasks(&plan, pool.size());
  // The plan is this thread's; workers must not name it, or each would see its own.
  const Plan& shared = plan;
  pool.for_each(shared.tasks.size(), [&shared](std::size_t task, unsigned worker) {
    run_task(shared, shared.tasks[task], worker);
  });
}

std::uint64_t take_weight_bytes_read() {
  std::uint64_t sum = 0;
  for (ByteCount& count : bytes_read) sum += count.bytes.exchange(0, std::memory_order_relaxed);
  return sum;
}

}  // namespace engine::cpu
