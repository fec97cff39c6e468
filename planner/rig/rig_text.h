// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"

namespace planner {

/// What words say of system memory. Everything absent: nothing was said.
struct MemoryWords {
  std::optional<std::uint64_t> bytes;  // 64GB is read as 64 GiB, as modules and cards are labelled
  std::string type;                    // "DDR5", "LPDDR5X", "" not said
  std::optional<std::uint32_t> rate_mt_per_s, channels;
  bool empty() const { return !bytes && type.empty() && !rate_mt_per_s && !channels; }
};

/// One part of a rig as written, before any name is looked up.
struct RigItem {
  enum class Kind { named, memory, custom_gpu, custom_cpu };
  Kind kind = Kind::named;
  std::uint32_t count = 1;
  std::string text;    // named: the words as written, memory words included ("A770 16GB")
  std::string name;    // named: the words without memory words ("A770")
  MemoryWords memory;  // said with the name, or the memory itself
  // custom_gpu and custom_cpu: the key=value pairs in order.
  std::vector<std::pair<std::string, std::string>> values;
};

/// A rig taken apart by grammar alone.
struct RigText {
  std::vector<RigItem> items;
  std::optional<double> power_limit_watts;  // power=300W, for every GPU
  bool nvlink = false;                      // the words say NVLink
  bool laptop = false;                      // the words say laptop on its own
};

/// Splits at commas and pluses outside parentheses; "Max+ 395" and the commas inside gpu:a=1,b=2
/// are no separators. Errors: rig.syntax, rig.range.
hwdb::Result<RigText> parse_rig_text(std::string_view words);

/// The named parts at `index` and `index + 1` read as one name ("Mac Studio, M3 Ultra 512GB").
RigItem joined(const RigItem& first, const RigItem& second);

}  // namespace planner
