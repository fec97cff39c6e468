// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "hwdb/machine.h"

namespace probes {

/// Anonymous memory that nobody has touched yet, in 2 MiB pages where the kernel gives them; given
/// back when it goes.
class CpuBuffer {
 public:
  /// Null data when the system refuses.
  explicit CpuBuffer(std::size_t bytes);
  CpuBuffer(const CpuBuffer&) = delete;
  CpuBuffer& operator=(const CpuBuffer&) = delete;
  ~CpuBuffer();

  std::uint8_t* data() const { return data_; }  // aligned to 2 MiB
  std::size_t size() const { return size_; }
  /// How much of what was touched lies in pages of 2 MiB or more; 0 when the kernel does not say.
  std::size_t huge_bytes() const;

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_ = 0, size_ = 0;
  std::uint8_t* data_ = nullptr;
};

/// How large the arrays may be that stand for "memory, not cache".
struct BufferPlan {
  std::size_t bytes = 0;  // 0: nothing meaningful can be measured
  std::string reason;     // why less than wanted, or nothing
};

/// Four times all last-level caches, at least 256 MiB, at most 8 GiB and `share` of what is free
/// (of the container's limit, where there is one). Less than twice the caches says so; less than
/// the caches is 0.
BufferPlan plan_buffer(const hwdb::CpuInfo& cpu, const hwdb::MemoryInfo& memory, double share);

}  // namespace probes
