// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "probes/sys_tree.h"

namespace probes {

/// Keeps what is read of the running system, so that the same detection can be repeated elsewhere.
/// Of files that also tell other things only the lines that detection uses are kept; serial numbers
/// never are. UUIDs, user and host names may be left: who shows the recording masks them.
class SysRecorder {
 public:
  /// That something is there, and the links on the way to it.
  void seen(std::string_view path);
  void folder(std::string_view path, const std::vector<std::string>& names);
  void file(std::string_view path, const std::string& text);

  const SysTree& tree() const { return tree_; }

 private:
  /// Records the links of a path; where it leads, "" when nowhere.
  std::string follow(std::string_view path);
  void add_entry(const std::string& real);

  SysTree tree_;
};

}  // namespace probes
