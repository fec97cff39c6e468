// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// Opens whatever a model can be on disk: a GGUF file (any shard of a split), a safetensors file, a
/// folder (config.json, an index, or one GGUF model), or a config.json alone. The weights are not
/// read. Errors: file.*, and those of the format; file.unknown_format says what it is instead.
Result<ModelFile> open_model_file(const std::string& path);

/// Whether the file is a whole model that can be planned. Errors: model.missing_key,
/// model.inconsistent (no tensors; a projector or an adapter).
Status check_plannable(const ModelFile& file);

}  // namespace hwdb
