// SPDX-License-Identifier: MIT
#include "probes/measure/disk_read.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/vfs.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "hwdb/units.h"

namespace probes {
namespace {

constexpr std::string_view kId = "disk.read_bandwidth", kUnit = "B/s";
constexpr std::size_t kBlock = std::size_t{4} << 20;  // as a loader reads
constexpr std::size_t kAlign = 4096;                  // of O_DIRECT, for all usual disks
constexpr std::size_t kReaders = 4;
constexpr std::size_t kSamples = 20;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

struct BlockFree {
  void operator()(std::uint8_t* p) const { std::free(p); }
};
using Block = std::unique_ptr<std::uint8_t, BlockFree>;

Block new_block() {
  return Block(static_cast<std::uint8_t*>(std::aligned_alloc(kAlign, kBlock)));
}

std::string last_error() {
  return std::generic_category().message(errno);
}

#if defined(O_DIRECT)
constexpr int kDirect = O_DIRECT;
#else
constexpr int kDirect = 0;
#endif

/// A file without a name: nothing can be left behind, whatever ends the process.
Descriptor make_nameless(const std::string& folder) {
#if defined(O_TMPFILE)
  Descriptor file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.open()) return file;
#endif
  std::string path = folder + "/.tokwatt-read-XXXXXX";
  Descriptor named(::mkostemp(path.data(), O_CLOEXEC));
  if (named.open()) ::unlink(path.c_str());
  return named;
}

/// The same file once more, to be read past the cache; closed when that cannot be.
Descriptor reopen_direct(int fd) {
  if (kDirect == 0) return Descriptor();
  return Descriptor(
      ::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC | kDirect));
}

