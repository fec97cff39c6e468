// SPDX-License-Identifier: MIT
#include "engine/model/weight_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "engine/model/weight_finder.h"
#include "engine/quant/quant_codec.h"
#include "engine/runtime/huge_memory.h"
#include "engine/runtime/mapped_file.h"
#include "hwdb/text_escape.h"
#include "hwdb/units.h"

namespace engine {

struct ModelWeights::Memory {
  HugeMemory arena;
  std::vector<MappedFile> files;  // mapped storage only
  std::shared_ptr<const std::vector<Shard>> shards;
};

bool ModelWeights::lost() const {
  return memory != nullptr && std::ranges::any_of(memory->files, &MappedFile::lost);
}

namespace {

using hwdb::Error;
using hwdb::Ok;
using hwdb::Result;
using hwdb::Status;
using hwdb::TensorInfo;

constexpr std::size_t kAlign = 64;
constexpr std::uint32_t kPanelRows = 16;
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;  // read and laid out at a time

/// Where a tensor begins in its file.
std::uint64_t file_offset(const TensorInfo& tensor, std::span<const Shard> shards) {
  return shards[tensor.shard].data_offset + tensor.offset;
}

/// Rows of a file, decoded one at a time.
class FileRowTable : public RowTable {
 public:
  FileRowTable(const TensorInfo& tensor, std::shared_ptr<const std::vector<Shard>> shards)
      : shards_(std::move(shards)),
        shard_(tensor.shard),
        offset_(file_offset(tensor, *shards_)),
        codec_(*find_quant_codec(tensor.type)) {
    n_rows = tensor.rows();
    width = static_cast<std::uint32_t>(tensor.ne[0]);
    row_bytes = hwdb::row_bytes(tensor.type, tensor.ne[0]);
  }

  Status read(std::uint64_t index, float* to) const override {
    std::vector<std::byte> row(row_bytes);
    if (Status s = (*shards_)[shard_].file.read(offset_ + index * row_bytes, row); !s) return s;
    codec_.decode(row.data(), width, to);
    return Ok{};
  }

 private:
  std::shared_ptr<const std::vector<Shard>> shards_;
  std::uint32_t shard_;
  std::uint64_t offset_;
  QuantCodec codec_;
};

Result<std::vector<float>> read_floats(const TensorInfo& tensor, std::uint64_t first,
                                       std::uint64_t n, std::span<const Shard> shards) {
  const QuantCodec* codec = find_quant_codec(tensor.type);
  const hwdb::TensorFormat& format = hwdb::format_of(tensor.type);
  if (codec == nullptr || format.block_weights != 1) {
    return Error{"run.type",
                 fmt::format("tensor {} is {}, the engine reads it as F32, F16 or BF16",
                             hwdb::escape_text(tensor.name), format.name),
                 shards[tensor.shard].file.shown_path(),
                 {}};
  }
  std::vector<std::byte> bytes(n * format.block_bytes);
  const std::uint64_t at = file_offset(tensor, shards) + first * format.block_bytes;
  if (Status s = shards[tensor.shard].file.read(at, bytes); !s) return s.error();
  std::vector<float> floats(n);
  codec->decode(bytes.data(), n, floats.data());
  return floats;
}

/// Loads a list of matrices and vectors; the first error ends it.
class Loader {
 public:
  Loader(const WeightList& list, std::shared_ptr<const std::vector<Shard>> shards, ThreadPool& pool,
         const ModelOptions& options, ModelWeights* weights)
      : list_(list),
        shards_(std::move(shards)),
        pool_(pool),
        options_(options),
        weights_(weights) {}

  Status load() {
    weights_->memory = std::make_shared<ModelWeights::Memory>();
    weights_->memory->shards = shards_;
    if (options_.storage == WeightStorage::mapped) {
      if (Status s = map_files(); !s) return s;
    }
    if (Status s = lay_out(); !s) return s;
    load_vectors();
    load_matrices();
    if (error_) return *error_;
    if (cancelled()) return Error{"run.interrupted", "interrupted while loading", {}, {}};
    return Ok{};
  }

 private:
  /// One piece of work: panels (or rows) of one matrix of a stack.
  struct Piece {
    const MatrixItem* item = nullptr;
    std::uint32_t matrix = 0, first_panel = 0, n_panels = 0;
  };

