// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwdb/result.h"

namespace hwdb {

/// Reads `size` bytes at `offset` of descriptor `fd` as pread does: bytes read, 0 at the end, -1
/// with errno. Tests put faults in here.
using ReadAt =
    std::function<std::int64_t(int fd, void* to, std::size_t size, std::uint64_t offset)>;

/// A regular file that is read where it is asked, never mapped: a file cut or replaced meanwhile
/// gives an error and no signal. Opening never waits (a pipe or a device is refused at once).
class FileReader {
 public:
  /// Errors: file.open (with the system's reason), file.not_regular.
  static Result<FileReader> open(const std::string& path, ReadAt read_at = {});
  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&& other) noexcept;
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;
  ~FileReader();

  const std::string& path() const { return path_; }
  /// The path escaped, for messages.
  const std::string& shown_path() const { return shown_path_; }
  /// Size when it was opened.
  std::uint64_t size() const { return size_; }

  /// Fills `to` from `offset`; the range must lie within size(). Errors: file.read (with the
  /// offset), file.changed (the file became shorter).
  Status read(std::uint64_t offset, std::span<std::byte> to) const;
  /// The whole file as text. Errors: json.limit when it is over `max_bytes`, else as read().
  Result<std::string> read_text(std::uint64_t max_bytes) const;
  /// Whether the file is still the one that was opened. Error: file.changed.
  Status check_unchanged() const;
  /// An error about this file.
  Error error(std::string_view code, std::string what, std::string hint = {}) const;

 private:
  FileReader() = default;
  std::string path_, shown_path_;
  int fd_ = -1;
  std::uint64_t size_ = 0, device_ = 0, inode_ = 0;
  std::int64_t modified_ns_ = 0;
  ReadAt read_at_;
};

/// Walks forward through a file by a buffer, so that many small fields cost few system calls.
class WindowReader {
 public:
  explicit WindowReader(const FileReader& file, std::uint64_t position = 0,
                        std::size_t window = kWindow);

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return file_->size() - position_; }
  const FileReader& file() const { return *file_; }

  /// Makes the next `size` bytes visible at data(); false when the file ends before, or on a read
  /// error (then status() says which). `size` is at most the window.
  bool need(std::size_t size) {
    if (size <= filled_ - used_) return true;
    return fill(size);
  }
  const std::byte* data() const { return buffer_.data() + used_; }
  /// Bytes visible without reading.
  std::size_t visible() const { return filled_ - used_; }
  /// Steps over bytes that need() made visible.
  void advance(std::size_t size) {
    used_ += size;
    position_ += size;
  }
  /// Steps over `size` bytes, at most left(), without reading them.
  void skip(std::uint64_t size);
  /// The first read error; ok when there was none.
  const Status& status() const { return status_; }

  static constexpr std::size_t kWindow = 256 * 1024;

 private:
  bool fill(std::size_t size);
  const FileReader* file_;
  std::uint64_t position_;
  std::vector<std::byte> buffer_;
  std::size_t used_ = 0, filled_ = 0;
  Status status_ = Ok{};
};

}  // namespace hwdb
