// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace engine {

/// A code point and the bytes that it takes.
struct Utf8Char {
  char32_t code = 0;
  std::size_t size = 0;
};

inline constexpr std::string_view kReplacementChar = "\xEF\xBF\xBD";

/// The character at the front of `text`, which must be valid UTF-8 and not empty.
inline Utf8Char front_char(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (first < 0xF0) return {(first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F),
          4};
}

/// Bytes of the valid character at the front of `text`; 0 when there is none. Overlong forms,
/// surrogates and what lies beyond U+10FFFF are not valid. `cut` is set when the text ends inside
/// of what may become a character.
std::size_t valid_char_size(std::string_view text, bool* cut);

/// Bytes at the front of `text` that are valid characters.
std::size_t valid_utf8_prefix(std::string_view text);

/// The text with each byte that belongs to no valid character as U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

/// Appends a code point of at most U+10FFFF.
void append_utf8(std::string* out, char32_t code);

}  // namespace engine