  bool cancelled() const { return options_.cancel != nullptr && options_.cancel->load(); }
  bool stopped() const { return failed_.load() || cancelled(); }

  Status map_files() {
    for (const Shard& shard : *shards_) {
      auto file = MappedFile::open(shard.file.path(), shard.file.size());
      if (!file) return file.error();
      weights_->memory->files.push_back(std::move(*file));
    }
    return Ok{};
  }

  /// Gives every item its place: in the arena, or in the mapped file.
  Status lay_out() {
    std::uint64_t total = 0;
    const auto take = [&](std::uint64_t bytes) {
      const std::uint64_t at = total;
      if (!hwdb::checked_add(total, bytes / kAlign * kAlign + kAlign, &total)) total = ~0ull;
      return at;
    };
    std::vector<std::uint64_t> places;
    for (const MatrixItem& item : list_.matrices) {
      set_form(item);
      const cpu::Weights& w = item.target->weights;
      places.push_back(is_mapped() ? 0 : take(std::uint64_t{w.matrix_bytes} * w.n_matrices));
    }
    for (const VectorItem& item : list_.vectors) places.push_back(take(item.n * sizeof(float)));
    weights_->memory->arena = HugeMemory(total);
    weights_->own_bytes = total;
    std::byte* const base = weights_->memory->arena.data();
    if (base == nullptr) {
      return Error{"run.memory",
                   fmt::format("the system refuses {} for the weights",
                               hwdb::format_bytes(hwdb::Bytes(total))),
                   {},
                   "--storage mapped reads weights from the file's pages instead"};
    }
    std::size_t next = 0;
    for (const MatrixItem& item : list_.matrices) {
      item.target->weights.data = is_mapped() ? mapped(item) : base + places[next];
      ++next;
    }
    for (const VectorItem& item : list_.vectors) {
      *item.target = reinterpret_cast<const float*>(base + places[next++]);
    }
    return Ok{};
  }

  bool is_mapped() const { return options_.storage == WeightStorage::mapped; }

  const std::byte* mapped(const MatrixItem& item) const {
    return weights_->memory->files[item.tensor->shard].data() +
           file_offset(*item.tensor, *shards_) +
           item.first_row * hwdb::row_bytes(item.tensor->type, item.tensor->ne[0]);
  }

  void set_form(const MatrixItem& item) const {
    cpu::Weights& w = item.target->weights;
    const std::size_t row = hwdb::row_bytes(item.tensor->type, item.tensor->ne[0]);
    w.type = item.tensor->type;
    w.n_rows = item.n_rows;
    w.n_cols = item.n_cols;
    w.n_matrices = item.n_matrices;
    item.target->file_bytes = std::uint64_t{row} * item.n_rows * item.n_matrices;
    if (is_mapped()) {
      w.layout = cpu::Weights::Layout::rows;
      w.matrix_bytes = row * item.tensor->ne[1];
    } else if (cpu::has_panels(w.type)) {
      w.layout = cpu::Weights::Layout::panels;
      w.matrix_bytes = cpu::panel_bytes(w.type, w.n_rows, w.n_cols);
    } else {
      w.layout = cpu::Weights::Layout::rows;
      w.matrix_bytes = row * item.n_rows;
    }
  }

  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    failed_.store(true);
  }

  void load_vectors() {
    for (const VectorItem& item : list_.vectors) {
      auto floats = read_floats(*item.tensor, item.first, item.n, *shards_);
      if (!floats) return fail(floats.error());
      std::ranges::copy(*floats, const_cast<float*>(*item.target));
    }
  }

  void load_matrices() {
    if (is_mapped() || failed_.load()) return;
    std::vector<Piece> pieces;
    std::uint64_t total = 0;
    for (const MatrixItem& item : list_.matrices) {
      const std::size_t panel = hwdb::row_bytes(item.tensor->type, item.tensor->ne[0]) * kPanelRows;
      const auto step = static_cast<std::uint32_t>(std::max<std::size_t>(kPieceBytes / panel, 1));
      const std::uint32_t panels = (item.n_rows + kPanelRows - 1) / kPanelRows;
      for (std::uint32_t m = 0; m < item.n_matrices; ++m) {
        for (std::uint32_t p = 0; p < panels; p += step) {
          pieces.push_back({&item, m, p, std::min(step, panels - p)});
        }
      }
      total += item.target->file_bytes;
    }
    std::atomic<std::uint64_t> done = 0;
    std::vector<std::vector<std::byte>> scratch(pool_.size());
    pool_.for_each(pieces.size(), [&](std::size_t i, unsigned worker) {
      if (stopped()) return;
      done += load_piece(pieces[i], &scratch[worker]);
      if (worker == 0 && options_.on_progress) {
        options_.on_progress(static_cast<double>(done.load()) / static_cast<double>(total));
      }
    });
    if (!stopped() && options_.on_progress) options_.on_progress(1);
  }

