// SPDX-License-Identifier: MIT
#include "hwdb/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "hwdb/file_reader.h"
#include "hwdb/hf_config.h"
#include "hwdb/json.h"
#include "hwdb/limits.h"
#include "hwdb/safetensors.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kConfig = "config.json", kIndex = "model.safetensors.index.json",
                           kSingle = "model.safetensors";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Result<Json> read_json(const std::string& path, std::uint64_t max_bytes) {
  auto file = FileReader::open(path);
  if (!file) return file.error();
  auto text = file->read_text(max_bytes);
  if (!text) return text.error();
  return parse_json(*text, file->shown_path(), max_bytes);
}

class FolderReader {
 public:
  explicit FolderReader(fs::path folder) : folder_(std::move(folder)) {}

  Result<ModelFile> read() {
    if (Status s = read_config(); !s) return s.error();
    if (is_there(folder_ / kIndex)) {
      if (Status s = read_index(); !s) return s.error();
    } else if (is_there(folder_ / kSingle)) {
      if (Status s = add_shard((folder_ / kSingle).string()); !s) return s.error();
    } else {
      model_.format = ModelFile::Format::config_only;
      model_.warnings.push_back(
          "there are no safetensors in the folder: sizes come from the shape alone");
    }
    return std::move(model_);
  }

  Result<ModelFile> read_config_alone(const std::string& path) {
    if (Status s = read_config_file(path); !s) return s.error();
    model_.format = ModelFile::Format::config_only;
    model_.paths = {path};
    return std::move(model_);
  }

  Result<ModelFile> read_single(const std::string& path) {
    if (is_there(folder_ / kConfig)) {
      if (Status s = read_config(); !s) return s.error();
    } else {
      model_.warnings.push_back("there is no config.json beside the file: the shape is not known");
      model_.unknown_terms = {"shape", "KV cache", "compute buffer", "speed"};
    }
    if (Status s = add_shard(path); !s) return s.error();
    return std::move(model_);
  }

 private:
  Status read_config() { return read_config_file((folder_ / kConfig).string()); }

  Status read_config_file(const std::string& path) {
    auto json = read_json(path, limits::kConfigJsonBytes);
    if (!json) return json.error();
    auto config = read_hf_config(*json, escape_text(path));
    if (!config) return config.error();
    model_.shape = std::move(config->reading.shape);
    model_.warnings = std::move(config->reading.warnings);
    model_.unknown_terms = std::move(config->reading.unknown_terms);
    model_.quantization = std::move(config->quantization);
    model_.name = fs::path(path).parent_path().filename().string();
    read_tokenizer();
    return Ok{};
  }

  /// The tokenizer's class and template, where they stand beside; a broken file only goes unread.
  void read_tokenizer() {
    const fs::path path = folder_ / "tokenizer_config.json";
    model_.vocabulary.n_tokens = model_.shape.n_vocab;
    if (folder_.empty() || !is_there(path)) return;
    const auto json = read_json(path.string(), limits::kConfigJsonBytes);
    if (!json) {
      model_.warnings.push_back("tokenizer_config.json was not read: " + json.error().what);
      return;
    }
    if (const Json* name = json->find("tokenizer_class"); name != nullptr && name->is_string())
      model_.vocabulary.model = *name->as_string();
    const Json* chat = json->find("chat_template");
    model_.vocabulary.has_chat_template =
        chat != nullptr || is_there(folder_ / "chat_template.jinja");
    if (chat != nullptr && chat->is_string())
      model_.vocabulary.chat_template_head = chat->as_string()->substr(0, 200);
  }

  Status add_shard(const std::string& path, SafetensorsHeader* keep = nullptr) {
    auto file = FileReader::open(path);
    if (!file) return file.error();
    auto header = read_safetensors_header(*file);
    if (!header) return header.error();
    model_.format = ModelFile::Format::safetensors;
    add_safetensors(*header, static_cast<std::uint32_t>(model_.paths.size()), &model_);
    model_.paths.push_back(path);
    model_.file_bytes += Bytes(file->size());
    model_.metadata_bytes += Bytes(header->header_bytes);
    if (keep != nullptr) *keep = std::move(*header);
    return Ok{};
  }

