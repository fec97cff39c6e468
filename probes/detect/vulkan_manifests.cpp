// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <array>

#include "probes/detect/scene.h"

namespace probes {
namespace {

// Where the loader looks for drivers, as far as it does not depend on the user.
constexpr std::array<std::string_view, 4> kManifestFolders = {
    "/etc/vulkan/icd.d", "/usr/local/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d"};

}  // namespace

std::vector<std::string> vulkan_manifests(const SysRoot& sys) {
  std::vector<std::string> paths;
  for (const std::string_view folder : kManifestFolders) {
    for (const std::string& name : sys.list(folder)) {
      if (name.ends_with(".json")) paths.push_back(fmt::format("{}/{}", folder, name));
    }
  }
  return paths;
}

}  // namespace probes
