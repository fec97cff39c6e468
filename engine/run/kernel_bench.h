// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "engine/runtime/huge_memory.h"
#include "engine/runtime/thread_pool.h"
#include "hwdb/quant_format.h"
#include "hwdb/result.h"
#include "hwdb/speed_reading.h"

namespace engine {

/// Times single products as a forward pass calls them: the same layout of weights, activations
/// quantized anew each time, all workers of the pool. Weights are random valid blocks; as many
/// copies as the memory holds are taken in turn, so that they come from memory and not from a
/// cache.
class KernelBench {
 public:
  struct Question {
    hwdb::TensorType type{};
    std::uint32_t rows = 0, ne0 = 0, tokens = 1;
  };
  struct Options {
    std::uint32_t windows = 7;     // repetitions that the median is of
    double window_seconds = 0.02;  // each holds at least one product, and lasts about so long
    double budget_seconds =
        0.5;  // of one question; fewer windows when they take longer, at least 3
    const std::atomic<bool>* cancel = nullptr;
  };

  /// `memory_bytes` for the copies, more than four times the last-level cache where there is room.
  /// Error: run.memory.
  static hwdb::Result<KernelBench> make(ThreadPool& pool, std::uint64_t memory_bytes);

  /// Whether the engine multiplies such a matrix: a known type, ne0 a multiple of its block, one
  /// copy not larger than the memory.
  bool can_time(const Question& question) const;
  /// Errors: quant.unsupported where can_time is false, run.interrupted.
  hwdb::Result<hwdb::KernelReading> time(const Question& question, const Options& options);

 private:
  KernelBench(ThreadPool& pool, HugeMemory memory) : pool_(&pool), memory_(std::move(memory)) {}
  hwdb::Status fill(const Question& question);
  std::uint64_t matrix_bytes(const Question& question) const;

  ThreadPool* pool_;
  HugeMemory memory_;
  Question filled_;             // what lies in memory_
  std::uint32_t n_copies_ = 0;  // of it; 0: nothing
  std::uint32_t next_copy_ = 0;
};

}  // namespace engine
