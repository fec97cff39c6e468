// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "hwdb/runtime_report.h"

/// Reading the small pieces of a log line. All of them miss rather than guess.
namespace probes {

/// True when `mark` is somewhere in `text`.
bool has(std::string_view text, std::string_view mark);
std::string_view trimmed(std::string_view text);
/// What follows the first `mark` in `text`; absent when it is not there.
std::optional<std::string_view> after(std::string_view text, std::string_view mark);
/// What stands before the first `mark`; the whole text without one.
std::string_view before(std::string_view text, std::string_view mark);
/// Words between blanks, at most `limit`; more make it empty.
std::vector<std::string_view> words_of(std::string_view text, std::size_t limit);

/// A whole number at the start of `text` after blanks, and `text` moves behind it.
std::optional<std::uint64_t> take_count(std::string_view* text);
/// The same where nothing but blanks may follow.
std::optional<std::uint64_t> count_of(std::string_view text);
/// "  12.34 MiB" or GiB, KiB at the start after blanks; `text` moves behind the unit. Sizes beyond
/// a million TiB are none.
std::optional<hwdb::ToldBytes> take_size(std::string_view* text);
/// A decimal number in the same way, and its digits after the point.
std::optional<double> take_number(std::string_view* text, int* decimals = nullptr);

}  // namespace probes
