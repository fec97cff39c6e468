// SPDX-License-Identifier: MIT
#include "engine/cpu/attention.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "engine/cpu/attention_kernels.h"
#include "engine/cpu/isa.h"

namespace engine::cpu {
namespace {

std::optional<CacheType> cache_type(hwdb::TensorType type) {
  static const auto types = std::to_array<std::pair<hwdb::TensorType, CacheType>>({
      {hwdb::tensor_type("F32"), CacheType::f32},
      {hwdb::tensor_type("F16"), CacheType::f16},
      {hwdb::tensor_type("BF16"), CacheType::bf16},
      {hwdb::tensor_type("Q8_0"), CacheType::q8_0},
      {hwdb::tensor_type("Q4_0"), CacheType::q4_0},
  });
  for (const auto& [id, cached] : types) {
    if (id == type) return cached;
  }
  return std::nullopt;
}

const AttentionKernels& kernels() {
  const AttentionKernels* found = nullptr;
  switch (current_isa()) {
    case Isa::plain:
      break;
    case Isa::avx2:
      found = avx2_attention();
      break;
    case Isa::avx_vnni:
      found = avx_vnni_attention();
      break;
    case Isa::avx512:
      found = avx512_attention();
      break;
    case Isa::avx512_vnni:
      found = avx512_vnni_attention();
      break;
    case Isa::neon:
      found = neon_attention();
      break;
    case Isa::neon_dotprod:
    case Isa::neon_i8mm:
      found = neon_dotprod_attention();
      break;
  }
  return found != nullptr ? *found : *plain_attention();
}

constexpr std::size_t kAlignment = 64;

constexpr std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

/// Aligned memory of one thread that grows and is kept for the next call. Zeroed when it grows.
class Workspace {
 public:
  std::byte* get(std::size_t bytes) {
    if (bytes > size_) {
      memory_.reset();
      size_ = round_up(bytes, 4096);
      memory_.reset(static_cast<std::byte*>(::operator new (size_, std::align_val_t{kAlignment})));
      std::memset(memory_.get(), 0, size_);
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

/// Hands out aligned pieces of memory; from null, only their sizes add up.
class Pieces {
 public:
  explicit Pieces(std::byte* base) : base_(base) {}
  template <class T>
  T* take(std::size_t n) {
    T* at = base_ != nullptr ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += round_up(n * sizeof(T), kAlignment);
    return at;
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

/// Results of columns: see AttentionTask.
struct Columns {
  float* greatest = nullptr;
  float* total = nullptr;
  float* sums = nullptr;
};

/// What one worker holds: scratch memory, the result of a part, and that of the parts so far.
struct WorkerMemory {
  AttentionScratch scratch;
  Columns part, all;
};

WorkerMemory lay_out(Pieces& pieces, std::size_t n_columns, const LayerKv& kv) {
  constexpr std::size_t kQueryStep = 64;  // one vector of int8 of the widest set
  constexpr std::size_t kValueStep = 16;  // one vector of floats
  constexpr std::size_t kBlock = 32;
  WorkerMemory memory;
  AttentionScratch& s = memory.scratch;
  const std::size_t k_blocks = kv.head_dim_k / kBlock, v_blocks = kv.head_dim_v / kBlock;
  s.query_stride = round_up(kv.head_dim_k, kQueryStep);
  s.value_stride = round_up(kv.head_dim_v, kValueStep);
  s.queries = pieces.take<float>(n_columns * s.query_stride);
  s.query_quants = pieces.take<std::byte>(n_columns * s.query_stride);
  s.query_scales = pieces.take<float>(n_columns * k_blocks);
  s.query_offsets = pieces.take<std::int32_t>(n_columns * k_blocks);
  s.rows = pieces.take<float>(kTileKeys * s.query_stride);
  s.keys = pieces.take<float>(kTileKeys * s.query_stride / 4);
  s.key_scales = pieces.take<float>(kTileKeys * k_blocks);
  s.values = pieces.take<float>(kTileKeys * s.value_stride);
  s.value_scales = pieces.take<float>(kTileKeys * v_blocks);
  s.scores = pieces.take<float>(n_columns * kTileKeys);
  for (Columns* columns : {&memory.part, &memory.all}) {
    columns->greatest = pieces.take<float>(n_columns);
    columns->total = pieces.take<float>(n_columns);
    columns->sums = pieces.take<float>(n_columns * s.value_stride);
  }
  return memory;
}

/// Tokens of one sequence at consecutive positions that are worked at together.
struct Tile {
  std::uint32_t first_token = 0, n_tokens = 0;
  std::uint32_t begin = 0, end = 0;  // positions of keys
  std::size_t first_task = 0;
  bool is_split = false;          // a task a part; else one task does all parts
  std::size_t first_partial = 0;  // of a split tile: columns of parts before
  std::uint32_t n_parts() const { return (end - 1) / kPartKeys - begin / kPartKeys + 1; }
  std::uint32_t part_begin(std::uint32_t part) const {
    return part == 0 ? begin : (begin / kPartKeys + part) * kPartKeys;
  }
  std::uint32_t part_end(std::uint32_t part) const {
    return std::min(end, (begin / kPartKeys + part + 1) * kPartKeys);
  }
};

std::uint32_t first_seen(const Attention& attention, std::uint32_t position) {
  std::uint32_t first = 0;
  if (attention.window != 0 && position >= attention.window)
    first = position - attention.window + 1;
  if (attention.chunk != 0) first = std::max(first, position - position % attention.chunk);
  return first;
}

std::vector<Tile> make_tiles(const Attention& attention, std::span<const TokenPlace> tokens,
                             std::uint32_t group) {
  constexpr std::uint32_t kTileColumns = 128, kTileTokens = 64;
  const std::uint32_t most = std::clamp(kTileColumns / group, 1u, kTileTokens);
  std::vector<Tile> tiles;
  for (std::uint32_t i = 0; i < tokens.size(); ++i) {
    const bool follows = i > 0 && tokens[i].sequence == tokens[i - 1].sequence &&
                         tokens[i].position == tokens[i - 1].position + 1;
    if (!follows || tiles.back().n_tokens == most) {
      tiles.push_back({i, 0, first_seen(attention, tokens[i].position)});
    }
    ++tiles.back().n_tokens;
    tiles.back().end = tokens[i].position + 1;
  }
  return tiles;
}

/// Numbers the tasks; where tiles are few, each of their parts is a task. Returns how many there
/// are.
std::size_t number_tasks(std::vector<Tile>& tiles, std::uint32_t n_kv_heads, std::uint32_t group,
                         std::size_t* n_partials) {
  constexpr std::size_t kEnough = 256;  // tasks, for many threads
  const bool split = tiles.size() * n_kv_heads < kEnough;
  std::size_t n_tasks = 0;
  *n_partials = 0;
  for (Tile& tile : tiles) {
    const std::uint32_t parts = tile.n_parts();
    tile.is_split = split && parts > 1;
    tile.first_task = n_tasks;
    n_tasks += std::size_t{tile.is_split ? parts : 1} * n_kv_heads;
    if (!tile.is_split) continue;
    tile.first_partial = *n_partials;
    *n_partials += std::size_t{parts} * n_kv_heads * tile.n_tokens * group;
  }
  return n_tasks;
}

std::atomic<std::uint64_t> bytes_read{0};

/// One call of attend().
class Pass {
 public:
  Pass(ThreadPool& pool, const Attention& attention, std::span<const TokenPlace> tokens,
       const float* q, float* out)
      : pool_(pool),
        attention_(attention),
        kernels_(kernels()),
        tokens_(tokens),
        q_(q),
        out_(out),
        group_(attention.n_heads / attention.kv.n_kv_heads),
        type_k_(*cache_type(attention.kv.type_k)),
        type_v_(attention.kv.v != nullptr ? *cache_type(attention.kv.type_v) : type_k_),
        k_bytes_(hwdb::row_bytes(attention.kv.type_k, attention.kv.head_dim_k)),
        v_bytes_(attention.kv.v != nullptr
                     ? hwdb::row_bytes(attention.kv.type_v, attention.kv.head_dim_v)
                     : 0) {}

  void run() {
    // Later tokens see more: their tiles go first, so that the last tasks are short ones.
    tiles_ = make_tiles(attention_, tokens_, group_);
    std::ranges::reverse(tiles_);
    std::size_t n_partials = 0;
    const std::size_t n_tasks = number_tasks(tiles_, attention_.kv.n_kv_heads, group_, &n_partials);
    allocate(n_partials);
    pool_.for_each(n_tasks, [&](std::size_t task, unsigned worker) { run_task(task, worker); });
    if (n_partials == 0) return;
    std::vector<std::pair<const Tile*, std::uint32_t>> split;
    for (const Tile& tile : tiles_) {
      if (!tile.is_split) continue;
      for (std::uint32_t head = 0; head < attention_.kv.n_kv_heads; ++head) {
        split.emplace_back(&tile, head);
      }
    }
    pool_.for_each(split.size(), [&](std::size_t i, unsigned worker) {
      const auto& [tile, head] = split[i];
      join(*tile, head, worker);
    });
  }

 private:
  void allocate(std::size_t n_partials) {
    std::uint32_t most = 1;
    for (const Tile& tile : tiles_) most = std::max(most, tile.n_tokens);
    const std::size_t n_columns = std::size_t{most} * group_;
    Pieces sizes(nullptr);
    stride_ = lay_out(sizes, n_columns, attention_.kv).scratch.value_stride;
    const std::size_t of_worker = sizes.used();
    sizes.take<float>(n_partials);
    sizes.take<float>(n_partials);
    sizes.take<float>(n_partials * stride_);
    static thread_local Workspace workspace;
    std::byte* base = workspace.get(sizes.used() + of_worker * (pool_.size() - 1));
    Pieces pieces(base);
    workers_.reserve(pool_.size());
    for (unsigned worker = 0; worker < pool_.size(); ++worker) {
      workers_.push_back(lay_out(pieces, n_columns, attention_.kv));
    }
    greatest_ = pieces.take<float>(n_partials);
    total_ = pieces.take<float>(n_partials);
    sums_ = pieces.take<float>(n_partials * stride_);
  }

  std::size_t n_columns(const Tile& tile) const { return std::size_t{tile.n_tokens} * group_; }

  void run_task(std::size_t number, unsigned worker) {
    const auto after = std::ranges::upper_bound(tiles_, number, {}, &Tile::first_task);
    const Tile& tile = *(after - 1);
    const std::size_t in_tile = number - tile.first_task;
    const WorkerMemory& memory = workers_[worker];
    if (tile.is_split) {
      const std::size_t partial = tile.first_partial + in_tile * n_columns(tile);
      attend_part(tile, static_cast<std::uint32_t>(in_tile / tile.n_parts()),
                  static_cast<std::uint32_t>(in_tile % tile.n_parts()), memory,
                  {greatest_ + partial, total_ + partial, sums_ + partial * stride_});
      return;
    }
    const auto head = static_cast<std::uint32_t>(in_tile);
    begin_fold(tile, memory);
    for (std::uint32_t part = 0; part < tile.n_parts(); ++part) {
      attend_part(tile, head, part, memory, memory.part);
      fold(tile, memory.part, memory);
    }
    answer(tile, head, memory);
  }

  void attend_part(const Tile& tile, std::uint32_t head, std::uint32_t part,
                   const WorkerMemory& memory, const Columns& result) {
    const LayerKv& kv = attention_.kv;
    const std::uint32_t sequence = tokens_[tile.first_token].sequence;
    const std::size_t first_cell = (std::size_t{sequence} * kv.n_kv_heads + head) * kv.n_cells;
    AttentionTask task;
    task.type_k = type_k_;
    task.type_v = type_v_;
    task.k = kv.k + first_cell * k_bytes_;
    task.v = kv.v != nullptr ? kv.v + first_cell * v_bytes_ : nullptr;
    task.head_dim_k = kv.head_dim_k;
    task.head_dim_v = kv.head_dim_v;
    task.n_cells = kv.n_cells;
    task.n_tokens = tile.n_tokens;
    task.n_group = group_;
    task.first_position = tokens_[tile.first_token].position;
    task.begin = tile.part_begin(part);
    task.end = tile.part_end(part);
    task.window = attention_.window;
    task.chunk = attention_.chunk;
    task.scale = attention_.scale;
    task.softcap = attention_.softcap;
    task.q_stride = std::size_t{attention_.n_heads} * kv.head_dim_k;
    task.q = q_ + tile.first_token * task.q_stride + std::size_t{head} * group_ * kv.head_dim_k;
    task.scratch = &memory.scratch;
    task.greatest = result.greatest;
    task.total = result.total;
    task.sums = result.sums;
    kernels_.attend(task);
    bytes_read.fetch_add(std::uint64_t{task.end - task.begin} * (k_bytes_ + v_bytes_),
                         std::memory_order_relaxed);
  }

  void join(const Tile& tile, std::uint32_t head, unsigned worker) {
    const WorkerMemory& memory = workers_[worker];
    begin_fold(tile, memory);
    for (std::uint32_t part = 0; part < tile.n_parts(); ++part) {
      const std::size_t at =
          tile.first_partial + (std::size_t{head} * tile.n_parts() + part) * n_columns(tile);
      fold(tile, {greatest_ + at, total_ + at, sums_ + at * stride_}, memory);
    }
    answer(tile, head, memory);
  }

  void begin_fold(const Tile& tile, const WorkerMemory& memory) const {
    const std::size_t n = n_columns(tile);
    std::fill_n(memory.all.greatest, n, -std::numeric_limits<float>::infinity());
    std::fill_n(memory.all.total, n, 0.0f);
    std::fill_n(memory.all.sums, n * stride_, 0.0f);
  }

  void fold(const Tile& tile, const Columns& part, const WorkerMemory& memory) const {
    kernels_.fold({n_columns(tile), stride_, part.greatest, part.total, part.sums,
                   memory.all.greatest, memory.all.total, memory.all.sums});
  }

  void answer(const Tile& tile, std::uint32_t kv_head, const WorkerMemory& memory) const {
    const std::uint32_t head_dim_v = attention_.kv.head_dim_v;
    for (std::size_t column = 0; column < n_columns(tile); ++column) {
      const std::size_t token = tile.first_token + column / group_;
      const std::size_t head = std::size_t{kv_head} * group_ + column % group_;
      kernels_.answer({memory.all.greatest[column], memory.all.total[column],
                       memory.all.sums + column * stride_, head_dim_v,
                       attention_.sinks != nullptr ? attention_.sinks + head : nullptr,
                       out_ + (token * attention_.n_heads + head) * head_dim_v});
    }
  }

  ThreadPool& pool_;
  const Attention& attention_;
  const AttentionKernels& kernels_;
  std::span<const TokenPlace> tokens_;
  const float* q_;
  float* out_;
  std::uint32_t group_;
  CacheType type_k_, type_v_;
  std::size_t k_bytes_, v_bytes_;
  std::vector<Tile> tiles_;
  std::vector<WorkerMemory> workers_;
  std::size_t stride_ = 0;
  float* greatest_ = nullptr;
  float* total_ = nullptr;
  float* sums_ = nullptr;
};

}  // namespace

bool can_cache(hwdb::TensorType type, std::uint32_t head_dim) {
  return cache_type(type) && head_dim > 0 && head_dim % hwdb::format_of(type).block_weights == 0;
}

void store_kv(ThreadPool& pool, const LayerKv& kv, std::span<const TokenPlace> tokens,
              const float* k, const float* v) {
  constexpr std::size_t kRowsOfTask = 64;
  const AttentionKernels& rows = kernels();
  const CacheType type_k = *cache_type(kv.type_k);
  const CacheType type_v = kv.v != nullptr ? *cache_type(kv.type_v) : type_k;
  const std::size_t k_bytes = hwdb::row_bytes(kv.type_k, kv.head_dim_k);
  const std::size_t v_bytes = kv.v != nullptr ? hwdb::row_bytes(kv.type_v, kv.head_dim_v) : 0;
  const std::size_t n_rows = tokens.size() * kv.n_kv_heads;
  pool.for_each((n_rows + kRowsOfTask - 1) / kRowsOfTask, [&](std::size_t task, unsigned) {
    const std::size_t end = std::min(n_rows, (task + 1) * kRowsOfTask);
    for (std::size_t row = task * kRowsOfTask; row < end; ++row) {
      const TokenPlace& place = tokens[row / kv.n_kv_heads];
      const std::size_t head = row % kv.n_kv_heads;
      const std::size_t cell =
          (place.sequence * kv.n_kv_heads + head) * kv.n_cells + place.position % kv.n_cells;
      rows.store(type_k, k + row * kv.head_dim_k, kv.head_dim_k, kv.k + cell * k_bytes);
      if (kv.v == nullptr) continue;
      rows.store(type_v, v + row * kv.head_dim_v, kv.head_dim_v, kv.v + cell * v_bytes);
    }
  });
}

void attend(ThreadPool& pool, const Attention& attention, std::span<const TokenPlace> tokens,
            const float* q, float* out) {
  Pass(pool, attention, tokens, q, out).run();
}

std::uint64_t take_cache_bytes_read() {
  return bytes_read.exchange(0, std::memory_order_relaxed);
}

}  // namespace engine::cpu
