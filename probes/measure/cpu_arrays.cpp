// SPDX-License-Identifier: MIT
#include "probes/measure/cpu_arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/runtime/cpu_features.h"
#include "probes/measure/cpu_load.h"
#include "probes/measure/measure_steps.h"

namespace probes {
namespace {

constexpr std::size_t kWritePieceBytes = std::size_t{64} << 10;  // of each array

/// Two random floats from 1 to 2: neither denormals nor NaNs slow the triad down.
std::uint64_t two_floats(std::uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (*state & 0x007fffff007fffff) | 0x3f8000003f800000;
}

}  // namespace

const StreamKernels& best_stream_kernels() {
  const engine::CpuFeatures& f = engine::cpu_features();
  const std::pair<bool, const StreamKernels*> choices[] = {
      {f.avx512f, avx512_stream_kernels()},
      {f.avx2 && f.fma, avx2_stream_kernels()},
      {f.neon, neon_stream_kernels()},
  };
  for (const auto& [there, kernels] : choices) {
    if (there && kernels != nullptr) return *kernels;
  }
  return *plain_stream_kernels();
}

CpuArrays::CpuArrays(std::size_t bytes, std::vector<CpuPlace> places, const StreamKernels& kernels)
    : places_(std::move(places)), kernels_(kernels), buffer_(places_.empty() ? 0 : bytes) {
  if (!allocated()) return;
  // An odd number of pieces: streams a power of two apart would meet in the same cache sets.
  std::size_t pieces = bytes / places_.size() / kPieceBytes;
  if (pieces > 1 && pieces % 2 == 0) --pieces;
  stride_ = pieces * kPieceBytes;
  sums_.resize(places_.size());
}

void CpuArrays::fill(double seconds, const std::atomic<bool>* cancel) {
  const double deadline = measure_clock() + seconds;
  std::vector<std::size_t> filled(places_.size());
  std::vector<std::uint32_t> cpus;
  for (const CpuPlace& p : places_) cpus.push_back(p.cpu);
  run_once(cpus, [&](std::size_t i) {
    std::uint64_t state = 0x9e3779b97f4a7c15 * (i + 1);
    std::uint8_t* const first = slice(i);
    for (std::size_t at = 0; at < stride_; at += kPieceBytes) {
      if (measure_clock() > deadline || (cancel != nullptr && cancel->load())) break;
      for (std::size_t b = 0; b < kPieceBytes; b += 8) {
        const std::uint64_t word = two_floats(&state);
        std::memcpy(first + at + b, &word, 8);
      }
      filled[i] = at + kPieceBytes;
    }
  });
  std::size_t pieces = std::ranges::min(filled) / kPieceBytes;
  if (pieces > 1 && pieces % 2 == 0) --pieces;
  slice_bytes_ = pieces * kPieceBytes;
  if (slice_bytes_ == 0) return;
  // The sums by the plain loop: not by the one that is measured.
  run_once(cpus, [&](std::size_t i) {
    sums_[i] = plain_stream_kernels()->read(slice(i), slice_bytes_, 1, slice_bytes_);
  });
  huge_bytes_ = buffer_.huge_bytes();
}

std::vector<std::vector<std::size_t>> CpuArrays::local_shares(std::size_t threads) const {
  std::vector<std::vector<std::size_t>> shares(threads);
  for (std::size_t t = 0; t < threads; ++t) {
    // Which of the threads on its node it is, of how many.
    std::size_t rank = 0, peers = 0;
    for (std::size_t i = 0; i < threads; ++i) {
      if (places_[i].node != places_[t].node) continue;
      rank += i < t ? 1 : 0;
      ++peers;
    }
    shares[t] = node_shares(places_[t].node, peers)[rank];
  }
  return shares;
}

std::vector<std::vector<std::size_t>> CpuArrays::node_shares(std::uint32_t node,
                                                             std::size_t threads) const {
  std::vector<std::vector<std::size_t>> shares(threads);
  std::size_t dealt = 0;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].node == node) shares[dealt++ % threads].push_back(i);
  }
  // More readers than slices: they begin at different slices of the same ones.
  for (std::size_t t = dealt; t < threads && dealt > 0; ++t) shares[t] = shares[t % dealt];
  return shares;
}

