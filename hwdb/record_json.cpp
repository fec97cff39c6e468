// SPDX-License-Identifier: MIT
#include "hwdb/record_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace hwdb {
namespace {

// More than any record of ours holds; a longer list or text is damage or an attack.
constexpr std::size_t kMaxItems = 100'000, kMaxText = 4096;

}  // namespace

std::optional<SchemaVersion> parse_schema_version(std::string_view text) {
  SchemaVersion out;
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto whole = [](std::string_view part, int* to) {
    const char* end = part.data() + part.size();
    const auto [rest, error] = std::from_chars(part.data(), end, *to);
    return error == std::errc() && rest == end && *to >= 0;
  };
  if (!whole(text.substr(0, dot), &out.major) || !whole(text.substr(dot + 1), &out.minor))
    return std::nullopt;
  return out;
}

void RecordWriter::text(std::string_view key, const std::string& v) {
  if (!v.empty()) put(key, Json(v));
}

void RecordWriter::count(std::string_view key, std::uint32_t v, std::uint64_t) {
  if (v != 0) put(key, Json(std::uint64_t{v}));
}

void RecordWriter::count(std::string_view key, const std::optional<std::uint32_t>& v,
                         std::uint64_t) {
  if (v) put(key, Json(std::uint64_t{*v}));
}

void RecordWriter::count(std::string_view key, const std::optional<std::uint64_t>& v,
                         std::uint64_t) {
  if (v) put(key, Json(*v));
}

void RecordWriter::flag(std::string_view key, const std::optional<bool>& v) {
  if (v) put(key, Json(*v));
}

void RecordWriter::number(std::string_view key, double v, double, double) {
  if (v != 0) put(key, Json(v));
}

void RecordWriter::number(std::string_view key, const std::optional<double>& v, double, double) {
  if (v) put(key, Json(*v));
}

void RecordWriter::required(std::string_view key, double v, double, double) {
  put(key, Json(v));
}

void RecordWriter::numbers(std::string_view key, const std::vector<double>& v, double, double) {
  if (v.empty()) return;
  Json::Array list;
  for (const double number : v) list.emplace_back(number);
  put(key, Json(std::move(list)));
}

void RecordWriter::tensor_type(std::string_view key, TensorType v) {
  put(key, Json(format_of(v).name));
}

void RecordWriter::choice(std::string_view key, std::size_t v,
                          std::span<const std::string_view> names) {
  put(key, Json(names[v]));
}

RecordReader::RecordReader(const Json& json, std::string where, bool strict)
    : json_(json), where_(std::move(where)), strict_(strict) {
  if (!json.is_object())
    fail("row.type", where_, fmt::format("{}, expected an object", json.type_name()));
}

void RecordReader::text(std::string_view key, std::string& v) {
  const Json* j = find(key);
  if (j == nullptr) return;
  const std::string* text = j->as_string();
  if (text == nullptr)
    return fail("row.type", path(key), fmt::format("{}, expected text", j->type_name()));
  if (text->size() > kMaxText)
    return fail("machine.range", path(key),
                fmt::format("text of {} bytes, expected at most {}", text->size(), kMaxText));
  v = *text;
}

void RecordReader::count(std::string_view key, std::uint32_t& v, std::uint64_t max) {
  if (const Json* j = find(key)) {
    if (const auto n = read_count(*j, key, std::min(max, kMaxRecordCount)))
      v = static_cast<std::uint32_t>(*n);
  }
}

void RecordReader::count(std::string_view key, std::optional<std::uint32_t>& v, std::uint64_t max) {
  if (const Json* j = find(key)) {
    if (const auto n = read_count(*j, key, std::min(max, kMaxRecordCount)))
      v = static_cast<std::uint32_t>(*n);
  }
}

void RecordReader::count(std::string_view key, std::optional<std::uint64_t>& v, std::uint64_t max) {
  if (const Json* j = find(key)) {
    if (const auto n = read_count(*j, key, max)) v = *n;
  }
}

void RecordReader::flag(std::string_view key, std::optional<bool>& v) {
  const Json* j = find(key);
  if (j == nullptr) return;
  v = j->as_bool();
  if (!v) fail("row.type", path(key), fmt::format("{}, expected true or false", j->type_name()));
}

void RecordReader::number(std::string_view key, double& v, double least, double most) {
  if (const Json* j = find(key)) {
    if (const auto number = read_number(*j, path(key), least, most)) v = *number;
  }
}

