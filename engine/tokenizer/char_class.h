// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace engine {

/// What pre-tokenizers ask of a character. Several bits may be set; a letter, mark, number,
/// punctuation or symbol has exactly that one of the first five.
namespace char_class {
inline constexpr std::uint32_t letter = 1u << 0, mark = 1u << 1, number = 1u << 2,
                               punctuation = 1u << 3, symbol = 1u << 4, white = 1u << 5,
                               cr_lf = 1u << 6, newline = 1u << 7, blank = 1u << 8, slash = 1u << 9,
                               ascii_lower = 1u << 10, ascii_upper = 1u << 11,
                               ascii_digit = 1u << 12, ascii_sign = 1u << 13,
                               // ASCII symbols that the rules of Falcon count as punctuation.
    math_sign = 1u << 14, backtick = 1u << 15,
                               // Ranges that single rules spell out; white space is left out.
    deepseek_letter = 1u << 16, deepseek_sign = 1u << 17, cjk = 1u << 18, han_kana = 1u << 19,
                               sentence_sign = 1u << 20;
}  // namespace char_class

/// The bits of a code point, by Unicode 15.1: the same on every machine.
std::uint32_t char_classes(char32_t code);

}  // namespace engine
