// SPDX-License-Identifier: MIT
#include "engine/quantize/quantize.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/quant/quant_codec.h"
#include "hwdb/catalog.h"
#include "hwdb/gguf_split.h"
#include "hwdb/gguf_writer.h"
#include "hwdb/quant_format.h"
#include "hwdb/quant_presets.h"
#include "hwdb/text_escape.h"

namespace engine {
namespace {

using hwdb::Error;
using hwdb::PlannedTensor;
using hwdb::Result;
using hwdb::Status;
using hwdb::TensorInfo;

constexpr std::uint64_t kChunkWeights = 4u << 20, kTaskWeights = 1u << 16;
constexpr std::uint32_t kQuantizationVersion = 2;

Error unsupported(const TensorInfo& tensor, std::string what, std::string hint) {
  return Error{"quant.unsupported", std::move(what), hwdb::escape_text(tensor.name, 80),
               std::move(hint)};
}

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat x {
  }, y{};
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

/// Turns one stretch of a tensor into its new type. Answers the place of the first weight that is
/// no number, or `n`.
std::uint64_t convert(const TensorInfo& from, const TensorInfo& to, std::uint64_t n,
                      const std::byte* source, std::byte* target, std::vector<float>* values) {
  values->resize(n);
  find_quant_codec(from.type)->decode(source, n, values->data());
  const auto bad = std::ranges::find_if(*values, [](float v) { return !std::isfinite(v); });
  if (bad != values->end()) return static_cast<std::uint64_t>(bad - values->begin());
  if (from.type == to.type) {
    std::copy_n(source, hwdb::row_bytes(from.type, n), target);
  } else {
    find_quant_codec(to.type)->encode(values->data(), n, nullptr, target);
  }
  return n;
}

}  // namespace

Result<Quantization> Quantization::plan(const std::string& path,
                                        const hwdb::QuantOptions& options) {
  Quantization plan;
  auto source = hwdb::open_gguf(path);
  if (!source) return source.error();
  plan.source_ = std::move(*source);
  for (const std::string& shard : plan.source_.paths) {
    auto file = hwdb::FileReader::open(shard);
    if (!file) return file.error();
    auto gguf = hwdb::GgufFile::open(std::move(*file));
    if (!gguf) return gguf.error();
    plan.shards_.push_back(std::move(*gguf));
  }
  if (auto status = plan.choose_types(options); !status) return status.error();
  return plan;
}

Status Quantization::choose_types(const hwdb::QuantOptions& options) {
  const hwdb::PresetRule* preset = hwdb::find_preset_rule(options.preset);
  if (preset == nullptr) return hwdb::unknown_preset(options.preset);
  if (const auto row = hwdb::Catalog::builtin().find_preset(options.preset)) {
    file_type_ = (*row)->ftype_id;
  }
  // The rules count tensors layer by layer, whatever the order in the file.
  const std::vector<TensorInfo>& stored = source_.tensors;
  std::vector<std::size_t> order(stored.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<PlannedTensor> list;
  for (const TensorInfo& tensor : stored) list.push_back(hwdb::classify_tensor(tensor));
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return list[i].layer; });
  std::vector<PlannedTensor> sorted;
  const hwdb::TensorType f16 = hwdb::tensor_type("F16"), mxfp4 = hwdb::tensor_type("MXFP4");
  for (const std::size_t i : order) {
    sorted.push_back(list[i]);
    // A matrix that may change stands for a 16-bit one; else 32 bits would mean "stays so".
    TensorInfo& info = sorted.back().info;
    if (sorted.back().part != hwdb::QuantPart::copied && info.type != mxfp4) info.type = f16;
  }
  if (auto status = hwdb::apply_preset(source_.shape, options, &sorted); !status) return status;
  tensors_.resize(stored.size());
  for (std::size_t k = 0; k < order.size(); ++k) {
    PlannedTensor& tensor = tensors_[order[k]];
    tensor = std::move(sorted[k]);
    const TensorInfo& before = stored[order[k]];
    if (tensor.part == hwdb::QuantPart::copied) {
      tensor.info.type = before.type;
      tensor.info.bytes = before.bytes;
    }
  }
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const TensorInfo &before = stored[i], &after = tensors_[i].info;
    if (find_quant_codec(before.type) == nullptr) {
      return unsupported(
          before,
          fmt::format("is {}, which the engine does not read", hwdb::format_of(before.type).name),
          {});
    }
    const QuantCodec* codec = find_quant_codec(after.type);
    if (after.type != before.type && (codec == nullptr || codec->encode == nullptr)) {
      return unsupported(after,
                         fmt::format("would become {}, which needs an importance matrix and has no "
                                     "encoder here",
                                     hwdb::format_of(after.type).name),
                         "such as Q4_K_M, IQ4_XS or Q2_K");
    }
  }
  return hwdb::Ok{};
}

