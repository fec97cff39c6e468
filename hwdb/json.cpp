// SPDX-License-Identifier: MIT
// The nlohmann room: its SAX parser fills our document, so that limits and duplicate keys are
// checked while reading.
#include "hwdb/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace hwdb {
namespace {

// Objects with more members than this get a hash set for the duplicate check; small ones are
// scanned.
constexpr std::size_t kScanLimit = 32;

/// Builds the document; stops the parser at the first broken rule.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return put(Json()); }
  bool boolean(bool v) override { return put(Json(v)); }
  bool number_integer(number_integer_t v) override {
    return put(Json(static_cast<std::int64_t>(v)));
  }
  bool number_unsigned(number_unsigned_t v) override {
    return put(Json(static_cast<std::uint64_t>(v)));
  }
  bool number_float(number_float_t v, const string_t& text) override {
    // An integer too large for 64 bits arrives here as well; it stays a number, only no integer.
    if (!std::isfinite(v)) return fail("json.type", "the number " + text + " is out of range");
    return put(Json(v));
  }
  bool string(string_t& v) override { return put(Json(std::move(v))); }
  bool binary(binary_t&) override { return fail("json.syntax", "binary data in a text document"); }
  bool start_object(std::size_t) override { return open(Json(Json::Object{})); }
  bool key(string_t& name) override {
    Level& level = stack_.back();
    const auto& members = *level.node->as_object();
    bool seen = false;
    if (members.size() < kScanLimit) {
      seen = std::ranges::any_of(members, [&](const Json::Member& m) { return m.first == name; });
    } else {
      if (level.names.empty()) {
        for (const Json::Member& m : members) level.names.insert(m.first);
      }
      seen = !level.names.insert(name).second;
    }
    if (seen)
      return fail("json.duplicate", fmt::format("the key \"{}\" stands twice in one object", name));
    level.key = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json(Json::Array{})); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& e) override {
    const bool number = e.id == 406;
    const bool utf8 = std::string_view(e.what()).find("UTF-8") != std::string_view::npos;
    return fail(number ? "json.type"
                : utf8 ? "json.utf8"
                       : "json.syntax",
                fmt::format("{} at byte {}",
                            number ? "a number out of range"
                            : utf8 ? "text that is not UTF-8"
                                   : "no valid JSON",
                            position));
  }

  Json take() { return std::move(root_); }
  const std::optional<Error>& error() const { return error_; }

 private:
  struct Level {
    Json* node;
    std::string key;
    std::unordered_set<std::string> names;
  };

  bool fail(std::string code, std::string what) {
    if (!error_) error_ = Error{std::move(code), std::move(what), {}, {}};
    return false;
  }
  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& top = stack_.back();
    if (auto* array = top.node->as_array()) {
      array->push_back(std::move(value));
      return &array->back();
    }
    auto& object = *top.node->as_object();
    object.emplace_back(std::move(top.key), std::move(value));
    return &object.back().second;
  }
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json container) {
    if (stack_.size() >= limits::kJsonDepth) {
      return fail("json.limit", fmt::format("nested deeper than {} levels", limits::kJsonDepth));
    }
    // The pointer stays good: a container grows only while it is the innermost open one.
    stack_.push_back(Level{place(std::move(container)), {}, {}});
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Level> stack_;
  std::optional<Error> error_;
};

}  // namespace

bool Json::is_number() const {
  return std::holds_alternative<std::int64_t>(v_) || std::holds_alternative<std::uint64_t>(v_) ||
         std::holds_alternative<double>(v_);
}
bool Json::is_integer() const {
  return std::holds_alternative<std::int64_t>(v_) || std::holds_alternative<std::uint64_t>(v_);
}

std::string_view Json::type_name() const {
  constexpr std::string_view names[] = {"null",     "true or false", "a number", "a number",
                                        "a number", "text",          "a list",   "an object"};
  return names[v_.index()];
}

std::optional<bool> Json::as_bool() const {
  if (const bool* v = std::get_if<bool>(&v_)) return *v;
  return std::nullopt;
}

std::optional<double> Json::as_double() const {
  if (const auto* v = std::get_if<double>(&v_)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&v_)) return static_cast<double>(*v);
  if (const auto* v = std::get_if<std::uint64_t>(&v_)) return static_cast<double>(*v);
  return std::nullopt;
}

