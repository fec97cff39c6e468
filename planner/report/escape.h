// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Text that came from files, drivers or the user, made harmless for each channel.
namespace report {

/// Controls (C0, C1, DEL), bidirectional and invisible marks and bytes that are not UTF-8 become
/// \x.. byte by byte; everything else stays.
std::string escape_terminal(std::string_view text);
/// As escape_terminal, and what Markdown or HTML would take for markup gets a backslash.
std::string escape_markdown(std::string_view text);
/// One CSV field: quoted where needed; text that a spreadsheet would run as a formula gets a
/// leading '. Numbers pass as they are.
std::string escape_csv(std::string_view text, bool is_number);

/// Terminal columns of escaped text: wide characters take two, combining ones none.
std::size_t display_width(std::string_view text);
/// At most `width` columns of escaped text; what was cut off shows as "..".
std::string cut_to_width(std::string_view text, std::size_t width);

}  // namespace report