  std::uint64_t load_piece(const Piece& piece, std::vector<std::byte>* scratch) {
    const MatrixItem& item = *piece.item;
    const cpu::Weights& w = item.target->weights;
    const std::size_t row = hwdb::row_bytes(item.tensor->type, item.tensor->ne[0]);
    const std::uint32_t first = piece.first_panel * kPanelRows;
    const std::uint32_t n = std::min(piece.n_panels * kPanelRows, item.n_rows - first);
    const std::uint64_t row_in_tensor = piece.matrix * item.tensor->ne[1] + item.first_row + first;
    const std::uint64_t at = file_offset(*item.tensor, *shards_) + row_in_tensor * row;
    auto* const matrix = const_cast<std::byte*>(w.data) + piece.matrix * w.matrix_bytes;
    const hwdb::FileReader& file = (*shards_)[item.tensor->shard].file;
    if (w.layout == cpu::Weights::Layout::rows) {
      if (Status s = file.read(at, {matrix + first * row, n * row}); !s) fail(s.error());
      return n * row;
    }
    scratch->resize(std::max(scratch->size(), n * row));
    if (Status s = file.read(at, {scratch->data(), n * row}); !s) {
      fail(s.error());
      return 0;
    }
    // Panels lie one after the other without padding; only the whole matrix is rounded up.
    cpu::make_panels(w.type, scratch->data(), n, w.n_cols, 0, piece.n_panels,
                     matrix + std::size_t{first} * row);
    return n * row;
  }

  const WeightList& list_;
  std::shared_ptr<const std::vector<Shard>> shards_;
  ThreadPool& pool_;
  const ModelOptions& options_;
  ModelWeights* weights_;
  std::mutex mutex_;
  std::optional<Error> error_;
  std::atomic<bool> failed_ = false;
};

}  // namespace

Status check_types(const hwdb::ModelFile& file) {
  std::set<std::string_view> missing;
  for (const TensorInfo& tensor : file.tensors) {
    if (find_quant_codec(tensor.type) == nullptr) {
      missing.insert(hwdb::format_of(tensor.type).name);
    }
  }
  if (missing.empty()) return Ok{};
  return Error{"run.type",
               fmt::format("the engine does not run tensor type{} {}",
                           missing.size() > 1 ? "s" : "", fmt::join(missing, ", ")),
               file.paths.empty() ? std::string() : hwdb::escape_text(file.paths.front()),
               "plans and inspect work for it all the same"};
}

Result<RopeFactors> read_rope_factors(const hwdb::ModelFile& file, std::span<const Shard> shards) {
  RopeFactors factors;
  for (const TensorInfo& tensor : file.tensors) {
    std::vector<float>* target = nullptr;
    if (tensor.name == "rope_freqs.weight") target = &factors.freqs;
    if (tensor.name == "rope_factors_long.weight") target = &factors.long_factors;
    if (tensor.name == "rope_factors_short.weight") target = &factors.short_factors;
    if (target == nullptr) continue;
    auto floats = read_floats(tensor, 0, tensor.elements(), shards);
    if (!floats) return floats.error();
    *target = std::move(*floats);
  }
  return factors;
}

Result<ModelWeights> load_weights(const hwdb::ModelFile& file, const ModelParams& params,
                                  std::shared_ptr<const std::vector<Shard>> shards,
                                  ThreadPool& pool, const ModelOptions& options) {
  ModelWeights weights;
  auto list = find_weights(file, params, &weights);
  if (!list) return list.error();
  weights.token_embedding = std::make_unique<FileRowTable>(*list->token_embedding, shards);
  if (list->position_embedding != nullptr) {
    weights.position_embedding = std::make_unique<FileRowTable>(*list->position_embedding, shards);
  }
  if (Status s = Loader(*list, std::move(shards), pool, options, &weights).load(); !s) {
    return s.error();
  }
  return weights;
}

}  // namespace engine