void RecordReader::number(std::string_view key, std::optional<double>& v, double least,
                          double most) {
  if (const Json* j = find(key)) v = read_number(*j, path(key), least, most);
}

void RecordReader::required(std::string_view key, double& v, double least, double most) {
  const Json* j = find(key);
  if (j == nullptr) return fail("row.type", path(key), "missing, expected a number");
  if (const auto number = read_number(*j, path(key), least, most)) v = *number;
}

void RecordReader::numbers(std::string_view key, std::vector<double>& v, double least,
                           double most) {
  for_each(key, [&](const Json& item, const std::string& where) {
    if (const auto number = read_number(item, where, least, most)) v.push_back(*number);
  });
}

void RecordReader::tensor_type(std::string_view key, TensorType& v) {
  std::string name;
  text(key, name);
  if (error_) return;
  const TensorFormat* format = find_tensor_format(name);
  if (format == nullptr)
    return fail("row.type", path(key), fmt::format("\"{}\" is no tensor type", name));
  v = format->type;
}

void RecordReader::choice(std::string_view key, std::size_t& v,
                          std::span<const std::string_view> names) {
  std::string name;
  text(key, name);
  if (error_) return;
  const auto found = std::ranges::find(names, std::string_view(name));
  if (found == names.end()) {
    return fail("row.type", path(key),
                fmt::format("\"{}\", expected one of {}", name, fmt::join(names, ", ")));
  }
  v = static_cast<std::size_t>(found - names.begin());
}

Status RecordReader::finish() {
  if (const Json::Object* object = json_.as_object(); object != nullptr && strict_ && !error_) {
    for (const Json::Member& m : *object) {
      if (std::ranges::find(known_, m.first) != known_.end()) continue;
      error_ = Error{"row.unknown_key", fmt::format("the key \"{}\" is not known", m.first), where_,
                     fmt::format("known keys: {}", fmt::join(known_, " "))};
      break;
    }
  }
  if (error_) return *error_;
  return Ok{};
}

std::string RecordReader::path(std::string_view key) const {
  return fmt::format("{}: {}", where_, key);
}

const Json* RecordReader::find(std::string_view key) {
  known_.push_back(key);
  if (error_) return nullptr;
  const Json* j = json_.find(key);
  return j == nullptr || j->is_null() ? nullptr : j;
}

void RecordReader::for_each(std::string_view key, const Visit& visit) {
  const Json* j = find(key);
  if (j == nullptr) return;
  const Json::Array* items = j->as_array();
  if (items == nullptr)
    return fail("row.type", path(key), fmt::format("{}, expected a list", j->type_name()));
  if (items->size() > kMaxItems)
    return fail("machine.range", path(key),
                fmt::format("{} items, expected at most {}", items->size(), kMaxItems));
  for (std::size_t i = 0; i < items->size() && !error_; ++i)
    visit((*items)[i], fmt::format("{}[{}]", path(key), i));
}

void RecordReader::fail(std::string_view code, std::string where, std::string what) {
  if (!error_) error_ = Error{std::string(code), std::move(what), std::move(where), ""};
}

void RecordReader::keep(Status status) {
  if (!status && !error_) error_ = status.error();
}

std::optional<double> RecordReader::read_number(const Json& j, const std::string& where,
                                                double least, double most) {
  if (!j.is_number()) {
    fail("row.type", where, fmt::format("{}, expected a number", j.type_name()));
    return std::nullopt;
  }
  const double number = j.as_double().value_or(std::nan(""));
  // Written so that NaN fails too.
  if (!(number >= least && number <= most)) {
    fail("machine.range", where,
         fmt::format("{}, expected a number from {} to {}", number, least, most));
    return std::nullopt;
  }
  return number;
}

std::optional<std::uint64_t> RecordReader::read_count(const Json& j, std::string_view key,
                                                      std::uint64_t max) {
  if (!j.is_number()) {
    fail("row.type", path(key), fmt::format("{}, expected a whole number", j.type_name()));
    return std::nullopt;
  }
  const auto number = j.as_uint64();
  if (!number || *number > max) {
    fail("machine.range", path(key),
         fmt::format("{}, expected a whole number from 0 to {}", write_json(j), max));
    return std::nullopt;
  }
  return number;
}

}  // namespace hwdb
