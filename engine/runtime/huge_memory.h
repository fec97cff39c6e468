// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace engine {

/// Anonymous memory that nobody has touched yet, in 2 MiB pages where the kernel gives them; given
/// back when it goes.
class HugeMemory {
 public:
  HugeMemory() = default;
  /// Null data when the system refuses (or for 0 bytes).
  explicit HugeMemory(std::size_t bytes);
  HugeMemory(HugeMemory&& other) noexcept;
  HugeMemory& operator=(HugeMemory&& other) noexcept;
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  ~HugeMemory();

  std::byte* data() const { return data_; }  // aligned to 2 MiB; zeros
  std::size_t size() const { return size_; }

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_ = 0, size_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace engine
