// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/runtime/huge_memory.h"
#include "hwdb/machine.h"

namespace probes {

/// The engine's kind of memory, with a look at what the kernel made of it.
class CpuBuffer {
 public:
  /// Null data when the system refuses.
  explicit CpuBuffer(std::size_t bytes) : memory_(bytes) {}

  /// Aligned to 2 MiB.
  std::uint8_t* data() const { return reinterpret_cast<std::uint8_t*>(memory_.data()); }
  std::size_t size() const { return memory_.size(); }
  /// How much of what was touched lies in pages of 2 MiB or more; 0 when the kernel does not say.
  std::size_t huge_bytes() const;

 private:
  engine::HugeMemory memory_;
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
