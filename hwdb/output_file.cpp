// SPDX-License-Identifier: MIT
#include "hwdb/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>

#include "hwdb/text_escape.h"

namespace hwdb {
namespace {

// One write call moves at most this much, so that an interrupt is seen soon.
constexpr std::size_t kWriteBytes = 16u << 20;
constexpr mode_t kFileMode = 0666;  // less the process's mask, as any program's output

}  // namespace

Error OutputFile::failed(std::string_view doing, int number) const {
  Error error{"output.write",
              fmt::format("{}: {}", doing, std::strerror(number)),
              escape_text(path_, 400),
              {}};
  if (number == ENOSPC || number == EDQUOT) {
    error.hint = fmt::format("{} bytes were written before the space ended", written_);
  }
  return error;
}

Result<OutputFile> OutputFile::create(const std::string& path, bool overwrite,
                                      WriteSome write_some) {
  OutputFile file;
  file.path_ = path;
  file.overwrite_ = overwrite;
  file.write_some_ = std::move(write_some);
  if (!file.write_some_) file.write_some_ = ::write;
  const std::size_t slash = path.rfind('/');
  file.folder_ = slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return Error{
          "output.exists", "is a folder, expected a file name", escape_text(path, 400), {}};
    }
    if (!overwrite) {
      return Error{"output.exists", "the file is there already", escape_text(path, 400),
                   "another name, or --force to replace it"};
    }
  }
  std::random_device random;
  file.temp_ = fmt::format("{}/.tokwatt-{:08x}{:08x}.tmp", file.folder_, random(), random());
  file.fd_ = ::open(file.temp_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode);
  if (file.fd_ < 0) {
    file.temp_.clear();
    return file.failed("cannot create a file in its folder", errno);
  }
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept {
  *this = std::move(other);
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temp_, other.temp_);
  std::swap(folder_, other.folder_);
  std::swap(overwrite_, other.overwrite_);
  std::swap(fd_, other.fd_);
  std::swap(written_, other.written_);
  std::swap(write_some_, other.write_some_);
  return *this;
}

OutputFile::~OutputFile() {
  discard();
}

void OutputFile::discard() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (!temp_.empty()) ::unlink(temp_.c_str());
  temp_.clear();
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  if (fd_ < 0) return failed("cannot write", EBADF);
  while (!bytes.empty()) {
    const ssize_t n = write_some_(fd_, bytes.data(), std::min(bytes.size(), kWriteBytes));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int number = n < 0 ? errno : EIO;
      discard();
      return failed("cannot write", number);
    }
    written_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return Ok{};
}

Status OutputFile::commit() {
  if (fd_ < 0) return failed("cannot write", EBADF);
  const auto give_up = [&](std::string_view doing) {
    const int number = errno;
    discard();
    return failed(doing, number);
  };
  if (::fsync(fd_) != 0) return give_up("cannot sync");
  if (::close(std::exchange(fd_, -1)) != 0) return give_up("cannot close");
  // A link refuses where a rename would replace what came up meanwhile.
  const bool linked = !overwrite_ && ::link(temp_.c_str(), path_.c_str()) == 0;
  if (linked) {
    ::unlink(temp_.c_str());
  } else if (!overwrite_ && errno == EEXIST) {
    discard();
    return Error{"output.exists", "somebody made the file meanwhile", escape_text(path_, 400),
                 "another name, or --force to replace it"};
  } else if (::rename(temp_.c_str(), path_.c_str()) != 0) {
    return give_up("cannot rename");
  }
  temp_.clear();
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    // Some file systems cannot sync a folder (EINVAL); the file is whole all the same.
    const int number = ::fsync(folder) != 0 ? errno : 0;
    ::close(folder);
    if (number != 0 && number != EINVAL) return failed("cannot sync the folder", number);
  }
  return Ok{};
}

}  // namespace hwdb
