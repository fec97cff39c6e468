// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hwdb {

/// Text from files as it may be shown: control bytes, escape sequences, marks that turn the writing
/// direction and bytes that are not UTF-8 become \x.., and at most `max_bytes` of input are shown
/// ("..." follows a cut).
std::string escape_text(std::string_view text, std::size_t max_bytes = 4096);

}  // namespace hwdb
