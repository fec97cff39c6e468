// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/runtime/thread_pool.h"
#include "engine/synth/synth_shape.h"
#include "engine/synth/synth_traits.h"
#include "hwdb/gguf.h"
#include "hwdb/gguf_writer.h"
#include "hwdb/weight_plan.h"

namespace engine {

/// What is made.
struct SynthRequest {
  std::string preset = "Q4_K_M";
  SynthCuts cuts;
  std::string name = "synthetic";  // general.name
  /// A file of this model: its scalar keys are taken over, its tokenizer where the vocabulary is
  /// not cut, and its tables of rope factors. Null: published habits of the architecture.
  const hwdb::GgufFile* source = nullptr;
};

/// A file that could be written: everything but its weights.
struct SynthFile {
  hwdb::ModelShape shape;
  SynthTraits traits;
  hwdb::GgufKeys keys;
  std::vector<hwdb::PlannedTensor> tensors;
  std::vector<std::vector<float>> given;  // values of a tensor from the source, empty: made up
  std::uint64_t data_bytes() const;       // without padding
};

/// Cuts the shape, lists the tensors with their types by the preset's rules and collects the keys.
/// Errors: model.*, quant.*, synth.vocabulary, file.*.
hwdb::Result<SynthFile> plan_synth(const hwdb::ModelShape& shape, const SynthRequest& request);

struct SynthWriting {
  std::uint64_t seed = 1;
  bool overwrite = false;
  /// Called with the bytes of weights that are written; from the calling thread.
  std::function<void(std::uint64_t done, std::uint64_t total)> on_progress;
  /// Set: writing ends with the error run.interrupted, and no file.
  const std::atomic<bool>* cancel = nullptr;
};

/// Writes the file with random weights that depend on the seed and on nothing else; its size.
/// Errors: quant.unsupported, gguf.*, output.*, run.interrupted.
hwdb::Result<std::uint64_t> write_synth(const SynthFile& file, const std::string& path,
                                        ThreadPool& pool, const SynthWriting& writing);

}  // namespace engine
