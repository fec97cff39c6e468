// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"
#include "probes/sys_recorder.h"
#include "probes/sys_tree.h"

namespace probes {

/// The files of /sys, /proc and /etc below a root: the running system's (""), a recorded machine's
/// in a folder, or a tree.txt (or the folder that it is in). Nothing is read outside the root,
/// whatever links a recording holds, and no more of a file than `kMaxFileBytes`. All that cannot be
/// read, is empty or is no number is absent.
class SysRoot {
 public:
  static constexpr std::size_t kMaxFileBytes = std::size_t{4} << 20;
  static constexpr std::size_t kMaxEntries = 65536;

  explicit SysRoot(std::string root = "");
  /// The running system, read as a recorded one is; `recorder` gets all that is read.
  explicit SysRoot(SysRecorder* recorder) : recorder_(recorder) {}
  /// A recorded machine that is in memory already.
  explicit SysRoot(SysTree tree) : tree_(std::make_shared<const SysTree>(std::move(tree))) {}
  /// Why a root cannot be used: file.open, or the errors of SysTree::parse.
  static hwdb::Status check(const std::string& root);

  /// Whether answers about the running system may also come from elsewhere: from its drivers.
  bool is_live() const { return root_.empty() && !tree_ && recorder_ == nullptr; }

  bool exists(std::string_view path) const;
  /// The file's text without trailing space, line ends or zero bytes; absent when it is empty,
  /// longer than `max_bytes`, or not readable.
  std::optional<std::string> read_text(std::string_view path,
                                       std::size_t max_bytes = kMaxFileBytes) const;
  /// The first `bytes` of a file as they are: for long files of which the beginning is enough.
  std::optional<std::string> read_head(std::string_view path, std::size_t bytes) const;
  /// A decimal number, or hexadecimal with 0x; absent when anything but space follows.
  std::optional<std::uint64_t> read_number(std::string_view path) const;
  /// A whole file of lines, their carriage returns removed.
  std::vector<std::string> read_lines(std::string_view path) const;
  /// Sorted entries of a folder without "." and "..".
  std::vector<std::string> list(std::string_view path) const;
  /// Where a path leads when its links are followed, again as a path below the root; "" when it
  /// leads nowhere or outside.
  std::string resolve(std::string_view path) const;
  /// The last part of what a link points to ("amdgpu" for .../driver); "" when it is no link.
  std::string link_name(std::string_view path) const;
  /// Whether a file is there but may not be read: for the reason in a step.
  bool denied(std::string_view path) const;

 private:
  /// The real path to open; absent when it leads outside the root.
  std::optional<std::string> real(std::string_view path) const;

  std::optional<std::string> read_file(std::string_view path, std::size_t bytes) const;

  std::string root_;                     // without links or a slash at its end
  std::shared_ptr<const SysTree> tree_;  // in place of files
  SysRecorder* recorder_ = nullptr;
};

/// "value" of a "key : value" line, trimmed; absent when the line has another key.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key);
std::string_view trim(std::string_view text);
/// A whole text as a number, as SysRoot::read_number reads it.
std::optional<std::uint64_t> parse_number(std::string_view text);
/// CPU numbers of a list such as "0-3,8,10-11"; absent when it is none, or names more than a
/// machine has.
std::optional<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text);

}  // namespace probes
