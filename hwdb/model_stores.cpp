// SPDX-License-Identifier: MIT
#include "hwdb/model_stores.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "hwdb/file_reader.h"
#include "hwdb/gguf_split.h"
#include "hwdb/json.h"
#include "hwdb/limits.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOllama = "ollama:", kLmStudio = "lmstudio:", kHub = "hub:",
                           kLlamaCpp = "llama.cpp:";
constexpr std::string_view kMediaType = "application/vnd.ollama.image.";
// A store deeper or larger than this is somebody's whole disk.
constexpr int kDepth = 6;
constexpr std::size_t kEntries = 100'000;

/// Regular files below a folder, in order; folders that cannot be read are passed over.
std::vector<fs::path> files_below(const fs::path& root) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, error);
  std::size_t seen = 0;
  for (; !error && it != fs::recursive_directory_iterator() && seen < kEntries;
       it.increment(error), ++seen) {
    if (it.depth() >= kDepth) it.disable_recursion_pending();
    std::error_code ignored;
    if (it->is_regular_file(ignored)) files.push_back(it->path());
  }
  std::ranges::sort(files);
  return files;
}

std::uint64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

/// "sha256:<64 hex>" as it is written in the blobs folder; empty when it is nothing of that kind.
std::string blob_name(std::string_view digest) {
  constexpr std::size_t kHex = 64;
  if (!digest.starts_with("sha256:") || digest.size() != 7 + kHex) return {};
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!std::ranges::all_of(digest.substr(7), hex)) return {};
  return "sha256-" + std::string(digest.substr(7));
}

/// A manifest's place in the store as people write it: the parts that are defaults are left out.
std::string ollama_name(const fs::path& manifest, const fs::path& manifests) {
  std::vector<std::string> parts;
  for (const fs::path& part : manifest.lexically_relative(manifests))
    parts.push_back(part.string());
  if (parts.size() < 3) return {};
  const std::string tag = parts.back();
  parts.pop_back();
  if (parts.front() == "registry.ollama.ai") parts.erase(parts.begin());
  if (parts.size() == 2 && parts.front() == "library") parts.erase(parts.begin());
  std::string name;
  for (const std::string& part : parts) name.append(name.empty() ? "" : "/").append(part);
  return name + ":" + tag;
}

Result<StoreModel> read_manifest(const fs::path& manifest, const fs::path& root) {
  auto file = FileReader::open(manifest.string());
  if (!file) return file.error();
  auto text = file->read_text(limits::kConfigJsonBytes);
  if (!text) return text.error();
  auto json = parse_json(*text, file->shown_path());
  if (!json) return json.error();
  const Json* layers = json->find("layers");
  if (layers == nullptr || !layers->is_array())
    return file->error("json.type", "layers is missing or no list");
  StoreModel model;
  model.id = std::string(kOllama) + ollama_name(manifest, root / "manifests");
  for (const Json& layer : *layers->as_array()) {
    const Json* type = layer.find("mediaType");
    const Json* digest = layer.find("digest");
    if (type == nullptr || !type->is_string() || digest == nullptr || !digest->is_string())
      continue;
    if (!type->as_string()->starts_with(kMediaType)) continue;
    const std::string_view kind = std::string_view(*type->as_string()).substr(kMediaType.size());
    if (kind != "model" && kind != "projector") continue;
    const std::string blob = blob_name(*digest->as_string());
    if (blob.empty())
      return file->error(
          "json.type", fmt::format("\"{}\" is no digest", escape_text(*digest->as_string(), 100)));
    const fs::path path = root / "blobs" / blob;
    (kind == "model" ? model.path : model.projector) = path.string();
    model.bytes += Bytes(size_of(path));
  }
  if (model.path.empty()) {
    return file->error("file.unknown_format",
                       "the model is kept as single tensors and not as a GGUF file");
  }
  return model;
}

