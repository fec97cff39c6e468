// SPDX-License-Identifier: MIT
#include "hwdb/result.h"

#include <algorithm>
#include <array>

namespace hwdb {
namespace {

struct FamilyStatus {
  std::string_view family;  // the part of a code before its first dot, or a whole code
  int status;
};

// 1 other failure, 2 usage, 3 input file rejected, 4 device or probe missing, 5 endpoint failed, 6
// state store failed, 7 the plan's target is not met, 130 interrupted.
constexpr std::array kStatuses = {
    FamilyStatus{"usage", 2},
    FamilyStatus{"name", 2},
    FamilyStatus{"rig", 2},
    FamilyStatus{"units", 2},
    FamilyStatus{"quant", 2},
    FamilyStatus{"cache", 2},
    FamilyStatus{"scenario", 2},
    FamilyStatus{"file", 3},
    FamilyStatus{"gguf", 3},
    FamilyStatus{"model", 3},
    FamilyStatus{"vocab", 3},
    FamilyStatus{"st", 3},
    FamilyStatus{"json", 3},
    FamilyStatus{"index", 3},
    FamilyStatus{"row", 3},
    FamilyStatus{"machine", 3},
    FamilyStatus{"log", 3},
    FamilyStatus{"llama_bench", 3},
    FamilyStatus{"device", 4},
    FamilyStatus{"probe", 4},
    FamilyStatus{"endpoint", 5},
    FamilyStatus{"state", 6},
    FamilyStatus{"check", 7},
    // A model that the engine cannot run is a rejected file; other failures of a run are not.
    FamilyStatus{"run.architecture", 3},
    FamilyStatus{"run.type", 3},
    FamilyStatus{"run.tensor", 3},
    FamilyStatus{"run.interrupted", 130},
};

}  // namespace

int exit_status(std::string_view code) {
  for (const std::string_view key : {code, code.substr(0, code.find('.'))}) {
    const auto* it = std::ranges::find(kStatuses, key, &FamilyStatus::family);
    if (it != kStatuses.end()) return it->status;
  }
  return 1;
}

}  // namespace hwdb
