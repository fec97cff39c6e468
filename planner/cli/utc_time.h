// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace cli {

/// Now, as strftime writes it by `format`.
std::string utc_time(const char* format);
/// Now, as "2026-11-20T17:13:58Z".
std::string utc_now();

}  // namespace cli
