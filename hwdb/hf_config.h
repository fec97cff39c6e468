// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "hwdb/gguf_shape.h"
#include "hwdb/json.h"
#include "hwdb/model.h"
#include "hwdb/result.h"

namespace hwdb {

/// What a config.json says: the decoder's shape, and how the weights are stored.
struct HfConfig {
  ShapeReading reading;
  std::string quantization;  // "AWQ 4-bit", "FP8", "MXFP4"; else the dtype, "BF16"; "" unknown
};

/// Reads a parsed config.json of Hugging Face's form; nested text_config too. Custom code is noted
/// and never run. Errors: model.missing_key, model.range, model.array_length, json.type; `where`
/// names the file.
Result<HfConfig> read_hf_config(const Json& config, const std::string& where);

/// The GGUF architecture of a model_type; "" when none is known.
std::string_view gguf_architecture_of(std::string_view model_type);

}  // namespace hwdb
