// SPDX-License-Identifier: MIT
#include "hwdb/gguf_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "hwdb/catalog.h"
#include "hwdb/gguf.h"
#include "hwdb/gguf_shape.h"
#include "hwdb/gguf_vocabulary.h"
#include "hwdb/limits.h"
#include "hwdb/name_hash.h"
#include "hwdb/quant_name.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

constexpr std::size_t kNamesShown = 8;

/// What a shard says about the set it belongs to.
struct SplitKeys {
  bool present = false;
  std::uint64_t number = 0, count = 1;
  std::optional<std::uint64_t> tensors;
};

Result<SplitKeys> read_split_keys(const GgufFile& gguf) {
  SplitKeys keys;
  const auto read = [&](std::string_view key) -> Result<std::optional<std::uint64_t>> {
    auto value = gguf.integer(key);
    if (value) return value;
    Error error = value.error();
    error.code = "gguf.split";
    return error;
  };
  const auto number = read("split.no"), count = read("split.count"),
             tensors = read("split.tensors.count");
  for (const auto* value : {&number, &count, &tensors}) {
    if (!*value) return value->error();
  }
  keys.present = count->has_value();
  keys.number = number->value_or(0);
  keys.count = count->value_or(1);
  keys.tensors = *tensors;
  // Merging shards leaves a count of 0 beside the number of tensors, which is then checked.
  if (keys.count == 0 && keys.number == 0 && keys.tensors) keys.count = 1;
  if (keys.count == 0 || keys.count > limits::kShards) {
    return gguf.key_error("gguf.split", "split.count",
                          fmt::format("is {}, expected 1 to {}", keys.count, limits::kShards));
  }
  if (keys.number >= keys.count) {
    return gguf.key_error("gguf.split", "split.no",
                          fmt::format("is {} of {} shards", keys.number, keys.count));
  }
  return keys;
}

Result<GgufFile> open_one(const std::string& path, const ReadAt& read_at) {
  auto file = FileReader::open(path, read_at);
  if (!file) return file.error();
  return GgufFile::open(std::move(*file));
}

class GgufModelReader {
 public:
  explicit GgufModelReader(const ReadAt& read_at) : read_at_(read_at) {}

  Result<ModelFile> read(const std::string& path) {
    const auto named = parse_shard_name(path);
    const std::string first = named ? named->sibling(1) : path;
    auto gguf = open_one(first, read_at_);
    if (!gguf) {
      const bool absent = gguf.error().code == "file.open" && first != path;
      if (!absent) return gguf.error();
      return Error{"gguf.split_missing",
                   fmt::format("the first shard is missing: {}", escape_text(first)),
                   escape_text(path),
                   {}};
    }
    auto split = read_split_keys(*gguf);
    if (!split) return split.error();
    if (Status s = read_general(*gguf); !s) return s.error();
    auto vocabulary = read_gguf_vocabulary(*gguf);
    if (!vocabulary) return vocabulary.error();
    model_.vocabulary = std::move(*vocabulary);
    add_shard(&*gguf);
    if (Status s = read_other_shards(*gguf, *split, named); !s) return s.error();
    if (Status s = read_shape(*gguf); !s) return s.error();
    model_.dtypes = dtypes_of(model_.tensors);
    name_quantization(path);
    return std::move(model_);
  }

 private:
  Status read_general(const GgufFile& gguf) {
    model_.format = ModelFile::Format::gguf;
    model_.version = gguf.version();
    model_.alignment = gguf.alignment();
    for (const auto& [key, member] : {std::pair{"general.name", &ModelFile::name},
                                      std::pair{"general.size_label", &ModelFile::size_label},
                                      std::pair{"general.type", &ModelFile::general_type}}) {
      auto text = gguf.text(key, 4096);
      if (!text) return text.error();
      model_.*member = text->value_or("");
    }
    auto file_type = gguf.integer("general.file_type");
    if (!file_type) return file_type.error();
    if (*file_type && **file_type <= 0xFFFFFFFFu)
      model_.file_type = static_cast<std::uint32_t>(**file_type);
    return Ok{};
  }

