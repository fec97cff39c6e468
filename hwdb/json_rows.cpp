// SPDX-License-Identifier: MIT
#include "hwdb/json_rows.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <type_traits>
#include <unordered_set>

#include "hwdb/model_fields.h"
#include "hwdb/names.h"

namespace hwdb {
namespace {

using row_fields::enum_names;
using row_fields::fields;

struct KeyList {
  std::vector<std::string> keys;
  template <class T>
  void operator()(const char* key, T&) {
    keys.emplace_back(key);
  }
};

/// True for structs with a field table.
template <class T>
concept Fielded = requires(KeyList v, T t) {
  fields(v, t);
};
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T t) {
  enum_names(t);
};

/// Fills the members of one object and remembers the first thing that is wrong.
class JsonReader {
 public:
  JsonReader(const Json::Object& object, std::string path)
      : object_(object), path_(std::move(path)) {}

  template <class T>
  void operator()(const char* key, T& member) {
    keys_.emplace_back(key);
    const auto it = std::ranges::find(object_, key, &Json::Member::first);
    if (it == object_.end()) return;
    ++used_;
    read(it->second, path_.empty() ? std::string(key) : path_ + "." + key, member);
  }

  /// The first error: of a value, else a key that no member has.
  std::optional<Error> finish() {
    if (!error_ && used_ != object_.size()) {
      for (const auto& [key, value] : object_) {
        if (std::ranges::find(keys_, key) != keys_.end()) continue;
        error_ = Error{"row.unknown_key",
                       "\"" + (path_.empty() ? key : path_ + "." + key) + "\" is no known key",
                       {},
                       nearest_hint(key, keys_, 1)};
        break;
      }
    }
    return error_;
  }

 private:
  void wrong(const Json& value, const std::string& key, std::string_view expected) {
    if (error_) return;
    error_ =
        Error{"row.type",
              key + " is " + std::string(value.type_name()) + ", expected " + std::string(expected),
              {},
              {}};
  }

  void read(const Json& value, const std::string& key, std::string& out) {
    if (const std::string* text = value.as_string()) {
      out = *text;
    } else {
      wrong(value, key, "text");
    }
  }
  void read(const Json& value, const std::string& key, bool& out) {
    if (const auto flag = value.as_bool()) {
      out = *flag;
    } else {
      wrong(value, key, "true or false");
    }
  }
  void read(const Json& value, const std::string& key, double& out) {
    if (const auto number = value.as_double()) {
      out = *number;
    } else {
      wrong(value, key, "a number");
    }
  }
  template <class T>
  requires std::is_unsigned_v<T>
  void read(const Json& value, const std::string& key, T& out) {
    const auto number = value.as_uint64();
    if (number && *number <= std::numeric_limits<T>::max()) {
      out = static_cast<T>(*number);
    } else {
      wrong(value, key, "a whole number that is not negative");
    }
  }
  template <NamedEnum T>
  void read(const Json& value, const std::string& key, T& out) {
    const auto names = enum_names(T{});
    const std::string* text = value.as_string();
    const auto* it = text ? std::find(names.data(), names.data() + names.size(), *text) : nullptr;
    if (it != nullptr && it != names.data() + names.size()) {
      out = static_cast<T>(it - names.data());
    } else {
      wrong(value, key,
            "one of " + list_names(std::vector<std::string>(names.begin(), names.end())));
    }
  }
  template <class T>
  void read(const Json& value, const std::string& key, std::optional<T>& out) {
    out.emplace();
    read(value, key, *out);
  }
  template <class T>
  void read(const Json& value, const std::string& key, std::vector<T>& out) {
    const Json::Array* list = value.as_array();
    if (list == nullptr) return wrong(value, key, "a list");
    out.resize(list->size());
    for (std::size_t i = 0; i < list->size(); ++i) {
      read((*list)[i], key + "[" + std::to_string(i) + "]", out[i]);
    }
  }
  void read(const Json& value, const std::string& key, PerLayer& out) {
    if (value.is_array()) {
      read(value, key, out.values);
    } else {
      read(value, key, out.values.emplace_back());
    }
  }
  template <Fielded T>
  void read(const Json& value, const std::string& key, T& out) {
    const Json::Object* object = value.as_object();
    if (object == nullptr) return wrong(value, key, "an object");
    JsonReader inner(*object, key);
    fields(inner, out);
    if (auto error = inner.finish(); error && !error_) error_ = std::move(error);
  }

  const Json::Object& object_;
  std::string path_;
  std::vector<std::string> keys_;
  std::size_t used_ = 0;
  std::optional<Error> error_;
};

/// Writes the members of one struct, except those at the default that `plain` has.
class JsonObjectWriter {
 public:
  Json::Object object;

  template <class T>
  void operator()(const char* key, T& member) {
    Json value = to_json(member);
    values_.emplace_back(key, std::move(value));
  }
  /// Keeps what differs from the same struct without values.
  void leave_out(const JsonObjectWriter& plain) {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (write_json(values_[i].second) != write_json(plain.values_[i].second)) {
        object.push_back(values_[i]);
      }
    }
  }

