// SPDX-License-Identifier: MIT
#include "engine/synth/synthesize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/synth/random_weights.h"
#include "engine/synth/synth_keys.h"
#include "engine/synth/synth_vocabulary.h"
#include "engine/synth/weight_rule.h"
#include "hwdb/quant_format.h"

namespace engine {
namespace {

using hwdb::Error;
using hwdb::GgufFile;
using hwdb::GgufKeys;
using hwdb::Result;
using hwdb::Status;

// Enough for each thread to have work, little enough to stay in memory that is warm.
constexpr std::uint64_t kChunkBytes = 8u << 20;
constexpr std::uint32_t kQuantizationVersion = 2;

/// Keys that say how much of a model there is: from the cut shape, never from the source.
constexpr std::array<std::string_view, 8> kCutKeys = {
    "block_count",        "vocab_size",
    "expert_count",       "nextn_predict_layers",
    "expert_used_count",  "leading_dense_block_count",
    "expert_group_count", "expert_group_used_count"};

Status copy_source_keys(const GgufFile& source, const hwdb::ModelShape& shape, bool same_vocabulary,
                        GgufKeys* keys) {
  const std::string prefix = shape.architecture + ".";
  for (std::size_t i = 0; i < source.n_keys(); ++i) {
    const std::string_view key = source.key(i);
    const bool tokenizer = key.starts_with("tokenizer.") && same_vocabulary;
    if (!key.starts_with(prefix) && !tokenizer) continue;
    const std::string_view suffix = tokenizer ? key : key.substr(prefix.size());
    if (std::ranges::count(kCutKeys, suffix) > 0) continue;
    // Lists have an entry a layer.
    if (!tokenizer && source.find(key)->type == hwdb::GgufType::array) continue;
    if (auto status = keys->copy(source, key); !status) return status;
  }
  return hwdb::Ok{};
}

Result<std::vector<float>> table_of(const GgufFile& source, const hwdb::TensorInfo& wanted) {
  std::vector<float> values;
  for (const hwdb::TensorInfo& tensor : source.tensors()) {
    if (tensor.name != wanted.name || tensor.ne != wanted.ne ||
        tensor.type != hwdb::tensor_type("F32")) {
      continue;
    }
    values.resize(tensor.elements());
    auto status = source.file().read(source.header_bytes() + tensor.offset,
                                     std::as_writable_bytes(std::span(values)));
    if (!status) return status.error();
  }
  return values;
}

}  // namespace

std::uint64_t SynthFile::data_bytes() const {
  std::uint64_t sum = 0;
  for (const hwdb::PlannedTensor& tensor : tensors) sum += tensor.info.bytes;
  return sum;
}

Result<SynthFile> plan_synth(const hwdb::ModelShape& shape, const SynthRequest& request) {
  SynthFile file;
  file.shape = cut_shape(shape, request.cuts);
  // The kind of tokenizer is that of the whole model.
  file.traits = synth_traits(shape);
  auto tensors = hwdb::tensor_list(file.shape);
  if (!tensors) return tensors.error();
  file.tensors = std::move(*tensors);
  hwdb::QuantOptions quant;
  quant.preset = request.preset;
  if (auto status = hwdb::apply_preset(file.shape, quant, &file.tensors); !status) {
    return status.error();
  }

  GgufKeys& keys = file.keys;
  keys.add("general.architecture", std::string_view(file.shape.architecture));
  keys.add("general.type", "model");
  keys.add("general.name", std::string_view(request.name));
  keys.add("general.description",
           "Random weights in the shape of a model: for measuring and testing, knows nothing");
  if (const auto type = file_type_of(request.preset)) keys.add("general.file_type", *type);
  keys.add("general.quantization_version", kQuantizationVersion);
  const bool same_vocabulary = file.shape.n_vocab == shape.n_vocab;
  if (request.source != nullptr) {
    auto status = copy_source_keys(*request.source, file.shape, same_vocabulary, &keys);
    if (!status) return status.error();
  }
  add_shape_keys(file.shape, file.traits, &keys);
  if (!keys.has("tokenizer.ggml.model")) {
    auto status = add_vocabulary_keys(file.shape.n_vocab, file.traits, &keys);
    if (!status) return status.error();
  }
  if (!keys.status()) return keys.status().error();

  file.given.resize(file.tensors.size());
  for (std::size_t i = 0; i < file.tensors.size() && request.source != nullptr; ++i) {
    const hwdb::TensorInfo& tensor = file.tensors[i].info;
    if (!tensor.name.starts_with("rope_f")) continue;
    auto values = table_of(*request.source, tensor);
    if (!values) return values.error();
    file.given[i] = std::move(*values);
  }
  return file;
}

Result<std::uint64_t> write_synth(const SynthFile& file, const std::string& path, ThreadPool& pool,
                                  const SynthWriting& writing) {
  std::vector<hwdb::TensorInfo> directory;
  for (const hwdb::PlannedTensor& tensor : file.tensors) directory.push_back(tensor.info);
  RandomWeights weights(writing.seed, pool);
  std::vector<RandomWeights::Source> sources;
  for (std::size_t i = 0; i < directory.size(); ++i) {
    WeightRule rule = weight_rule(directory[i], file.shape, file.traits);
    if (!file.given[i].empty()) rule.values = file.given[i];
    auto source = weights.open(directory[i], std::move(rule));
    if (!source) return source.error();
    sources.push_back(std::move(*source));
  }

  hwdb::GgufWriter::Options options;
  options.overwrite = writing.overwrite;
  auto writer = hwdb::GgufWriter::create(path, file.keys, std::move(directory), options);
  if (!writer) return writer.error();
  const std::uint64_t total = file.data_bytes();
  std::uint64_t done = 0;
  std::vector<std::byte> chunk;
  for (const RandomWeights::Source& source : sources) {
    const std::uint64_t at_once = std::max<std::uint64_t>(1, kChunkBytes / source.piece_bytes);
    for (std::uint64_t first = 0; first < source.n_pieces; first += at_once) {
      if (writing.cancel != nullptr && writing.cancel->load()) {
        return Error{"run.interrupted", "stopped before the file was whole", path, {}};
      }
      const std::uint64_t n = std::min(at_once, source.n_pieces - first);
      chunk.resize(n * source.piece_bytes);
      weights.make(source, first, chunk);
      if (auto status = writer->write(chunk); !status) return status.error();
      done += chunk.size();
      if (writing.on_progress) writing.on_progress(done, total);
    }
  }
  if (auto status = writer->commit(); !status) return status.error();
  return writer->file_bytes();
}

}  // namespace engine
