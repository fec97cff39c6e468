// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/model_params.h"
#include "engine/model/model_weights.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/file_reader.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace engine {

/// A file of the model, and where its tensors begin.
struct Shard {
  hwdb::FileReader file;
  std::uint64_t data_offset = 0;
};

/// The rope factor tensors of a file. Errors: run.tensor, file.*.
hwdb::Result<RopeFactors> read_rope_factors(const hwdb::ModelFile& file,
                                            std::span<const Shard> shards);

/// Finds every tensor that the model needs, checks its shape, and loads it (or maps it). Errors:
/// run.tensor, run.type, run.memory, run.interrupted, file.*.
hwdb::Result<ModelWeights> load_weights(const hwdb::ModelFile& file, const ModelParams& params,
                                        std::shared_ptr<const std::vector<Shard>> shards,
                                        ThreadPool& pool, const ModelOptions& options);

/// run.type when a tensor of the file has a type that the engine does not run; names the types.
hwdb::Status check_types(const hwdb::ModelFile& file);

}  // namespace engine
