// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/json.h"
#include "hwdb/quant_format.h"
#include "hwdb/result.h"

/// Records as JSON objects, written and read by one description: a function that names each member
/// once, to a RecordWriter or to a RecordReader.
namespace hwdb {

/// "1.0" in two numbers; absent for any other text.
struct SchemaVersion {
  int major = 0, minor = 0;
};
std::optional<SchemaVersion> parse_schema_version(std::string_view text);

inline constexpr std::uint64_t kMaxRecordCount = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::uint64_t kMaxRecordBytes = 1ull << 62;

/// Writes members; what is empty, zero or absent is left out.
class RecordWriter {
 public:
  void text(std::string_view key, const std::string& v);
  void count(std::string_view key, std::uint32_t v, std::uint64_t max = kMaxRecordCount);
  void count(std::string_view key, const std::optional<std::uint32_t>& v,
             std::uint64_t max = kMaxRecordCount);
  void count(std::string_view key, const std::optional<std::uint64_t>& v,
             std::uint64_t max = kMaxRecordBytes);
  void flag(std::string_view key, const std::optional<bool>& v);
  void number(std::string_view key, double v, double least, double most);
  void number(std::string_view key, const std::optional<double>& v, double least, double most);
  /// A number that is told even where it is 0.
  void required(std::string_view key, double v, double least, double most);
  void numbers(std::string_view key, const std::vector<double>& v, double least, double most);
  void tensor_type(std::string_view key, TensorType v);
  /// One of `names`, by its place.
  void choice(std::string_view key, std::size_t v, std::span<const std::string_view> names);
  template <class T, class F>
  void list(std::string_view key, const std::vector<T>& v, const F& describe) {
    if (v.empty()) return;
    Json::Array items;
    for (const T& item : v) {
      RecordWriter inner;
      describe(inner, item);
      items.push_back(inner.take());
    }
    put(key, Json(std::move(items)));
  }
  template <class T, class F>
  void object(std::string_view key, const T& v, const F& describe) {
    RecordWriter inner;
    describe(inner, v);
    put(key, inner.take());
  }
  Json take() { return Json(std::move(out_)); }

 private:
  void put(std::string_view key, Json v) { out_.emplace_back(std::string(key), std::move(v)); }
  Json::Object out_;
};

/// Reads members and trusts none. The first broken rule is kept and ends the reading: row.type,
/// row.unknown_key, machine.range, each with the place and the key.
class RecordReader {
 public:
  /// `strict`: keys that nobody asked for are an error (not where a newer program wrote them).
  RecordReader(const Json& json, std::string where, bool strict = true);

  void text(std::string_view key, std::string& v);
  void count(std::string_view key, std::uint32_t& v, std::uint64_t max = kMaxRecordCount);
  void count(std::string_view key, std::optional<std::uint32_t>& v,
             std::uint64_t max = kMaxRecordCount);
  void count(std::string_view key, std::optional<std::uint64_t>& v,
             std::uint64_t max = kMaxRecordBytes);
  void flag(std::string_view key, std::optional<bool>& v);
  void number(std::string_view key, double& v, double least, double most);
  void number(std::string_view key, std::optional<double>& v, double least, double most);
  void required(std::string_view key, double& v, double least, double most);
  void numbers(std::string_view key, std::vector<double>& v, double least, double most);
  void tensor_type(std::string_view key, TensorType& v);
  void choice(std::string_view key, std::size_t& v, std::span<const std::string_view> names);
  template <class T, class F>
  void list(std::string_view key, std::vector<T>& v, const F& describe) {
    for_each(key, [&](const Json& item, const std::string& where) {
      RecordReader inner(item, where, strict_);
      describe(inner, v.emplace_back());
      keep(inner.finish());
    });
  }
  template <class T, class F>
  void object(std::string_view key, T& v, const F& describe) {
    const Json* j = find(key);
    if (j == nullptr) return;
    RecordReader inner(*j, path(key), strict_);
    describe(inner, v);
    keep(inner.finish());
  }
  /// A key that somebody else reads.
  void know(std::string_view key) { known_.push_back(key); }
  /// What was wrong, if anything was; to be called last.
  Status finish();

 private:
  using Visit = std::function<void(const Json& item, const std::string& where)>;
  std::string path(std::string_view key) const;
  const Json* find(std::string_view key);
  void for_each(std::string_view key, const Visit& visit);
  void fail(std::string_view code, std::string where, std::string what);
  void keep(Status status);
  std::optional<double> read_number(const Json& j, const std::string& where, double least,
                                    double most);
  std::optional<std::uint64_t> read_count(const Json& j, std::string_view key, std::uint64_t max);

  const Json& json_;
  std::string where_;
  bool strict_ = true;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace hwdb
