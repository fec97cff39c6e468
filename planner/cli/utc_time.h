// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace cli {

/// Now, as "2026-11-20T17:13:58Z".
std::string utc_now();

}  // namespace cli
