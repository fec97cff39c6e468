// SPDX-License-Identifier: MIT
#include "engine/runtime/huge_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <limits>
#include <utility>

namespace engine {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

HugeMemory::HugeMemory(std::size_t bytes) {
  if (bytes == 0 || bytes > std::numeric_limits<std::size_t>::max() - kHugePage) return;
  const std::size_t wanted = bytes + kHugePage;
  void* const mapping = ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return;
  mapping_ = mapping;
  mapped_ = wanted;
  size_ = bytes;
  const auto address = reinterpret_cast<std::uintptr_t>(mapping);
  data_ = static_cast<std::byte*>(mapping) + (kHugePage - address % kHugePage) % kHugePage;
  ::madvise(data_, size_, MADV_HUGEPAGE);  // a wish
}

HugeMemory::HugeMemory(HugeMemory&& other) noexcept {
  *this = std::move(other);
}

HugeMemory& HugeMemory::operator=(HugeMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  std::swap(size_, other.size_);
  std::swap(data_, other.data_);
  return *this;
}

HugeMemory::~HugeMemory() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapped_);
}

}  // namespace engine