  void add_shard(GgufFile* gguf) {
    const auto shard = static_cast<std::uint32_t>(model_.paths.size());
    model_.paths.push_back(gguf->file().path());
    model_.file_bytes += Bytes(gguf->file().size());
    model_.metadata_bytes += Bytes(gguf->header_bytes());
    std::vector<TensorInfo> tensors = gguf->take_tensors();
    for (TensorInfo& tensor : tensors) tensor.shard = shard;
    if (model_.tensors.empty()) {
      model_.tensors = std::move(tensors);
    } else {
      std::ranges::move(tensors, std::back_inserter(model_.tensors));
    }
  }

  Status read_other_shards(const GgufFile& first, const SplitKeys& split,
                           const std::optional<ShardName>& named) {
    const std::uint32_t by_name = named ? named->count : 1;
    if (by_name != split.count) {
      // Renamed shards cannot be found; a pattern without the keys belongs to some other tool.
      const std::string expected = named ? named->sibling(static_cast<std::uint32_t>(split.count))
                                         : fmt::format("NAME-00001-of-{:05}.gguf", split.count);
      return first.file().error(
          "gguf.split_missing",
          fmt::format("the file says it is one of {} shards, its name says {}", split.count,
                      by_name),
          fmt::format("shards are found by their names, as in {}", escape_text(expected)));
    }
    if (!named || split.count == 1) return check_tensor_count(first, split);
    if (split.number != 0)
      return first.key_error("gguf.split", "split.no",
                             fmt::format("is {} in the first shard", split.number));
    std::vector<std::string> missing;
    for (std::uint32_t i = 1; i < split.count; ++i) {
      const std::string path = named->sibling(i + 1);
      auto gguf = open_one(path, read_at_);
      if (!gguf) {
        if (gguf.error().code != "file.open") return gguf.error();
        missing.push_back(escape_text(path.substr(path.find_last_of('/') + 1)));
        continue;
      }
      if (Status s = check_sibling(first, *gguf, split, i); !s) return s;
      add_shard(&*gguf);
    }
    if (!missing.empty()) {
      std::string list;
      for (std::size_t i = 0; i < std::min(missing.size(), kNamesShown); ++i)
        list.append(i > 0 ? ", " : "").append(missing[i]);
      if (missing.size() > kNamesShown)
        list += fmt::format(" and {} more", missing.size() - kNamesShown);
      return first.file().error(
          "gguf.split_missing",
          fmt::format("{} of {} shards are missing: {}", missing.size(), split.count, list),
          "put all shards into one folder");
    }
    return check_tensor_count(first, split);
  }

  Status check_sibling(const GgufFile& first, const GgufFile& other, const SplitKeys& split,
                       std::uint32_t index) const {
    auto keys = read_split_keys(other);
    if (!keys) return keys.error();
    if (!keys->present || keys->count != split.count || keys->number != index ||
        keys->tensors != split.tensors) {
      return other.file().error(
          "gguf.split",
          fmt::format("this is shard {} of {}, expected shard {} of {} of the same model",
                      keys->number + 1, keys->count, index + 1, split.count));
    }
    if (other.alignment() != first.alignment() && other.find("general.alignment") != nullptr) {
      return other.file().error("gguf.split", "the alignment differs from the first shard's");
    }
    for (const std::string_view key : {"general.architecture", "general.name"}) {
      auto mine = first.text(key, 4096), theirs = other.text(key, 4096);
      if (!mine) return mine.error();
      if (!theirs) return theirs.error();
      if (theirs->has_value() && *theirs != *mine) {
        return other.key_error("gguf.split", key,
                               "is another than in the first shard: shards of two models");
      }
    }
    return Ok{};
  }

