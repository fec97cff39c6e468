// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/runtime/thread_pool.h"
#include "engine/tokenizer/tokenizer.h"
#include "hwdb/model.h"
#include "hwdb/op_counts.h"
#include "hwdb/result.h"

namespace engine {

struct ModelWeights;
struct ModelParams;

/// How weights are held.
enum class WeightStorage {
  repacked,  // copied once into the layout that products read fastest
  mapped     // read from the file's pages as they lie
};

struct ModelOptions {
  WeightStorage storage = WeightStorage::repacked;
  /// Called while weights are loaded with the share that is done, 0 to 1; from the loading thread.
  std::function<void(double share)> on_progress;
  /// Set: loading ends with the error run.interrupted.
  const std::atomic<bool>* cancel = nullptr;
};

/// A model whose weights are there. Several contexts may use it, one after the other.
class Model {
 public:
  /// Opens a GGUF file (any shard) for running. Errors: those of open_gguf; run.architecture and
  /// run.type (what the engine lacks, by name: plans still work); run.tensor (a tensor is missing
  /// or has another shape than the keys say); file.*; run.memory.
  static hwdb::Result<std::unique_ptr<Model>> open(const std::string& path, ThreadPool& pool,
                                                   const ModelOptions& options);
  ~Model();

  const hwdb::ModelFile& file() const;
  const hwdb::ModelShape& shape() const;
  /// Bytes and FLOPs by layer: the same record that plans are made from.
  const hwdb::ModelCosts& costs() const;
  const ModelParams& params() const;
  const ModelWeights& weights() const;
  /// Null when the file has no vocabulary (or one that we cannot read: see tokenizer_error).
  const Tokenizer* tokenizer() const;
  const std::optional<hwdb::Error>& tokenizer_error() const;
  /// tokenizer.chat_template as stored, at most 64 KiB; "" when there is none.
  const std::string& chat_template() const;
  /// Bytes of weights in memory of our own (repacked), without the file's pages.
  std::uint64_t own_bytes() const;

 private:
  struct Data;
  explicit Model(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

/// Ok when the engine has the architecture and every tensor's type; else run.architecture or
/// run.type with what exactly is missing. Reads the header only.
hwdb::Status check_runnable(const hwdb::ModelFile& file);

}  // namespace engine
