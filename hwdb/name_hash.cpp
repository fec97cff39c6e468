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
  const auto load = [&](std::size_t at, std::size_t bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, bytes);
    return word;
  };
  const std::size_t size = text.size();
  std::uint64_t state = (size + 1) * kOdd1;
  for (std::size_t at = 0; at + 8 < size; at += 8) state = mix(state ^ load(at, 8)) * kOdd1;
  // The rest by loads that may overlap what was taken already.
  std::uint64_t rest = 0;
  if (size >= 8) {
    rest = load(size - 8, 8);
  } else if (size >= 4) {
    rest = load(0, 4) << 32 | load(size - 4, 4);
  } else if (size > 0) {
    rest = load(0, 1) << 16 | load(size / 2, 1) << 8 | load(size - 1, 1);
  }
  return mix(mix(state ^ rest) * kOdd1);
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

NameSet::NameSet(const std::vector<std::uint64_t>& hashes) {
  // Half full on average, so that few buckets overflow.
  const unsigned bits = static_cast<unsigned>(std::bit_width(hashes.size() / (kSlots / 2) | 1));
  shift_ = 64 - bits;
  buckets_.resize(std::size_t{1} << bits);
  for (const std::uint64_t hash : hashes) {
    auto& tags = buckets_[bucket_of(hash)].tags;
    const auto free = std::ranges::find(tags, 0u);
    if (free != tags.end()) {
      *free = tag_of(hash);
    } else {
      overflow_.push_back(hash);
    }
  }
  std::ranges::sort(overflow_);
}

bool NameSet::contains(std::uint64_t hash) const {
  const auto& tags = buckets_[bucket_of(hash)].tags;
  const std::uint32_t tag = tag_of(hash);
  bool found = false;
  for (const std::uint32_t t : tags) found |= t == tag;
  return found || (tags.back() != 0 && std::ranges::binary_search(overflow_, hash));
}

}  // namespace hwdb
