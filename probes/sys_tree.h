// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"

namespace probes {

/// The files of a recorded machine, held in memory: a tree.txt, whose form
/// tests/fixtures/machines/README.md explains. Nothing on disk is touched, whatever paths and links
/// it names.
class SysTree {
 public:
  enum class Kind { folder, file, link };
  struct Node {
    Kind kind = Kind::folder;
    std::string text;  // of a file; a link's target
  };

  /// Errors: row.syntax names the line, file.limit.
  static hwdb::Result<SysTree> parse(std::string_view text, std::string_view where);
  /// The same form again, comments left out.
  std::string write() const;

  /// Adds a node and the folders above it. A folder, or a file without text, never replaces
  /// anything; a longer text replaces a shorter. `path` is absolute, without ".." or links in it.
  void add(std::string_view path, Kind kind, std::string text = {});

  /// Null when nothing has that path; `path` must hold no links.
  const Node* find(std::string_view path) const;
  /// Where a path leads when its links are followed; absent when it leads nowhere.
  std::optional<std::string> resolve(std::string_view path) const;
  /// Sorted names directly below a folder.
  std::vector<std::string> list(std::string_view folder) const;

 private:
  std::map<std::string, Node, std::less<>> nodes_;  // by path; "" is the root
};

}  // namespace probes
