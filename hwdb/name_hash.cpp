// SPDX-License-Identifier: MIT
#include "hwdb/name_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace hwdb {
namespace {

constexpr std::uint64_t kOdd1 = 0x9E3779B97F4A7C15u, kOdd2 = 0xC2B2AE3D27D4EB4Fu;

std::uint64_t mix(std::uint64_t a) {
  a ^= a >> 32;
  a *= kOdd2;
  a ^= a >> 29;
  return a;
}

}  // namespace

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t state = (text.size() + 1) * kOdd1;
  while (text.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    state = mix(state ^ word) * kOdd1;
    text.remove_prefix(8);
  }
  std::uint64_t word = 0;
  for (const char c : text) word = word << 8 | static_cast<unsigned char>(c);
  return mix(mix(state ^ word) * kOdd1);
}

std::optional<std::size_t> find_duplicate(
    std::size_t count, const std::function<std::string_view(std::size_t)>& name) {
  std::vector<std::uint64_t> hashes(count);
  for (std::size_t i = 0; i < count; ++i) hashes[i] = hash_text(name(i));
  std::ranges::sort(hashes);
  if (std::ranges::adjacent_find(hashes) == hashes.end()) return std::nullopt;
  // Equal names, or a rare equal hash: sort by the names themselves.
  hashes = {};
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, name);
  const auto twice =
      std::ranges::adjacent_find(order, [&](auto a, auto b) { return name(a) == name(b); });
  if (twice == order.end()) return std::nullopt;
  return *twice;
}

NameSet::NameSet(std::vector<std::uint64_t> hashes) {
  const unsigned bits = static_cast<unsigned>(std::bit_width(hashes.size() | 1));
  shift_ = 64 - bits;
  starts_.assign((std::size_t{1} << bits) + 1, 0);
  for (const std::uint64_t hash : hashes) ++starts_[bucket_of(hash) + 1];
  std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
  hashes_.resize(hashes.size());
  std::vector<std::uint32_t> next(starts_.begin(), starts_.end() - 1);
  for (const std::uint64_t hash : hashes) hashes_[next[bucket_of(hash)]++] = hash;
  for (std::size_t b = 0; b + 1 < starts_.size(); ++b) {
    if (starts_[b + 1] - starts_[b] > 1)
      std::sort(hashes_.begin() + starts_[b], hashes_.begin() + starts_[b + 1]);
  }
}

bool NameSet::contains(std::uint64_t hash) const {
  const std::size_t bucket = bucket_of(hash);
  return std::binary_search(hashes_.begin() + starts_[bucket],
                            hashes_.begin() + starts_[bucket + 1], hash);
}

}  // namespace hwdb
