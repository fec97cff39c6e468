// SPDX-License-Identifier: MIT
#include "engine/runtime/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <utility>

#include "hwdb/text_escape.h"

namespace engine {
namespace {

/// A mapping as the signal handler sees it: a fixed table of atomics, since a handler may neither
/// lock nor allocate.
struct Slot {
  std::atomic<std::uintptr_t> begin = 0, end = 0;
  std::atomic<bool> taken = false, lost = false;
};
std::array<Slot, 4096> slots;  // as many as a model has shards
struct sigaction previous {};

/// A read beyond the end of a file that was cut: zeros take the page's place.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (Slot& slot : slots) {
    if (address < slot.begin.load() || address >= slot.end.load()) continue;
    const std::uintptr_t page = address & ~std::uintptr_t{4095};
    void* const zeros = ::mmap(reinterpret_cast<void*>(page), 4096, PROT_READ,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    slot.lost.store(true);
    return;
  }
  // Not ours: as it was before us.
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  ::sigaction(SIGBUS, &previous, nullptr);
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous);
  });
}

hwdb::Error system_error(std::string_view code, const std::string& path, int error) {
  return {std::string(code),
          "cannot be mapped: " + std::generic_category().message(error),
          hwdb::escape_text(path),
          {}};
}

}  // namespace

hwdb::Result<MappedFile> MappedFile::open(const std::string& path, std::uint64_t size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return system_error("file.open", path, errno);
  struct stat info {};
  if (::fstat(fd, &info) != 0 || static_cast<std::uint64_t>(info.st_size) != size || size == 0) {
    ::close(fd);
    return hwdb::Error{
        "file.changed", "the file's size changed while it was opened", hwdb::escape_text(path), {}};
  }
  void* const mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (mapping == MAP_FAILED) return system_error("run.memory", path, error);
  MappedFile file;
  file.data_ = static_cast<std::byte*>(mapping);
  file.size_ = size;
  install_handler();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true)) continue;
    slots[i].lost.store(false);
    slots[i].begin.store(reinterpret_cast<std::uintptr_t>(mapping));
    slots[i].end.store(reinterpret_cast<std::uintptr_t>(mapping) + size);
    file.slot_ = static_cast<int>(i);
    return file;
  }
  return hwdb::Error{"run.memory", "too many files are mapped", hwdb::escape_text(path), {}};
}

MappedFile::MappedFile(MappedFile&& other) noexcept {
  *this = std::move(other);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(slot_, other.slot_);
  return *this;
}

MappedFile::~MappedFile() {
  if (slot_ >= 0) {
    Slot& slot = slots[static_cast<std::size_t>(slot_)];
    slot.end.store(0);
    slot.begin.store(0);
    slot.taken.store(false);
  }
  if (data_ != nullptr) ::munmap(data_, size_);
}

bool MappedFile::lost() const {
  return slot_ >= 0 && slots[static_cast<std::size_t>(slot_)].lost.load();
}

}  // namespace engine
