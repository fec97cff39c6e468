// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace cli {

/// The program's version, as CMakeLists.txt names it.
inline constexpr std::string_view kVersion = TOKWATT_VERSION;
/// The compiler it was built with.
#ifdef __clang__
inline constexpr std::string_view kCompiler = "clang " __clang_version__;
#else
inline constexpr std::string_view kCompiler = "gcc " __VERSION__;
#endif

}  // namespace cli
