// SPDX-License-Identifier: MIT
#include "hwdb/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

struct TypeRow {
  std::string_view name;
  std::uint64_t bytes;  // 0: its length stands in the file
};
constexpr std::array<TypeRow, 13> kTypes = {{{"u8", 1},
                                             {"i8", 1},
                                             {"u16", 2},
                                             {"i16", 2},
                                             {"u32", 4},
                                             {"i32", 4},
                                             {"f32", 4},
                                             {"bool", 1},
                                             {"string", 0},
                                             {"array", 0},
                                             {"u64", 8},
                                             {"i64", 8},
                                             {"f64", 8}}};
const TypeRow& row_of(GgufType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

bool is_integer(GgufType type) {
  return type != GgufType::f32 && type != GgufType::f64 && type != GgufType::boolean &&
         type != GgufType::string && type != GgufType::array;
}

/// A stored integer with its sign: false when it is negative.
bool to_unsigned(GgufType type, std::uint64_t bits, std::uint64_t* out) {
  *out = bits;
  switch (type) {
    case GgufType::i8:
      return (bits >> 7 & 1) == 0;
    case GgufType::i16:
      return (bits >> 15 & 1) == 0;
    case GgufType::i32:
      return (bits >> 31 & 1) == 0;
    case GgufType::i64:
      return (bits >> 63 & 1) == 0;
    default:
      return true;
  }
}

}  // namespace

std::string_view to_string(GgufType type) {
  return row_of(type).name;
}
std::uint64_t gguf_scalar_bytes(GgufType type) {
  return row_of(type).bytes;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = std::ranges::lower_bound(
      keys_, key, {}, [](const Entry& e) -> std::string_view { return e.key; });
  return it != keys_.end() && it->key == key ? &it->value : nullptr;
}

Error GgufFile::key_error(std::string_view code, std::string_view key, std::string what) const {
  return file_.error(code, fmt::format("{} {}", escape_text(key, 200), what));
}

Error GgufFile::wrong_type(std::string_view key, const GgufValue& value,
                           std::string_view expected) const {
  const bool array = value.type == GgufType::array;
  return key_error(
      "gguf.key_type", key,
      fmt::format("is {}{} at byte {}, expected {}", array ? "an array of " : "of type ",
                  to_string(array ? value.element : value.type), value.offset, expected));
}

Result<std::optional<std::uint64_t>> GgufFile::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<std::uint64_t>();
  if (!is_integer(value->type)) return wrong_type(key, *value, "an integer");
  std::uint64_t number = 0;
  if (!to_unsigned(value->type, value->bits, &number))
    return key_error("model.range", key, "is negative");
  return std::optional(number);
}

Result<std::optional<double>> GgufFile::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<double>();
  if (value->type == GgufType::f32)
    return std::optional(
        static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value->bits))));
  if (value->type == GgufType::f64) return std::optional(std::bit_cast<double>(value->bits));
  if (!is_integer(value->type)) return wrong_type(key, *value, "a number");
  Result<std::optional<std::uint64_t>> whole = integer(key);
  if (!whole) return whole.error();
  return std::optional(static_cast<double>(**whole));
}

Result<std::optional<bool>> GgufFile::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<bool>();
  if (value->type != GgufType::boolean) return wrong_type(key, *value, "true or false");
  return std::optional(value->bits != 0);
}

Result<std::optional<std::string>> GgufFile::text(std::string_view key,
                                                  std::uint64_t max_bytes) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<std::string>();
  if (value->type != GgufType::string) return wrong_type(key, *value, "text");
  std::string text(static_cast<std::size_t>(std::min(value->count, max_bytes)), '\0');
  if (Status s = file_.read(value->offset, std::as_writable_bytes(std::span(text))); !s)
    return s.error();
  return std::optional(std::move(text));
}

Result<std::optional<std::vector<std::uint64_t>>> GgufFile::integers(
    std::string_view key, std::uint64_t max_count) const {
  using Numbers = std::vector<std::uint64_t>;
  const GgufValue* value = find(key);
  if (value == nullptr) return std::optional<Numbers>();
  if (value->type != GgufType::array) {
    Result<std::optional<std::uint64_t>> one = integer(key);
    if (!one) return one.error();
    return std::optional(Numbers{**one});
  }
  if (!is_integer(value->element) && value->element != GgufType::boolean)
    return wrong_type(key, *value, "integers");
  if (value->count > max_count) {
    return key_error(
        "model.array_length", key,
        fmt::format("has {} elements, at most {} make sense", value->count, max_count));
  }
  const auto each = static_cast<std::size_t>(gguf_scalar_bytes(value->element));
  std::vector<std::byte> raw(static_cast<std::size_t>(value->count) * each);
  if (Status s = file_.read(value->offset, raw); !s) return s.error();
  Numbers numbers(static_cast<std::size_t>(value->count));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, raw.data() + i * each, each);
    if (!to_unsigned(value->element, bits, &numbers[i]))
      return key_error("model.range", key, fmt::format("is negative at position {}", i));
  }
  return std::optional(std::move(numbers));
}

}  // namespace hwdb
