// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "probes/detect/cpu_places.h"
#include "probes/measure/cpu_buffer.h"
#include "probes/measure/cpu_kernels.h"

namespace probes {

/// The fastest that this processor runs.
const StreamKernels& best_stream_kernels();

/// Random floats in memory, cut into one slice a place; each slice is first touched by the thread
/// that is pinned there, and hence lies in that place's memory node.
class CpuArrays {
 public:
  CpuArrays(std::size_t bytes, std::vector<CpuPlace> places,
            const StreamKernels& kernels = best_stream_kernels());

  bool allocated() const { return buffer_.data() != nullptr; }
  /// Writes every slice. After `seconds` (or a wish to stop) slices end where the slowest thread
  /// is, so that bytes() may be less than asked for, even 0.
  void fill(double seconds, const std::atomic<bool>* cancel);

  std::size_t bytes() const { return slice_bytes_ * places_.size(); }
  std::size_t slice_bytes() const { return slice_bytes_; }
  std::uint8_t* slice(std::size_t i) const { return buffer_.data() + i * stride_; }
  /// What the 64-bit words of a slice add up to.
  std::uint64_t sum(std::size_t i) const { return sums_[i]; }
  std::size_t places() const { return places_.size(); }
  const StreamKernels& kernels() const { return kernels_; }

  unsigned streams() const { return streams_; }
  void set_streams(unsigned streams) { streams_ = streams; }  // 1, 2, 4 or 8

  /// For each of the first `threads` places the slices that it reads, all of its own node; together
  /// every slice of those nodes, so that few threads do not read little enough for the caches.
  std::vector<std::vector<std::size_t>> local_shares(std::size_t threads) const;
  /// The slices of one node, dealt to that many threads.
  std::vector<std::vector<std::size_t>> node_shares(std::uint32_t node, std::size_t threads) const;

  /// "AVX-512, 4 streams a thread, 1.02 GiB of random data in 2 MiB pages".
  std::string describe() const;

  /// Slices are cut into pieces of this size, which each stream reads its share of.
  static constexpr std::size_t kPieceBytes = std::size_t{256} << 10;

 private:
  std::vector<CpuPlace> places_;
  const StreamKernels& kernels_;
  CpuBuffer buffer_;
  std::size_t stride_ = 0, slice_bytes_ = 0, huge_bytes_ = 0;
  unsigned streams_ = 4;
  std::vector<std::uint64_t> sums_;
};

/// Reads slices round and round, and holds each sum against what was written.
class CpuReaders {
 public:
  CpuReaders(const CpuArrays* arrays, std::vector<std::vector<std::size_t>> shares);
  /// Reads one piece; the bytes. Each thread with its own number.
  double step(std::size_t thread);
  /// "" or that memory held something else than was written. After the load has ended.
  std::string fault() const;
  /// How many whole slices were read and found right.
  std::uint64_t slices_read() const;

 private:
  struct alignas(64) Reader {
    std::vector<std::size_t> slices;
    std::size_t at = 0, piece = 0;
    std::uint64_t sum = 0, slices_read = 0;
    bool wrong = false;
  };
  const CpuArrays& arrays_;
  std::vector<Reader> readers_;
};

/// Writes into the slices, which then no longer hold what sum() says: thread i in slice i.
class CpuWriters {
 public:
  enum class Kind { copy, triad };
  CpuWriters(const CpuArrays* arrays, Kind kind);
  /// The bytes read and written.
  double step(std::size_t thread);
  /// "" or that what was written last is not what it should be. After the load has ended.
  std::string fault() const;

  static constexpr float kFactor = 0.75f;

 private:
  struct alignas(64) Writer {
    std::size_t piece = 0;
    bool any = false;
    std::size_t last = 0;  // the piece written last
  };
  std::size_t part_bytes() const;  // one of two or three arrays in a slice
  bool right(std::size_t thread) const;

  const CpuArrays& arrays_;
  Kind kind_;
  std::vector<Writer> writers_;
};

}  // namespace probes