std::string CpuArrays::describe() const {
  const double huge =
      static_cast<double>(huge_bytes_) / static_cast<double>(std::max<std::size_t>(bytes(), 1));
  const std::string pages = huge > 0.95   ? "in 2 MiB pages"
                            : huge > 0.05 ? fmt::format("{:.0f} % of it in 2 MiB pages", 100 * huge)
                                          : "in small pages";
  return fmt::format("{}, {} stream{} a thread, {} of random data {}", kernels_.isa, streams_,
                     streams_ == 1 ? "" : "s", hwdb::format_bytes(hwdb::Bytes(bytes())), pages);
}

CpuReaders::CpuReaders(const CpuArrays* arrays, std::vector<std::vector<std::size_t>> shares)
    : arrays_(*arrays), readers_(shares.size()) {
  for (std::size_t t = 0; t < shares.size(); ++t) readers_[t].slices = std::move(shares[t]);
}

double CpuReaders::step(std::size_t thread) {
  Reader& r = readers_[thread];
  if (r.slices.empty()) return 0;
  const unsigned streams = arrays_.streams();
  const std::size_t slice = r.slices[r.at], bytes = arrays_.slice_bytes();
  const std::size_t stride = bytes / streams, piece = CpuArrays::kPieceBytes / streams;
  r.sum += arrays_.kernels().read(arrays_.slice(slice) + r.piece * piece, stride, streams, piece);
  if (++r.piece * CpuArrays::kPieceBytes < bytes) return CpuArrays::kPieceBytes;
  r.wrong = r.wrong || r.sum != arrays_.sum(slice);
  ++r.slices_read;
  r.sum = 0;
  r.piece = 0;
  r.at = (r.at + 1) % r.slices.size();
  return CpuArrays::kPieceBytes;
}

std::string CpuReaders::fault() const {
  const bool wrong = std::ranges::any_of(readers_, [](const Reader& r) { return r.wrong; });
  return wrong ? "memory held something else than was written" : "";
}

std::uint64_t CpuReaders::slices_read() const {
  std::uint64_t n = 0;
  for (const Reader& r : readers_) n += r.slices_read;
  return n;
}

CpuWriters::CpuWriters(const CpuArrays* arrays, Kind kind)
    : arrays_(*arrays), kind_(kind), writers_(arrays->places()) {}

std::size_t CpuWriters::part_bytes() const {
  const std::size_t parts = kind_ == Kind::copy ? 2 : 3;
  return arrays_.slice_bytes() / parts / kWritePieceBytes * kWritePieceBytes;
}

double CpuWriters::step(std::size_t thread) {
  Writer& w = writers_[thread];
  const std::size_t part = part_bytes(), at = w.piece * kWritePieceBytes;
  if (part == 0) return 0;
  std::uint8_t* const base = arrays_.slice(thread) + at;
  w.any = true;
  w.last = w.piece;
  w.piece = at + kWritePieceBytes < part ? w.piece + 1 : 0;
  if (kind_ == Kind::copy) {
    arrays_.kernels().copy(base + part, base, kWritePieceBytes);
    return 2.0 * kWritePieceBytes;
  }
  arrays_.kernels().triad(reinterpret_cast<float*>(base + 2 * part),
                          reinterpret_cast<const float*>(base),
                          reinterpret_cast<const float*>(base + part), kFactor, kWritePieceBytes);
  return 3.0 * kWritePieceBytes;
}

bool CpuWriters::right(std::size_t thread) const {
  const Writer& w = writers_[thread];
  if (!w.any) return true;
  const std::size_t part = part_bytes();
  const std::uint8_t* const base = arrays_.slice(thread) + w.last * kWritePieceBytes;
  if (kind_ == Kind::copy) return std::memcmp(base, base + part, kWritePieceBytes) == 0;
  for (std::size_t at = 0; at < kWritePieceBytes; at += 4) {
    float a = 0, b = 0, c = 0;
    std::memcpy(&a, base + at, 4);
    std::memcpy(&b, base + part + at, 4);
    std::memcpy(&c, base + 2 * part + at, 4);
    if (!(std::abs(c - (a + kFactor * b)) <= 1e-6f * std::abs(c))) return false;
  }
  return true;
}

std::string CpuWriters::fault() const {
  for (std::size_t t = 0; t < writers_.size(); ++t) {
    if (!right(t)) return "memory holds something else than was written";
  }
  return "";
}

}  // namespace probes
