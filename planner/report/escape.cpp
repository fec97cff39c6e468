// SPDX-License-Identifier: MIT
#include "planner/report/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

namespace report {
namespace {

struct Range {
  char32_t first, last;
};

// Direction marks, zero-width characters, line separators and tags: they change or hide what is
// beside them.
constexpr std::array kInvisible = {
    Range{0x00AD, 0x00AD}, Range{0x061C, 0x061C}, Range{0x180E, 0x180E},
    Range{0x200B, 0x200F}, Range{0x2028, 0x202E}, Range{0x2060, 0x206F},
    Range{0xFEFF, 0xFEFF}, Range{0xFFF9, 0xFFFB}, Range{0xE0000, 0xE0FFF},
};
constexpr std::array kCombining = {
    Range{0x0300, 0x036F}, Range{0x1AB0, 0x1AFF}, Range{0x1DC0, 0x1DFF},
    Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F},
};
constexpr std::array kWide = {
    Range{0x1100, 0x115F},   Range{0x2E80, 0xA4CF},   Range{0xAC00, 0xD7A3},
    Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},
    Range{0xFFE0, 0xFFE6},   Range{0x1F300, 0x1F64F}, Range{0x1F900, 0x1F9FF},
    Range{0x20000, 0x3FFFD},
};

template <std::size_t N>
bool in(const std::array<Range, N>& ranges, char32_t c) {
  return std::ranges::any_of(ranges, [c](Range r) { return c >= r.first && c <= r.last; });
}

struct Character {
  char32_t code = 0;
  std::size_t length = 1;
  bool valid = false;
};

/// The UTF-8 character at the start of `text`, which is not empty.
Character decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  char32_t code = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length, true};
}

bool printable(const Character& c) {
  return c.valid && c.code >= 0x20 && !(c.code >= 0x7F && c.code < 0xA0) && !in(kInvisible, c.code);
}

std::size_t width_of(char32_t c) {
  return in(kCombining, c) ? 0 : in(kWide, c) ? 2 : 1;
}

}  // namespace

std::string escape_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Character c = decode(text.substr(i));
    if (printable(c)) {
      out.append(text.substr(i, c.length));
    } else {
      for (std::size_t k = 0; k < c.length; ++k) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}",
                       static_cast<unsigned char>(text[i + k]));
      }
    }
    i += c.length;
  }
  return out;
}

std::string escape_markdown(std::string_view text) {
  std::string out;
  for (const char c : escape_terminal(text)) {
    if (std::string_view("\\`|*<>[]&").find(c) != std::string_view::npos) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

std::string escape_csv(std::string_view text, bool is_number) {
  std::string field;
  const bool formula = !is_number && !text.empty() &&
                       std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
  if (formula) field.push_back('\'');
  // Line ends and quotes are CSV's own business; other controls are shown, as everywhere.
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = std::min(text.find_first_of("\n\r\t\"", i), text.size());
    field += escape_terminal(text.substr(i, end - i));
    if (end < text.size()) field.append(text[end] == '"' ? 2 : 1, text[end]);
    i = end + 1;
  }
  const bool quote = formula || field.find_first_of(",\"\n\r\t ") != std::string::npos;
  return quote ? '"' + field + '"' : field;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Character c = decode(text.substr(i));
    width += c.valid ? width_of(c.code) : 1;
    i += c.length;
  }
  return width;
}

std::string cut_to_width(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  constexpr std::string_view kCut = "..";
  if (width <= kCut.size()) return std::string(kCut.substr(0, width));
  std::size_t used = 0, end = 0;
  while (end < text.size()) {
    const Character c = decode(text.substr(end));
    const std::size_t next = used + (c.valid ? width_of(c.code) : 1);
    if (next > width - kCut.size()) break;
    used = next;
    end += c.length;
  }
  return std::string(text.substr(0, end)).append(kCut);
}

}  // namespace report
