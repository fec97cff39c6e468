// SPDX-License-Identifier: MIT
#include "probes/runtime/log_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace probes {
namespace {

constexpr std::string_view kBlank = " \t";

std::string_view without_lead(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

}  // namespace

bool has(std::string_view text, std::string_view mark) {
  return text.find(mark) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  text = without_lead(text);
  const std::size_t end = text.find_last_not_of(kBlank);
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

std::optional<std::string_view> after(std::string_view text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return text.substr(at + mark.size());
}

std::string_view before(std::string_view text, std::string_view mark) {
  return text.substr(0, text.find(mark));
}

std::vector<std::string_view> words_of(std::string_view text, std::size_t limit) {
  std::vector<std::string_view> words;
  for (text = without_lead(text); !text.empty(); text = without_lead(text)) {
    if (words.size() == limit) return {};
    const std::size_t end = std::min(text.find_first_of(kBlank), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

std::optional<std::uint64_t> take_count(std::string_view* text) {
  const std::string_view rest = without_lead(*text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc{}) return std::nullopt;
  *text = rest.substr(static_cast<std::size_t>(end - rest.data()));
  return value;
}

std::optional<std::uint64_t> count_of(std::string_view text) {
  const auto value = take_count(&text);
  return value && trimmed(text).empty() ? value : std::nullopt;
}

std::optional<double> take_number(std::string_view* text, int* decimals) {
  const std::string_view rest = without_lead(*text);
  // Plain digits with at most one point: what printf's %f writes for a size.
  std::size_t size = 0, point = std::string_view::npos;
  while (size < rest.size()) {
    const char c = rest[size];
    if (c == '.' && point == std::string_view::npos) {
      point = size;
    } else if (c < '0' || c > '9') {
      break;
    }
    ++size;
  }
  double value = 0;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + size, value, std::chars_format::fixed);
  if (size == 0 || error != std::errc{} || end != rest.data() + size) return std::nullopt;
  if (decimals != nullptr) {
    *decimals = point == std::string_view::npos ? 0 : static_cast<int>(size - point - 1);
  }
  *text = rest.substr(size);
  return value;
}

std::optional<hwdb::ToldBytes> take_size(std::string_view* text) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  constexpr std::array kUnits = {
      Unit{"MiB", hwdb::kMiB * 1.0}, Unit{"GiB", hwdb::kGiB * 1.0},
      Unit{"KiB", hwdb::kKiB * 1.0}, Unit{"TiB", hwdb::kGiB * 1024.0},
      Unit{"MB", hwdb::kMiB * 1.0},
  };
  std::string_view rest = *text;
  int decimals = 0;
  const auto number = take_number(&rest, &decimals);
  rest = without_lead(rest);
  if (!number || decimals > 9) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (!rest.starts_with(unit.name)) continue;
    hwdb::ToldBytes size;
    size.bytes = *number * unit.bytes;
    size.rounding_bytes = 0.5 * std::pow(10.0, -decimals) * unit.bytes;
    if (!(size.bytes <= 0x1p60)) return std::nullopt;
    *text = rest.substr(unit.name.size());
    return size;
  }
  return std::nullopt;
}

}  // namespace probes
