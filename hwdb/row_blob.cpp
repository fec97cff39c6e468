// SPDX-License-Identifier: MIT
#include "hwdb/row_blob.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>
#include <unordered_map>

#include "hwdb/model_fields.h"

// Layout, all numbers little-endian: u32 texts; u32 offset of each text and of the end; the texts;
// then for each table u32 rows and u32 offset from the start; then the tables' members in the order
// of their field tables.
namespace hwdb {
namespace {

using row_fields::fields;

void append_u32(std::string* out, std::uint32_t v) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(v >> shift & 0xff));
}

/// Seven bits a byte, the lowest first.
void append_varint(std::string* out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out->push_back(static_cast<char>((v & 0x7f) | 0x80));
  out->push_back(static_cast<char>(v));
}

// How a double is stored: whole numbers are far more common than fractions.
constexpr char kZero = 0, kWhole = 1, kRaw = 2;

class BlobWriter {
 public:
  template <class T>
  void operator()(const char*, T& member) {
    put(member);
  }
  template <class T>
  requires std::is_class_v<T>
  void put(T& value) { fields(*this, value); }
  void put(std::string& text) {
    const auto [it, fresh] = ids_.try_emplace(text, static_cast<std::uint32_t>(texts_.size()));
    if (fresh) texts_.push_back(text);
    append_varint(&body, it->second);
  }
  void put(bool& flag) { body.push_back(flag ? 1 : 0); }
  void put(double& value) {
    constexpr double kExact = 9007199254740992.0;
    if (std::bit_cast<std::uint64_t>(value) == 0) {
      body.push_back(kZero);
    } else if (value > 0 && value < kExact && value == std::floor(value)) {
      body.push_back(kWhole);
      append_varint(&body, static_cast<std::uint64_t>(value));
    } else {
      body.push_back(kRaw);
      const auto bits = std::bit_cast<std::uint64_t>(value);
      append_u32(&body, static_cast<std::uint32_t>(bits));
      append_u32(&body, static_cast<std::uint32_t>(bits >> 32));
    }
  }
  template <class T>
  requires std::is_unsigned_v<T>
  void put(T& value) { append_varint(&body, value); }
  template <class T>
  requires std::is_enum_v<T>
  void put(T& value) { append_varint(&body, static_cast<std::uint64_t>(value)); }
  template <class T>
  void put(std::optional<T>& value) {
    body.push_back(value ? 1 : 0);
    if (value) put(*value);
  }
  template <class T>
  void put(std::vector<T>& list) {
    append_varint(&body, list.size());
    for (T& one : list) put(one);
  }
  void put(PerLayer& value) { put(value.values); }

  const std::vector<std::string>& texts() const { return texts_; }
  std::string body;

 private:
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<std::string> texts_;
};

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
  assert(at + 4 <= bytes.size());
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    v |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return v;
}

class BlobReader {
 public:
  BlobReader(std::string_view bytes, std::size_t at) : bytes_(bytes), at_(at) {
    text_base_ = 4 + 4 * (std::size_t{u32_at(bytes, 0)} + 1);
  }
  template <class T>
  void operator()(const char*, T& member) {
    get(member);
  }
  template <class T>
  requires std::is_class_v<T>
  void get(T& value) { fields(*this, value); }
  void get(std::string& text) {
    const std::size_t entry = 4 + 4 * static_cast<std::size_t>(varint());
    const std::size_t begin = u32_at(bytes_, entry), end = u32_at(bytes_, entry + 4);
    text.assign(bytes_.data() + text_base_ + begin, end - begin);
  }
  void get(bool& flag) { flag = byte() != 0; }
  void get(double& value) {
    const char how = static_cast<char>(byte());
    if (how == kZero) {
      value = 0;
    } else if (how == kWhole) {
      value = static_cast<double>(varint());
    } else {
      const std::uint64_t low = u32_at(bytes_, at_), high = u32_at(bytes_, at_ + 4);
      at_ += 8;
      value = std::bit_cast<double>(low | high << 32);
    }
  }
  template <class T>
  requires std::is_unsigned_v<T>
  void get(T& value) { value = static_cast<T>(varint()); }
  template <class T>
  requires std::is_enum_v<T>
  void get(T& value) { value = static_cast<T>(varint()); }
  template <class T>
  void get(std::optional<T>& value) {
    if (byte() != 0) get(value.emplace());
  }
  template <class T>
  void get(std::vector<T>& list) {
    list.resize(varint());
    for (T& one : list) get(one);
  }
  void get(PerLayer& value) { get(value.values); }

 private:
  unsigned char byte() {
    assert(at_ < bytes_.size());
    return static_cast<unsigned char>(bytes_[at_++]);
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
      const unsigned char b = byte();
      v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
  }

  std::string_view bytes_;
  std::size_t at_, text_base_;
};

}  // namespace

std::string encode_row_tables(const RowTables& source) {
  RowTables tables = source;
  BlobWriter writer;
  std::vector<std::pair<std::size_t, std::size_t>> places;  // rows, offset in the body
  for_each_table([&](const auto& info) {
    auto& rows = tables.*info.rows;
    places.emplace_back(rows.size(), writer.body.size());
    for (auto& row : rows) writer.put(row);
  });
  std::string out;
  append_u32(&out, static_cast<std::uint32_t>(writer.texts().size()));
  std::string texts;
  for (const std::string& text : writer.texts()) {
    append_u32(&out, static_cast<std::uint32_t>(texts.size()));
    texts += text;
  }
  append_u32(&out, static_cast<std::uint32_t>(texts.size()));
  out += texts;
  const std::size_t body = out.size() + 8 * places.size();
  for (const auto& [rows, offset] : places) {
    append_u32(&out, static_cast<std::uint32_t>(rows));
    append_u32(&out, static_cast<std::uint32_t>(body + offset));
  }
  return out + writer.body;
}

RowBlob::RowBlob(std::string_view bytes) : bytes_(bytes) {}

template <class Row>
std::vector<Row> RowBlob::read(std::vector<Row> RowTables::*table) const {
  const std::size_t texts = u32_at(bytes_, 0);
  const std::size_t directory = 4 + 4 * (texts + 1) + u32_at(bytes_, 4 + 4 * texts);
  const std::size_t entry = directory + 8 * table_index(table);
  std::vector<Row> rows(u32_at(bytes_, entry));
  BlobReader reader(bytes_, u32_at(bytes_, entry + 4));
  for (Row& row : rows) {
    reader.get(row);
    row_fields::finish(row);
  }
  return rows;
}

#define HWDB_INSTANTIATE(Row) \
  template std::vector<Row> RowBlob::read(std::vector<Row> RowTables::*) const;
HWDB_FOR_EACH_ROW(HWDB_INSTANTIATE)
#undef HWDB_INSTANTIATE

}  // namespace hwdb