  static Json to_json(const std::string& v) { return Json(v); }
  static Json to_json(bool v) { return Json(v); }
  static Json to_json(double v) { return Json(v); }
  template <class T>
  requires std::is_unsigned_v<T>
  static Json to_json(const T& v) { return Json(static_cast<std::uint64_t>(v)); }
  template <NamedEnum T>
  static Json to_json(const T& v) {
    return Json(enum_names(v)[static_cast<std::size_t>(v)]);
  }
  template <class T>
  static Json to_json(std::optional<T>& v) {
    return v ? to_json(*v) : Json();
  }
  template <class T>
  static Json to_json(std::vector<T>& v) {
    Json::Array list;
    for (T& one : v) list.push_back(to_json(one));
    return Json(std::move(list));
  }
  static Json to_json(PerLayer& v) {
    return v.values.size() == 1 ? to_json(v.values[0]) : to_json(v.values);
  }
  template <Fielded T>
  static Json to_json(T& v) {
    JsonObjectWriter full, plain;
    T empty{};
    fields(full, v);
    fields(plain, empty);
    full.leave_out(plain);
    return Json(std::move(full.object));
  }

 private:
  Json::Object values_;
};

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{"file.open", std::strerror(errno), path.string(), {}};
  std::string text;
  constexpr std::size_t kChunk = 1 << 16;
  // Read in pieces: a device or a pipe must not fill the memory.
  while (in && text.size() <= limits::kConfigJsonBytes) {
    const std::size_t before = text.size();
    text.resize(before + kChunk);
    in.read(text.data() + before, kChunk);
    text.resize(before + static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) return Error{"file.read", "the file could not be read", path.string(), {}};
  return text;
}

template <class Row>
Status read_table(const std::filesystem::path& dir, const TableInfo<Row>& info, RowTables* tables) {
  namespace fs = std::filesystem;
  const fs::path path = dir / fs::path(info.path);
  std::error_code ignored;
  std::vector<fs::path> files;
  if (fs::is_directory(path, ignored)) {
    for (const auto& entry : fs::directory_iterator(path, ignored)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
    std::ranges::sort(files);
  } else if (fs::is_regular_file(path, ignored)) {
    files.push_back(path);
  }
  std::vector<Row>& rows = tables->*info.rows;
  std::unordered_set<std::string> seen;
  for (const fs::path& file : files) {
    auto text = read_file(file);
    if (!text) return text.error();
    const std::string where = fs::relative(file, dir, ignored).generic_string();
    auto document = parse_json(*text, where);
    if (!document) return document.error();
    auto part = read_rows<Row>(*document, where);
    if (!part) return part.error();
    for (Row& row : *part) {
      if (!seen.insert(row_key(row)).second) {
        return Error{
            "row.duplicate", "this row is also in another file", where + ": " + row_key(row), {}};
      }
      rows.push_back(std::move(row));
    }
  }
  return Ok{};
}

}  // namespace

template <class Row>
std::string row_key(const Row& row) {
  if constexpr (std::is_same_v<Row, QuantQualityRow>) {
    return row.model + " " + row.quant + " " + row.dataset + " " + row.source + " " + row.notes;
  } else if constexpr (std::is_same_v<Row, ScoreTableRow>) {
    return row.benchmark + " " + row.source + " " + row.reasoning_mode;
  } else {
    return row.id;
  }
}

template <class Row>
Result<std::vector<Row>> read_rows(const Json& document, std::string_view where) {
  const Json::Array* list = document.as_array();
  if (list == nullptr) {
    return Error{
        "row.type",
        "the file holds " + std::string(document.type_name()) + ", expected a list of rows",
        std::string(where),
        {}};
  }
  std::vector<Row> rows(list->size());
  std::unordered_set<std::string> seen;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto name = [&] {
      const std::string key = row_key(rows[i]);
      const bool named = key.find_first_not_of(' ') != std::string::npos;
      return std::string(where) + ": " + (named ? key : "row " + std::to_string(i + 1));
    };
    const Json::Object* object = (*list)[i].as_object();
    if (object == nullptr) {
      return Error{"row.type",
                   "a row is " + std::string((*list)[i].type_name()) + ", expected an object",
                   name(),
                   {}};
    }
    JsonReader reader(*object, {});
    fields(reader, rows[i]);
    if (auto error = reader.finish()) {
      error->where = name();
      return *error;
    }
    if (name() == std::string(where) + ": row " + std::to_string(i + 1)) {
      return Error{"row.type", "the row has no id", name(), {}};
    }
    if (!seen.insert(row_key(rows[i])).second) {
      return Error{"row.duplicate", "this row is there twice", name(), {}};
    }
    row_fields::finish(rows[i]);
  }
  return rows;
}

template <class Row>
Json row_to_json(const Row& row) {
  Row copy = row;
  return JsonObjectWriter::to_json(copy);
}

Result<RowTables> read_row_tables(const std::string& dir) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(dir, ignored)) {
    return Error{"file.open", "no such folder", dir, "a folder laid out like hwdb/data"};
  }
  RowTables tables;
  std::optional<Error> error;
  for_each_table([&](const auto& info) {
    if (error) return;
    if (auto done = read_table(dir, info, &tables); !done) error = done.error();
  });
  if (error) return *error;
  return tables;
}

#define HWDB_INSTANTIATE(Row)                                                 \
  template std::string row_key(const Row&);                                   \
  template Result<std::vector<Row>> read_rows(const Json&, std::string_view); \
  template Json row_to_json(const Row&);
HWDB_FOR_EACH_ROW(HWDB_INSTANTIATE)
#undef HWDB_INSTANTIATE

}  // namespace hwdb
