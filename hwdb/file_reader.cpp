// SPDX-License-Identifier: MIT
#include "hwdb/file_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "something else";
}

std::int64_t modified_ns(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

std::int64_t system_read_at(int fd, void* to, std::size_t size, std::uint64_t offset) {
  return ::pread(fd, to, size, static_cast<off_t>(offset));
}

}  // namespace

Result<FileReader> FileReader::open(const std::string& path, ReadAt read_at) {
  FileReader file;
  file.path_ = path;
  file.shown_path_ = escape_text(path);
  file.read_at_ = read_at ? std::move(read_at) : ReadAt(system_read_at);
  if (path.find('\0') != std::string::npos) {
    return file.error("file.open", "the path holds a NUL byte, which no file name has");
  }
  // O_NONBLOCK: opening a pipe without a writer must not wait.
  file.fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  const int open_error = errno;
  struct stat info {};
  if (file.fd_ < 0) {
    // A socket cannot be opened at all; say what it is rather than "no such device".
    if (::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
      return file.error("file.not_regular", "this is a socket, expected a model file");
    }
    return file.error("file.open", "cannot be opened: " + reason(open_error));
  }
  if (::fstat(file.fd_, &info) != 0) {
    return file.error("file.open", "cannot be examined: " + reason(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return file.error("file.not_regular",
                      fmt::format("this is {}, expected a model file", kind_of(info.st_mode)));
  }
  file.size_ = static_cast<std::uint64_t>(info.st_size);
  file.device_ = info.st_dev;
  file.inode_ = info.st_ino;
  file.modified_ns_ = modified_ns(info);
  return file;
}

FileReader::FileReader(FileReader&& other) noexcept {
  *this = std::move(other);
}

FileReader& FileReader::operator=(FileReader&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    path_ = std::move(other.path_);
    shown_path_ = std::move(other.shown_path_);
    fd_ = std::exchange(other.fd_, -1);
    size_ = other.size_;
    device_ = other.device_;
    inode_ = other.inode_;
    modified_ns_ = other.modified_ns_;
    read_at_ = std::move(other.read_at_);
  }
  return *this;
}

FileReader::~FileReader() {
  if (fd_ >= 0) ::close(fd_);
}

Error FileReader::error(std::string_view code, std::string what, std::string hint) const {
  return Error{std::string(code), std::move(what), shown_path_, std::move(hint)};
}

Status FileReader::read(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const std::int64_t got = read_at_(fd_, to.data(), to.size(), offset);
    if (got < 0) {
      if (errno == EINTR) continue;
      return error("file.read",
                   fmt::format("reading failed at byte {}: {}", offset, reason(errno)));
    }
    if (got == 0) {
      return error("file.changed",
                   fmt::format("the file ends at byte {} now, it had {} bytes when it was opened",
                               offset, size_),
                   "is it still being written? Try again when that is done");
    }
    offset += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return Ok{};
}

Result<std::string> FileReader::read_text(std::uint64_t max_bytes) const {
  if (size_ > max_bytes) {
    return error("json.limit", fmt::format("{} bytes, at most {} are read", size_, max_bytes));
  }
  std::string text(static_cast<std::size_t>(size_), '\0');
  const Status status = read(0, std::as_writable_bytes(std::span(text)));
  if (!status) return status.error();
  return text;
}

Status FileReader::check_unchanged() const {
  struct stat now {};
  struct stat named {};
  const std::string hint = "is it still being written? Try again when that is done";
  if (::fstat(fd_, &now) != 0 || static_cast<std::uint64_t>(now.st_size) != size_ ||
      modified_ns(now) != modified_ns_) {
    return error("file.changed", "the file was changed while it was read", hint);
  }
  if (::stat(path_.c_str(), &named) != 0 || named.st_dev != device_ || named.st_ino != inode_) {
    return error("file.changed", "the file was replaced while it was read", hint);
  }
  return Ok{};
}

WindowReader::WindowReader(const FileReader& file, std::uint64_t position, std::size_t window)
    : file_(&file),
      position_(std::min(position, file.size())),
      buffer_(static_cast<std::size_t>(std::min<std::uint64_t>(window, file.size() - position_))) {}

void WindowReader::skip(std::uint64_t size) {
  size = std::min(size, left());
  position_ += size;
  if (size <= filled_ - used_) {
    used_ += static_cast<std::size_t>(size);
  } else {
    used_ = filled_ = 0;
  }
}

bool WindowReader::fill(std::size_t size) {
  if (!status_ || size > buffer_.size() || size > left()) return false;
  const std::size_t kept = filled_ - used_;
  if (kept > 0) std::memmove(buffer_.data(), buffer_.data() + used_, kept);
  const std::size_t wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), left()));
  used_ = 0;
  filled_ = kept;
  status_ = file_->read(position_ + kept, std::span(buffer_).subspan(kept, wanted - kept));
  if (!status_) return false;
  filled_ = wanted;
  return true;
}

}  // namespace hwdb
