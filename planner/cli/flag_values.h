// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hwdb/result.h"
#include "planner/setting_words.h"

/// Reading the values of flags. Each writes `out` only when the text is in order; the error
/// usage.value says what would have been.
namespace cli {

hwdb::Error wrong_value(std::string_view value, const std::string& expected);

/// A whole number; "8k" and "32K" are 1024-fold, as people write contexts.
hwdb::Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least,
                                        std::uint64_t most);
template <class Integer>
hwdb::Status read_count(std::string_view text, std::uint64_t least, std::uint64_t most,
                        Integer* out) {
  const auto value = parse_count(text, least, most);
  if (!value) return value.error();
  *out = static_cast<Integer>(*value);
  return hwdb::Ok{};
}

hwdb::Status read_number(std::string_view text, double least, double most, double* out);
hwdb::Status read_optional_number(std::string_view text, double least, double most,
                                  std::optional<double>* out);

/// A share from 0 to 1: "0.9" or "90%".
hwdb::Status read_share(std::string_view text, double* out);

/// Any text but none.
hwdb::Status read_text(std::string_view value, std::string* out);

using planner::Word;

template <class T, std::size_t N>
hwdb::Status read_word(std::string_view text, const std::array<Word<T>, N>& words, T* out) {
  const auto it = std::ranges::find(words, text, &Word<T>::text);
  if (it != words.end()) {
    *out = it->value;
    return hwdb::Ok{};
  }
  std::string names;
  for (std::size_t i = 0; i < N; ++i) {
    names += fmt::format("{}{}", i == 0 ? "" : i + 1 == N ? " or " : ", ", words[i].text);
  }
  return wrong_value(text, names);
}

}  // namespace cli