/// Whether the first block can be read that way: some file systems refuse only then.
bool reads(int fd) {
  const Block block = new_block();
  if (block == nullptr) return false;
  ssize_t n = 0;
  do {
    n = ::pread(fd, block.get(), kAlign, 0);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

bool lies_in_memory([[maybe_unused]] int fd) {
#if defined(__linux__)
  constexpr long kTmpfs = 0x01021994, kRamfs = 0x858458f6;
  struct statfs info {};
  return ::fstatfs(fd, &info) == 0 && (info.f_type == kTmpfs || info.f_type == kRamfs);
#else
  return false;
#endif
}

class DiskRead {
 public:
  DiskRead(const DiskReadOptions& options, double seconds, MeasureSteps* steps)
      : options_(options),
        deadline_(measure_clock() + seconds),
        seconds_(seconds),
        steps_(*steps) {}

  Reading run() {
    const bool own = options_.file.empty();
    file_ = own ? make_nameless(options_.folder.empty() ? "." : options_.folder)
                : Descriptor(::open(options_.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_.open()) {
      const bool denied = errno == EACCES || errno == EPERM || errno == EROFS;
      return failed(denied ? ReadingStatus::not_permitted : ReadingStatus::error,
                    own ? "no file can be made here: " + last_error()
                        : "the file cannot be opened: " + last_error());
    }
    if (own) {
      if (std::string why = write(); !why.empty()) return failed(ReadingStatus::skipped, why);
    }
    struct stat info {};
    if (::fstat(file_.get(), &info) != 0 || !S_ISREG(info.st_mode))
      return failed(ReadingStatus::error, "that is no file");
    bytes_ = std::min<std::uint64_t>(static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0)),
                                     options_.max_bytes) /
             kAlign * kAlign;
    if (bytes_ < kBlock) return failed(ReadingStatus::skipped, "the file is too small to be timed");
    if (lies_in_memory(file_.get()))
      return failed(ReadingStatus::unsupported, "the folder lies in memory, not on a disk");
    if (options_.direct) direct_ = reopen_direct(file_.get());
    const bool direct = direct_.open() && reads(direct_.get());
    // What is in the cache would be the memory's speed; what was not yet written stays there.
    if (!direct) {
      ::fsync(file_.get());
      ::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
    return measure(direct ? direct_.get() : file_.get(), direct, own);
  }

 private:
  struct Done {
    double at = 0;
    std::size_t bytes = 0;
  };

  static Reading failed(ReadingStatus status, std::string reason) {
    return failed_reading(kId, kUnit, status, std::move(reason));
  }

  bool stop() const { return steps_.cancelled() || measure_clock() > deadline_; }

  /// Random bytes, for at most half of the time; "" or why not.
  std::string write() {
    struct statvfs space {};
    std::uint64_t most = options_.make_bytes;
    if (::fstatvfs(file_.get(), &space) == 0)
      most = std::min(most, std::uint64_t{space.f_bavail} * space.f_frsize / 10);
    if (most < kBlock) return "there is too little room on the disk";
    const Block block = new_block();
    if (block == nullptr) return "out of memory";
    const double until = measure_clock() + seconds_ / 2;
    std::uint64_t state = 0x9e3779b97f4a7c15, written = 0;
    while (written + kBlock <= most && measure_clock() < until && !steps_.cancelled()) {
      for (std::size_t at = 0; at < kBlock; at += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::memcpy(block.get() + at, &state, 8);
      }
      std::size_t done = 0;
      while (done < kBlock) {
        const ssize_t n = ::write(file_.get(), block.get() + done, kBlock - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return "writing failed: " + last_error();
        done += static_cast<std::size_t>(n);
      }
      written += kBlock;
      // Bit by bit, so that the time it takes is seen here and not in one long wait at the end.
      if (written % (4 * kBlock) == 0) ::fdatasync(file_.get());
      steps_.tick();
    }
    ::fdatasync(file_.get());
    if (steps_.cancelled()) return "cancelled";
    return written < kBlock ? "there was no time to write a file" : "";
  }

  void read_blocks(int fd, std::vector<Done>* done) {
    const Block block = new_block();
    if (block == nullptr) {
      failed_ = true;
      return;
    }
    while (!stop()) {
      const std::uint64_t at = next_.fetch_add(kBlock);
      if (at >= bytes_) return;
      std::size_t got = 0;
      const std::size_t want = std::min<std::uint64_t>(kBlock, bytes_ - at);
      while (got < want) {
        const ssize_t n = ::pread(fd, block.get() + got, want - got, static_cast<off_t>(at + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
          failed_ = true;
          return;
        }
        got += static_cast<std::size_t>(n);
      }
      done->push_back({measure_clock(), got});
    }
  }

  Reading measure(int fd, bool direct, bool own) {
    std::vector<std::vector<Done>> done(kReaders);
    const double start = measure_clock();
    std::vector<std::thread> threads;
    for (std::vector<Done>& mine : done) threads.emplace_back([&] { read_blocks(fd, &mine); });
    for (std::thread& t : threads) t.join();
    steps_.tick();
    if (steps_.cancelled()) return failed(ReadingStatus::skipped, "cancelled");
    std::vector<Done> all;
    for (const auto& mine : done) all.insert(all.end(), mine.begin(), mine.end());
    if (failed_) return failed(ReadingStatus::error, "reading failed");
    if (all.empty()) return failed(ReadingStatus::skipped, "there was no time for it");
    std::ranges::sort(all, {}, &Done::at);
    std::uint64_t total = 0;
    for (const Done& d : all) total += d.bytes;

    std::vector<double> rates;
    double from = start;
    std::size_t bytes = 0;
    const std::size_t part = std::max(total / kSamples, kReaders * kBlock);
    for (const Done& d : all) {
      bytes += d.bytes;
      if (bytes < part || d.at <= from) continue;
      rates.push_back(static_cast<double>(bytes) / (d.at - from));
      from = d.at;
      bytes = 0;
    }
    const double whole = static_cast<double>(total) / (all.back().at - start);
    if (rates.empty()) rates.push_back(whole);
    Reading r =
        reading_of(kId, kUnit,
                   fmt::format("{} of {} in blocks of 4 MiB, four at a time, {}",
                               hwdb::format_bytes(hwdb::Bytes(total)),
                               own ? "a file made for it" : "the given file",
                               direct ? "past the system's cache (O_DIRECT)"
                                      : "after the system was told to drop it from its cache"),
                   std::move(rates));
    r.value = whole;
    return r;
  }

  const DiskReadOptions& options_;
  double deadline_, seconds_;
  MeasureSteps& steps_;
  Descriptor file_, direct_;
  std::uint64_t bytes_ = 0;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> failed_{false};
};

}  // namespace

Reading measure_disk_read(const DiskReadOptions& options, double seconds, MeasureSteps* steps) {
  return DiskRead(options, seconds, steps).run();
}

}  // namespace probes