void list_ollama(const StoreRoots& roots, std::vector<StoreModel>* out,
                 std::vector<std::string>* warnings) {
  for (const std::string& root : roots.ollama) {
    for (const fs::path& manifest : files_below(fs::path(root) / "manifests")) {
      if (ollama_name(manifest, fs::path(root) / "manifests").empty()) continue;
      auto model = read_manifest(manifest, root);
      if (model) {
        out->push_back(std::move(*model));
      } else if (warnings != nullptr) {
        warnings->push_back(fmt::format("{}: {}", model.error().where, model.error().what));
      }
    }
  }
}

/// GGUF files below a folder, a set of shards once, without projectors.
std::vector<std::pair<fs::path, std::uint64_t>> gguf_models(const fs::path& root) {
  std::map<fs::path, std::uint64_t> models;
  for (const fs::path& path : files_below(root)) {
    const std::string name = path.filename().string();
    if (!name.ends_with(".gguf") || name.starts_with("mmproj")) continue;
    const auto shard = parse_shard_name(path.string());
    models[shard ? fs::path(shard->sibling(1)) : path] += size_of(path);
  }
  return {models.begin(), models.end()};
}

void list_files(std::string_view store, const std::vector<std::string>& roots,
                std::vector<StoreModel>* out) {
  for (const std::string& root : roots) {
    for (const auto& [path, bytes] : gguf_models(root)) {
      out->push_back(StoreModel{.id = std::string(store) + path.lexically_relative(root).string(),
                                .path = path.string(),
                                .bytes = Bytes(bytes),
                                .projector = {}});
    }
  }
}

/// models--ORG--NAME/snapshots/COMMIT: GGUF files, or the folder when it has a configuration.
void list_hub(const std::vector<std::string>& roots, std::vector<StoreModel>* out) {
  for (const std::string& root : roots) {
    std::error_code error;
    for (const fs::directory_entry& repo : fs::directory_iterator(root, error)) {
      std::string name = repo.path().filename().string();
      if (!name.starts_with("models--")) continue;
      name = name.substr(8);
      if (const std::size_t at = name.find("--"); at != std::string::npos) name.replace(at, 2, "/");
      std::error_code ignored;
      for (const fs::directory_entry& snapshot :
           fs::directory_iterator(repo.path() / "snapshots", ignored)) {
        const auto models = gguf_models(snapshot.path());
        for (const auto& [path, bytes] : models) {
          out->push_back(
              StoreModel{.id = fmt::format("{}{}/{}", kHub, name,
                                           path.lexically_relative(snapshot.path()).string()),
                         .path = path.string(),
                         .bytes = Bytes(bytes),
                         .projector = {}});
        }
        if (models.empty() && fs::exists(snapshot.path() / "config.json", ignored)) {
          StoreModel model{.id = std::string(kHub) + name,
                           .path = snapshot.path().string(),
                           .bytes = {},
                           .projector = {}};
          for (const fs::path& file : files_below(snapshot.path()))
            model.bytes += Bytes(size_of(file));
          out->push_back(std::move(model));
        }
      }
    }
  }
}

/// Edits between two words, for the nearest names.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row.back();
}

std::string nearest(std::string_view name, const std::vector<StoreModel>& models) {
  const std::string_view store = name.substr(0, name.find(':') + 1);
  std::vector<std::pair<std::size_t, std::string_view>> found;
  for (const StoreModel& model : models) {
    if (model.id.starts_with(store))
      found.emplace_back(distance(name.substr(0, 200), std::string_view(model.id).substr(0, 200)),
                         model.id);
  }
  std::ranges::sort(found);
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), 3); ++i)
    list.append(i > 0 ? ", " : "").append(escape_text(found[i].second, 200));
  return list.empty() ? "there are no models in this store" : "the nearest are " + list;
}

}  // namespace