  Status check_tensor_count(const GgufFile& first, const SplitKeys& split) const {
    const auto& tensors = model_.tensors;
    if (split.present && split.tensors && *split.tensors != tensors.size()) {
      return first.key_error(
          "gguf.split", "split.tensors.count",
          fmt::format("is {}, but the shards hold {}", *split.tensors, tensors.size()));
    }
    if (model_.paths.size() < 2) return Ok{};
    const auto twice = find_duplicate(
        tensors.size(), [&](std::size_t i) -> std::string_view { return tensors[i].name; });
    if (twice)
      return first.file().error("gguf.split", fmt::format("the tensor {} stands in two shards",
                                                          escape_text(tensors[*twice].name)));
    return Ok{};
  }

  Status read_shape(const GgufFile& gguf) {
    if (gguf.n_keys() == 0 && model_.tensors.empty()) {
      model_.warnings.push_back("the file holds nothing: no keys and no tensors");
      model_.unknown_terms = {"shape", "KV cache", "compute buffer", "speed"};
      return Ok{};
    }
    if (model_.general_type == "mmproj" || model_.general_type == "adapter" || is_projector(gguf)) {
      if (Status s = check_gguf_projector(gguf); !s) return s;
      auto architecture = gguf.text("general.architecture", 256);
      if (!architecture) return architecture.error();
      model_.shape.architecture = architecture->value_or("");
      if (model_.general_type.empty()) model_.general_type = "mmproj";
      model_.unknown_terms = {"KV cache", "compute buffer", "speed"};
      model_.warnings.push_back("this file goes with a model and is none by itself");
      return Ok{};
    }
    auto reading = read_gguf_shape(gguf, model_.tensors, model_.vocabulary.n_tokens);
    if (!reading) return reading.error();
    model_.shape = std::move(reading->shape);
    model_.warnings = std::move(reading->warnings);
    model_.unknown_terms = std::move(reading->unknown_terms);
    if (model_.tensors.empty()) {
      model_.warnings.push_back("there are no tensors: a vocabulary alone");
      model_.unknown_terms.push_back("weights");
    }
    return Ok{};
  }

  static bool is_projector(const GgufFile& gguf) {
    auto architecture = gguf.text("general.architecture", 16);
    return architecture && *architecture == "clip";
  }

  void name_quantization(const std::string& path) {
    if (model_.dtypes.empty()) return;
    // The name first: makers of mixes keep the number of the preset they started from.
    model_.quantization = preset_in_file_name(path);
    if (!model_.quantization.empty()) return;
    if (model_.file_type) {
      const auto& presets = Catalog::builtin().presets();
      const auto preset = std::ranges::find(presets, model_.file_type, &PresetRow::ftype_id);
      if (preset != presets.end()) model_.quantization = preset->id;
    }
    if (model_.quantization.empty()) model_.quantization = model_.dtypes.front().name;
  }

  const ReadAt& read_at_;
  ModelFile model_;
};

}  // namespace

std::string ShardName::sibling(std::uint32_t other) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, other, count);
}

std::optional<ShardName> parse_shard_name(std::string_view path) {
  // "-00001-of-00003.gguf"
  constexpr std::size_t kTail = 20;
  if (path.size() < kTail || !path.ends_with(".gguf")) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kTail);
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-") return std::nullopt;
  ShardName name;
  name.prefix = path.substr(0, path.size() - kTail);
  const auto digits = [](std::string_view text, std::uint32_t* out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (!digits(tail.substr(1, 5), &name.number) || !digits(tail.substr(10, 5), &name.count))
    return std::nullopt;
  if (name.number == 0 || name.number > name.count) return std::nullopt;
  return name;
}

Result<ModelFile> open_gguf(const std::string& path, const ReadAt& read_at) {
  return GgufModelReader(read_at).read(path);
}

}  // namespace hwdb
