// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>

namespace hwdb::testing {

/// A file that is not part of the repository but lies beside it on some machines; "" when it is not
/// there.
inline std::string shared_fact(const std::string& name) {
  for (const char* up : {"/../shared/facts/", "/../../shared/facts/"}) {
    const std::string path = std::string(TOKWATT_SOURCE_DIR) + up + name;
    if (std::filesystem::exists(path)) return path;
  }
  return {};
}

}  // namespace hwdb::testing
