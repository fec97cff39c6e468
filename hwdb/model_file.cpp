// SPDX-License-Identifier: MIT
#include "hwdb/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "hwdb/file_reader.h"
#include "hwdb/gguf_split.h"
#include "hwdb/model_folder.h"
#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

namespace fs = std::filesystem;

struct Signature {
  std::string_view start, words;
};
using namespace std::string_view_literals;
constexpr Signature kOthers[] = {
    {"\x1f\x8b"sv, "a gzip archive"},
    {"PK\x03\x04"sv, "a zip archive (or a PyTorch checkpoint, which is one)"},
    {"\x80\x02"sv, "a Python pickle"},
    {"\x80\x03"sv, "a Python pickle"},
    {"\x80\x04"sv, "a Python pickle"},
    {"\x80\x05"sv, "a Python pickle"},
    {"version https://git-lfs"sv, "a Git LFS pointer: the file itself was not downloaded"},
    {"lmgg"sv, "an old GGML file"},
    {"fmgg"sv, "an old GGMF file"},
    {"tjgg"sv, "an old GGJT file"},
    {"algg"sv, "a GGLA adapter"},
    {"BZh"sv, "a bzip2 archive"},
    {"\xfd"
     "7zXZ"sv,
     "an xz archive"},
    {"\x28\xb5\x2f\xfd"sv, "a zstd archive"},
    {"\x89HDF"sv, "an HDF5 file"},
    {"%PDF"sv, "a PDF"},
};
constexpr std::size_t kHeadBytes = 64;

bool is_html(std::string_view head) {
  const std::size_t start = head.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || head[start] != '<') return false;
  std::string lower(head.substr(start, 9));
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower.starts_with("<!doctype") || lower.starts_with("<html") ||
         lower.starts_with("<head") || lower.starts_with("<?xml");
}

/// Eight bytes of length and then a JSON object.
bool looks_like_safetensors(std::string_view head) {
  return head.size() > 8 && head[8] == '{' && head[6] == '\0' && head[7] == '\0';
}

Result<ModelFile> open_by_content(const std::string& path) {
  auto file = FileReader::open(path);
  if (!file) return file.error();
  std::string head(static_cast<std::size_t>(std::min<std::uint64_t>(file->size(), kHeadBytes)),
                   '\0');
  if (Status s = file->read(0, std::as_writable_bytes(std::span(head))); !s) return s.error();
  const bool named_safetensors = path.ends_with(".safetensors");
  if (head.starts_with("GGUF") || head.starts_with("FUGG")) return open_gguf(path);
  if (head.size() < 4 && !named_safetensors) {
    return file->error("file.truncated",
                       fmt::format("the file has {} bytes, too few for any model", file->size()));
  }
  for (const Signature& other : kOthers) {
    if (head.starts_with(other.start)) {
      return file->error("file.unknown_format", fmt::format("this is {}", other.words),
                         "expected a GGUF file, safetensors or a folder with config.json");
    }
  }
  if (is_html(head))
    return file->error("file.unknown_format", "this is an HTML page",
                       "the download gave a web page in place of the file");
  if (named_safetensors || looks_like_safetensors(head)) return open_safetensors_file(path);
  const std::size_t start = head.find_first_not_of(" \t\r\n");
  if (path.ends_with(".json") || (start != std::string::npos && head[start] == '{'))
    return open_config_file(path);
  // A file that calls itself GGUF gets the reader's own word about its magic.
  if (path.ends_with(".gguf")) return open_gguf(path);
  return file->error("file.unknown_format",
                     fmt::format("the file begins with \"{}\", which is no known format",
                                 escape_text(head.substr(0, 8))),
                     "expected a GGUF file, safetensors or a folder with config.json");
}

/// The one GGUF model of a folder: its file, or the first shard. Projectors do not count.
Result<ModelFile> open_gguf_folder(const std::string& folder) {
  std::vector<std::string> models;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".gguf") || name.starts_with("mmproj")) continue;
    const auto shard = parse_shard_name(name);
    if (!shard || shard->number == 1) models.push_back(entry.path().string());
  }
  const std::string shown = escape_text(folder);
  if (error) return Error{"file.open", "the folder cannot be read: " + error.message(), shown, {}};
  if (models.empty())
    return Error{
        "file.not_regular", "this is a folder without config.json or a GGUF file", shown, {}};
  if (models.size() > 1) {
    std::ranges::sort(models);
    return Error{"file.unknown_format",
                 fmt::format("the folder holds {} GGUF models", models.size()), shown,
                 fmt::format("name one of them, as {}", escape_text(models.front()))};
  }
  return open_gguf(models.front());
}

}  // namespace

Result<ModelFile> open_model_file(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return open_by_content(path);
  if (fs::exists(fs::path(path) / "config.json", error)) return open_model_folder(path);
  return open_gguf_folder(path);
}

Status check_plannable(const ModelFile& file) {
  const std::string where = file.paths.empty() ? std::string() : escape_text(file.paths.front());
  if (file.general_type == "mmproj" || file.general_type == "adapter") {
    return Error{
        "model.inconsistent", "this file goes with a model and is none by itself", where, {}};
  }
  if (file.format == ModelFile::Format::config_only) return Ok{};
  if (file.shape.architecture.empty() && file.format == ModelFile::Format::gguf) {
    return Error{"model.missing_key", "general.architecture is missing", where, {}};
  }
  if (file.tensors.empty())
    return Error{"model.inconsistent", "there are no tensors", where,
                 "a vocabulary alone cannot be run"};
  return Ok{};
}

}  // namespace hwdb
