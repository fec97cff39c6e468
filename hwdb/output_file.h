// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "hwdb/result.h"

namespace hwdb {

/// Writes some bytes to a descriptor as ::write does; tests put faults in its place.
using WriteSome = std::function<ssize_t(int fd, const void* from, std::size_t size)>;

/// A file that is there whole or not at all: it is written beside its place under another name,
/// synced, and renamed. What is not committed is removed again.
class OutputFile {
 public:
  /// Errors: output.exists (there is such a file and `overwrite` is false; or a folder),
  /// output.write (with the system's reason).
  static Result<OutputFile> create(const std::string& path, bool overwrite,
                                   WriteSome write_some = {});
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Removes what was not committed.
  ~OutputFile();

  /// Appends. Error: output.write; nothing can be written after one.
  Status write(std::span<const std::byte> bytes);
  std::uint64_t written() const { return written_; }
  /// Syncs and gives the file its name. Errors: output.write, output.exists (somebody else made
  /// the file meanwhile).
  Status commit();

 private:
  OutputFile() = default;
  void discard();
  Error failed(std::string_view doing, int number) const;
  std::string path_, temp_, folder_;
  bool overwrite_ = false;
  int fd_ = -1;
  std::uint64_t written_ = 0;
  WriteSome write_some_;
};

}  // namespace hwdb