std::optional<std::int64_t> Json::as_int64() const {
  if (const auto* v = std::get_if<std::int64_t>(&v_)) return *v;
  if (const auto* v = std::get_if<std::uint64_t>(&v_)) {
    if (*v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return static_cast<std::int64_t>(*v);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Json::as_uint64() const {
  if (const auto* v = std::get_if<std::uint64_t>(&v_)) return *v;
  if (const auto* v = std::get_if<std::int64_t>(&v_)) {
    if (*v >= 0) return static_cast<std::uint64_t>(*v);
  }
  return std::nullopt;
}

const Json* Json::find(std::string_view key) const {
  if (const Object* object = as_object()) {
    for (const Member& member : *object) {
      if (member.first == key) return &member.second;
    }
  }
  return nullptr;
}

Result<Json> parse_json(std::string_view text, std::string_view where, std::uint64_t max_bytes) {
  if (text.size() > max_bytes) {
    return Error{"json.limit",
                 fmt::format("{} bytes, at most {} are read", text.size(), max_bytes),
                 std::string(where),
                 {}};
  }
  Builder builder;
  const bool parsed = nlohmann::json::sax_parse(text, &builder);
  if (!parsed) {
    Error error = builder.error().value_or(Error{"json.syntax", "no valid JSON", {}, {}});
    error.where = std::string(where);
    return error;
  }
  return builder.take();
}

void append_json_string(std::string* out, std::string_view text) {
  out->push_back('"');
  std::size_t plain = 0;  // start of the run that needs no escape
  const auto flush = [&](std::size_t end) { out->append(text.substr(plain, end - plain)); };
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    if (c >= 0x80) {
      // Accept well-formed UTF-8 as it is; anything else is shown byte by byte.
      length = c >= 0xF0 && c <= 0xF4  ? 4
               : c >= 0xE0 && c < 0xF0 ? 3
               : c >= 0xC2 && c < 0xE0 ? 2
                                       : 0;
      bool valid = length != 0 && i + length <= text.size();
      for (std::size_t k = 1; valid && k < length; ++k)
        valid = (static_cast<unsigned char>(text[i + k]) & 0xC0) == 0x80;
      if (valid && length >= 3) {
        const auto second = static_cast<unsigned char>(text[i + 1]);
        valid = !((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) ||
                  (c == 0xF0 && second < 0x90) || (c == 0xF4 && second > 0x8F));
      }
      if (valid) {
        i += length;
        continue;
      }
      flush(i);
      fmt::format_to(std::back_inserter(*out), "\\\\x{:02x}", c);
    } else if (c == '"' || c == '\\') {
      flush(i);
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (c < 0x20 || c == 0x7F) {
      flush(i);
      if (c == '\n') {
        out->append("\\n");
      } else if (c == '\t') {
        out->append("\\t");
      } else {
        fmt::format_to(std::back_inserter(*out), "\\u{:04x}", c);
      }
    } else {
      ++i;
      continue;
    }
    i += 1;
    plain = i;
  }
  flush(text.size());
  out->push_back('"');
}

void JsonWriter::separate() {
  if (need_comma_) out_->push_back(',');
  need_comma_ = true;
}
JsonWriter& JsonWriter::begin_object() {
  separate();
  out_->push_back('{');
  need_comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::end_object() {
  out_->push_back('}');
  need_comma_ = true;
  return *this;
}
JsonWriter& JsonWriter::begin_array() {
  separate();
  out_->push_back('[');
  need_comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::end_array() {
  out_->push_back(']');
  need_comma_ = true;
  return *this;
}
JsonWriter& JsonWriter::key(std::string_view k) {
  separate();
  append_json_string(out_, k);
  out_->push_back(':');
  need_comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::value(std::string_view v) {
  separate();
  append_json_string(out_, v);
  return *this;
}
JsonWriter& JsonWriter::value(bool v) {
  separate();
  out_->append(v ? "true" : "false");
  return *this;
}
JsonWriter& JsonWriter::value(double v) {
  if (!std::isfinite(v)) return null();
  separate();
  fmt::format_to(std::back_inserter(*out_), "{}", v);
  return *this;
}
JsonWriter& JsonWriter::value(std::uint64_t v) {
  separate();
  out_->append(fmt::format_int(v).c_str());
  return *this;
}
JsonWriter& JsonWriter::value(std::int64_t v) {
  separate();
  out_->append(fmt::format_int(v).c_str());
  return *this;
}
JsonWriter& JsonWriter::null() {
  separate();
  out_->append("null");
  return *this;
}
JsonWriter& JsonWriter::value(const Json& v) {
  if (v.is_null()) return null();
  if (const auto flag = v.as_bool()) return value(*flag);
  if (v.is_integer()) {
    if (const auto u = v.as_uint64()) return value(*u);
    return value(*v.as_int64());
  }
  if (const auto number = v.as_double()) return value(*number);
  if (const auto* text = v.as_string()) return value(std::string_view(*text));
  if (const auto* array = v.as_array()) {
    begin_array();
    for (const Json& item : *array) value(item);
    return end_array();
  }
  begin_object();
  for (const Json::Member& member : *v.as_object()) key(member.first).value(member.second);
  return end_object();
}

namespace {

void write_indented(const Json& value, int indent, int depth, std::string* out) {
  const auto line = [&](int level) {
    out->push_back('\n');
    out->append(static_cast<std::size_t>(indent * level), ' ');
  };
  const auto* array = value.as_array();
  const auto* object = value.as_object();
  const bool empty = (array != nullptr && array->empty()) || (object != nullptr && object->empty());
  if (empty || (array == nullptr && object == nullptr)) {
    JsonWriter(out).value(value);
    return;
  }
  out->push_back(array != nullptr ? '[' : '{');
  bool first = true;
  const auto next = [&] {
    if (!first) out->push_back(',');
    first = false;
    line(depth + 1);
  };
  if (array != nullptr) {
    for (const Json& item : *array) {
      next();
      write_indented(item, indent, depth + 1, out);
    }
  } else {
    for (const Json::Member& member : *object) {
      next();
      append_json_string(out, member.first);
      out->append(": ");
      write_indented(member.second, indent, depth + 1, out);
    }
  }
  line(depth);
  out->push_back(array != nullptr ? ']' : '}');
}

}  // namespace

std::string write_json(const Json& value, int indent) {
  std::string out;
  if (indent < 0) {
    JsonWriter(&out).value(value);
  } else {
    write_indented(value, indent, 0, &out);
  }
  return out;
}

}  // namespace hwdb
