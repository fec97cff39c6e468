// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "hwdb/limits.h"
#include "hwdb/result.h"

namespace hwdb {

/// A parsed JSON document. Objects keep their order; integers keep their 64 bits.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool v) : v_(v) {}
  Json(std::int64_t v) : v_(v) {}
  Json(std::uint64_t v) : v_(v) {}
  Json(int v) : v_(static_cast<std::int64_t>(v)) {}
  Json(double v) : v_(v) {}
  Json(std::string v) : v_(std::move(v)) {}
  Json(std::string_view v) : v_(std::string(v)) {}
  Json(const char* v) : v_(std::string(v)) {}
  Json(Array v) : v_(std::move(v)) {}
  Json(Object v) : v_(std::move(v)) {}

  bool is_null() const { return v_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(v_); }
  bool is_number() const;
  /// True for a number without a fraction that was written as an integer.
  bool is_integer() const;
  bool is_string() const { return std::holds_alternative<std::string>(v_); }
  bool is_array() const { return std::holds_alternative<Array>(v_); }
  bool is_object() const { return std::holds_alternative<Object>(v_); }
  /// "null", "true or false", "a number", "text", "a list", "an object": for messages.
  std::string_view type_name() const;

  /// Absent when the value is of another type (or, for integers, out of range).
  std::optional<bool> as_bool() const;
  std::optional<double> as_double() const;
  std::optional<std::int64_t> as_int64() const;
  std::optional<std::uint64_t> as_uint64() const;
  const std::string* as_string() const { return std::get_if<std::string>(&v_); }
  const Array* as_array() const { return std::get_if<Array>(&v_); }
  Array* as_array() { return std::get_if<Array>(&v_); }
  const Object* as_object() const { return std::get_if<Object>(&v_); }
  Object* as_object() { return std::get_if<Object>(&v_); }
  /// The member of that name, or null when this is no object or has none.
  const Json* find(std::string_view key) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      v_;
};

/// Parses one whole document. Errors: json.limit (over `max_bytes` or nested deeper than
/// kJsonDepth), json.syntax, json.utf8, json.duplicate (one key twice in an object). `where` names
/// the document in errors.
Result<Json> parse_json(std::string_view text, std::string_view where,
                        std::uint64_t max_bytes = limits::kConfigJsonBytes);

/// Compact when `indent` < 0. Text that is not UTF-8 is escaped byte by byte as \x.. inside the
/// string.
std::string write_json(const Json& value, int indent = -1);

/// Appends JSON to a string without building a document: for records written many thousand times a
/// second.
class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(out) {}
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view k);
  JsonWriter& value(std::string_view v);
  JsonWriter& value(const char* v) { return value(std::string_view(v)); }
  JsonWriter& value(bool v);
  JsonWriter& value(
      double v);  ///< shortest form that reads back the same; NaN and infinity become null
  JsonWriter& value(std::uint64_t v);
  JsonWriter& value(std::int64_t v);
  JsonWriter& value(std::uint32_t v) { return value(static_cast<std::uint64_t>(v)); }
  JsonWriter& value(int v) { return value(static_cast<std::int64_t>(v)); }
  JsonWriter& null();
  JsonWriter& value(const Json& v);
  template <class T>
  JsonWriter& member(std::string_view k, const T& v) {
    return key(k).value(v);
  }

 private:
  void separate();
  std::string* out_;
  bool need_comma_ = false;
};

/// The string as a JSON string literal, quotes included.
void append_json_string(std::string* out, std::string_view text);

}  // namespace hwdb