std::uint64_t Quantization::bytes_before() const {
  std::uint64_t sum = 0;
  for (const TensorInfo& tensor : source_.tensors) sum += tensor.bytes;
  return sum;
}

std::uint64_t Quantization::bytes_after() const {
  std::uint64_t sum = 0;
  for (const PlannedTensor& tensor : tensors_) sum += tensor.info.bytes;
  return sum;
}

Result<std::uint64_t> Quantization::write(const std::string& path, ThreadPool& pool,
                                          const Writing& writing) const {
  for (const std::string& shard : source_.paths) {
    if (is_same_file(shard, path)) {
      return Error{"usage.value", "is the file that is read: it cannot be replaced while it is",
                   hwdb::escape_text(path, 400), "another name for the new file"};
    }
  }
  hwdb::GgufKeys keys;
  const hwdb::GgufFile& first = shards_.front();
  for (std::size_t i = 0; i < first.n_keys(); ++i) {
    const std::string_view key = first.key(i);
    if (key.starts_with("split.") || key == "general.file_type" || key == "general.alignment" ||
        key == "general.quantization_version") {
      continue;
    }
    if (auto status = keys.copy(first, key); !status) return status.error();
  }
  if (file_type_) keys.add("general.file_type", *file_type_);
  keys.add("general.quantization_version", kQuantizationVersion);

  std::vector<TensorInfo> directory;
  for (const PlannedTensor& tensor : tensors_) directory.push_back(tensor.info);
  hwdb::GgufWriter::Options options;
  options.alignment = static_cast<std::uint32_t>(first.alignment());
  options.overwrite = writing.overwrite;
  auto writer = hwdb::GgufWriter::create(path, std::move(keys), std::move(directory), options);
  if (!writer) return writer.error();

  const std::uint64_t total = bytes_before();
  std::uint64_t done = 0;
  std::vector<std::byte> from, to;
  std::vector<std::vector<float>> values(pool.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorInfo &before = source_.tensors[i], &after = tensors_[i].info;
    const hwdb::GgufFile& shard = shards_[before.shard];
    const std::uint64_t n = before.elements();
    const std::uint64_t start = shard.header_bytes() + before.offset;
    for (std::uint64_t at = 0; at < n; at += kChunkWeights) {
      if (writing.cancel != nullptr && writing.cancel->load()) {
        return Error{"run.interrupted",
                     "stopped before the file was whole",
                     hwdb::escape_text(path, 400),
                     {}};
      }
      const std::uint64_t count = std::min(kChunkWeights, n - at);
      from.resize(hwdb::row_bytes(before.type, count));
      to.resize(hwdb::row_bytes(after.type, count));
      if (auto status = shard.file().read(start + hwdb::row_bytes(before.type, at), from);
          !status) {
        return status.error();
      }
      // The least place of any task, so that the answer does not depend on the threads.
      constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
      std::atomic<std::uint64_t> bad{kNone};
      pool.for_each(
          (count + kTaskWeights - 1) / kTaskWeights, [&](std::size_t task, unsigned worker) {
            const std::uint64_t begin = task * kTaskWeights;
            const std::uint64_t size = std::min(kTaskWeights, count - begin);
            const std::uint64_t good =
                convert(before, after, size, from.data() + hwdb::row_bytes(before.type, begin),
                        to.data() + hwdb::row_bytes(after.type, begin), &values[worker]);
            if (good == size) return;
            std::uint64_t known = bad.load();
            while (begin + good < known && !bad.compare_exchange_weak(known, begin + good)) {
            }
          });
      if (bad != kNone) {
        return Error{"quantize.not_finite",
                     fmt::format("weight {} of {} is no finite number", at + bad.load(),
                                 hwdb::escape_text(before.name, 80)),
                     shard.file().shown_path(), "the file is damaged, or its training failed"};
      }
      if (auto status = writer->write(to); !status) return status.error();
      done += from.size();
      if (writing.on_progress) writing.on_progress(before.name, done, total);
    }
  }
  for (const hwdb::GgufFile& shard : shards_) {
    if (auto status = shard.file().check_unchanged(); !status) return status.error();
  }
  if (auto status = writer->commit(); !status) return status.error();
  return writer->file_bytes();
}

}  // namespace engine