  Status read_index() {
    const std::string path = (folder_ / kIndex).string();
    const std::string shown = escape_text(path);
    auto index = read_json(path, limits::kIndexJsonBytes);
    if (!index) return index.error();
    const Json* map = index->find("weight_map");
    if (map == nullptr || !map->is_object())
      return Error{"index.inconsistent", "weight_map is missing or no object", shown, {}};
    std::map<std::string, std::set<std::string_view>> shards;  // file -> tensors
    for (const Json::Member& member : *map->as_object()) {
      const std::string* name = member.second.as_string();
      if (name == nullptr)
        return Error{"json.type",
                     fmt::format("weight_map of {} is {}, expected text",
                                 escape_text(member.first, 200), member.second.type_name()),
                     shown,
                     {}};
      if (Status s = check_shard_name(*name, shown); !s) return s;
      shards[*name].insert(member.first);
      if (shards.size() > limits::kShards)
        return Error{
            "index.inconsistent", fmt::format("more than {} shards", limits::kShards), shown, {}};
    }
    std::uint64_t total = 0;
    for (const auto& [name, tensors] : shards) {
      if (!is_there(folder_ / name))
        return Error{"index.inconsistent",
                     fmt::format("the shard {} is missing", escape_text(name, 200)), shown,
                     "download it again"};
      if (Status s = check_inside(name, shown); !s) return s;
      SafetensorsHeader header;
      if (Status s = add_shard((folder_ / name).string(), &header); !s) return s;
      std::set<std::string_view> listed = tensors;
      for (const SafetensorsTensor& tensor : header.tensors) {
        total += tensor.end - tensor.begin;
        if (listed.erase(tensor.name) == 0) {
          return Error{"index.inconsistent",
                       fmt::format("{} holds {}, which the index does not place there",
                                   escape_text(name, 200), escape_text(tensor.name, 200)),
                       shown,
                       {}};
        }
      }
      if (!listed.empty()) {
        return Error{"index.inconsistent",
                     fmt::format("{} is not in {}", escape_text(*listed.begin(), 200),
                                 escape_text(name, 200)),
                     shown,
                     {}};
      }
    }
    check_total(*index, total);
    return Ok{};
  }

  /// A plain file name within the folder.
  static Status check_shard_name(const std::string& name, const std::string& shown) {
    const bool plain = !name.empty() && name != "." && name != ".." &&
                       name.find('/') == std::string::npos &&
                       name.find('\\') == std::string::npos && name.find('\0') == std::string::npos;
    if (plain) return Ok{};
    return Error{"index.path",
                 fmt::format("the shard name \"{}\" is no plain file name", escape_text(name, 200)),
                 shown,
                 {}};
  }

  /// A link may lead within the folder, or to the blobs of a hub cache, whose snapshots are made of
  /// links.
  Status check_inside(const std::string& name, const std::string& shown) const {
    std::error_code error;
    const fs::path root = fs::canonical(folder_, error),
                   target = fs::canonical(folder_ / name, error);
    const auto within = [&](const fs::path& base) {
      const fs::path relative = target.lexically_relative(base);
      return !relative.empty() && *relative.begin() != "..";
    };
    const bool snapshot = root.parent_path().filename() == "snapshots";
    if (!error &&
        (within(root) || (snapshot && within(root.parent_path().parent_path() / "blobs"))))
      return Ok{};
    return Error{
        "index.path",
        fmt::format("the shard {} is a link that leaves the folder", escape_text(name, 200)),
        shown,
        {}};
  }

  void check_total(const Json& index, std::uint64_t total) {
    const Json* metadata = index.find("metadata");
    const Json* stated = metadata != nullptr ? metadata->find("total_size") : nullptr;
    const auto size = stated != nullptr ? stated->as_uint64() : std::nullopt;
    if (!size) {
      model_.warnings.push_back("the index does not say its total size: counted from the shards");
    } else if (*size != total) {
      model_.warnings.push_back(
          fmt::format("the index says {} bytes, the shards hold {}", *size, total));
    }
  }

  fs::path folder_;
  ModelFile model_;
};

}  // namespace

Result<ModelFile> open_model_folder(const std::string& folder) {
  return FolderReader(folder).read();
}

Result<ModelFile> open_config_file(const std::string& path) {
  return FolderReader(fs::path(path).parent_path()).read_config_alone(path);
}

Result<ModelFile> open_safetensors_file(const std::string& path) {
  return FolderReader(fs::path(path).parent_path()).read_single(path);
}

}  // namespace hwdb
