// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "hwdb/result.h"

namespace engine {

/// A whole file in memory, read only, its pages the system's. When another program cuts the file,
/// reading gives zeros in place of a signal, and lost() says so.
class MappedFile {
 public:
  /// Errors: file.open, file.changed (the file is not `size` bytes long), run.memory.
  static hwdb::Result<MappedFile> open(const std::string& path, std::uint64_t size);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  /// True once a page of this file was gone when it was read: nothing read from it counts.
  bool lost() const;

 private:
  MappedFile() = default;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int slot_ = -1;  // in the table that the signal handler looks at
};

}  // namespace engine