StoreRoots default_store_roots(const std::string& home,
                               const std::function<std::string(std::string_view)>& variable) {
  StoreRoots roots;
  const auto add = [](std::vector<std::string>* list, const std::string& path) {
    if (!path.empty() && std::ranges::find(*list, path) == list->end()) list->push_back(path);
  };
  const auto below_home = [&](const std::string& rest) {
    return home.empty() ? std::string() : home + "/" + rest;
  };
  if (const std::string models = variable("OLLAMA_MODELS"); !models.empty()) {
    add(&roots.ollama, models);
  } else {
    add(&roots.ollama, below_home(".ollama/models"));
    add(&roots.ollama, "/usr/share/ollama/.ollama/models");
  }

  if (!home.empty()) {
    std::string lmstudio;
    if (auto pointer = FileReader::open(below_home(".lmstudio-home-pointer"))) {
      lmstudio = pointer->read_text(4096).value_or("");
      lmstudio.erase(lmstudio.find_last_not_of(" \t\r\n") + 1);
    }
    if (!lmstudio.empty()) {
      add(&roots.lmstudio, lmstudio + "/models");
    } else {
      add(&roots.lmstudio, below_home(".cache/lm-studio/models"));
      add(&roots.lmstudio, below_home(".lmstudio/models"));
    }
  }

  const std::string xdg_cache = variable("XDG_CACHE_HOME");
  const std::string cache =
      !xdg_cache.empty() && xdg_cache.front() == '/' ? xdg_cache : below_home(".cache");
  const std::string hub = variable("HF_HUB_CACHE"), hf_home = variable("HF_HOME");
  add(&roots.hub, !hub.empty()       ? hub
                  : !hf_home.empty() ? hf_home + "/hub"
                  : cache.empty()    ? ""
                                     : cache + "/huggingface/hub");
  if (const std::string own = variable("LLAMA_CACHE"); !own.empty()) {
    add(&roots.llama_cpp, own);
  } else {
    add(&roots.llama_cpp, cache.empty() ? "" : cache + "/llama.cpp");
    add(&roots.llama_cpp, below_home("Library/Caches/llama.cpp"));
  }
  return roots;
}

std::vector<StoreModel> list_store_models(const StoreRoots& roots,
                                          std::vector<std::string>* warnings) {
  std::vector<StoreModel> models;
  list_ollama(roots, &models, warnings);
  list_files(kLmStudio, roots.lmstudio, &models);
  list_hub(roots.hub, &models);
  list_files(kLlamaCpp, roots.llama_cpp, &models);
  std::ranges::stable_sort(models, {}, &StoreModel::id);
  return models;
}

bool is_store_name(std::string_view name) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{kOllama, kLmStudio, kHub, kLlamaCpp},
      [&](std::string_view store) {
        return name.starts_with(store) && name.size() > store.size();
      });
}

Result<StoreModel> find_store_model(const StoreRoots& roots, std::string_view name) {
  std::string wanted(name);
  if (name.starts_with(kOllama)) {
    // A tag is what follows a colon behind the last slash.
    const std::string_view rest = name.substr(kOllama.size());
    const std::size_t slash = rest.find_last_of('/');
    if (rest.find(':', slash == std::string_view::npos ? 0 : slash) == std::string_view::npos)
      wanted += ":latest";
  }
  std::vector<std::string> warnings;
  const std::vector<StoreModel> models = list_store_models(roots, &warnings);
  const auto exact = std::ranges::find(models, wanted, &StoreModel::id);
  if (exact != models.end()) return *exact;
  // Files of one model folder.
  std::vector<const StoreModel*> below;
  for (const StoreModel& model : models) {
    if (!name.starts_with(kOllama) && model.id.starts_with(wanted + "/")) below.push_back(&model);
  }
  if (below.size() == 1) return *below.front();
  const std::string shown = escape_text(name, 200);
  if (below.size() > 1) {
    return Error{"name.ambiguous", fmt::format("{} has {} files", shown, below.size()), shown,
                 fmt::format("name one, as {}", escape_text(below.front()->id, 200))};
  }
  return Error{"name.unknown", fmt::format("{} is not in the stores on this machine", shown), shown,
               nearest(wanted, models)};
}

}  // namespace hwdb
