// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "hwdb/units.h"

namespace hwdb {

/// Folders where other programs keep models, each most likely first. Folders that are not there are
/// passed over.
struct StoreRoots {
  std::vector<std::string> ollama;     // hold "manifests" and "blobs"
  std::vector<std::string> lmstudio;   // hold <publisher>/<model>/<file>.gguf
  std::vector<std::string> hub;        // hold models--<org>--<name>
  std::vector<std::string> llama_cpp;  // hold *.gguf
};

/// The usual places, from a home folder ("" when there is none) and the value of environment
/// variables (empty when unset). Reads only LM Studio's pointer file.
StoreRoots default_store_roots(const std::string& home,
                               const std::function<std::string(std::string_view)>& variable);

/// A model in a store.
struct StoreModel {
  std::string id;         // "ollama:qwen3:8b", "lmstudio:publisher/model/file.gguf"
  std::string path;       // what open_model_file takes
  Bytes bytes;            // on disk, as far as the store says
  std::string projector;  // path of its projector, "" when none
};

/// All models found, by id. A broken manifest is passed over and named in `warnings` where that is
/// given.
std::vector<StoreModel> list_store_models(const StoreRoots& roots,
                                          std::vector<std::string>* warnings = nullptr);

/// Whether a model name means a store: "ollama:...", "lmstudio:...", "hub:...", "llama.cpp:...".
bool is_store_name(std::string_view name);
/// The model of such a name. Ollama's tag may be left out for "latest", LM Studio's file when there
/// is one. Errors: name.unknown (the nearest in the hint), name.ambiguous, json.*,
/// file.unknown_format (a model that Ollama keeps as single tensors).
Result<StoreModel> find_store_model(const StoreRoots& roots, std::string_view name);

}  // namespace hwdb
