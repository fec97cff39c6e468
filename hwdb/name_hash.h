// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace hwdb {

/// A fast 64-bit hash of a text. Equal hashes do not prove equal texts.
std::uint64_t hash_text(std::string_view text);

/// The index of one of two equal names among `count`; absent when all differ. n log n whatever the
/// names are.
std::optional<std::size_t> find_duplicate(std::size_t count,
                                          const std::function<std::string_view(std::size_t)>& name);

/// A set of texts, of which only parts of their hashes are kept: never misses one that is in it,
/// and takes a text that is not in it for one once in some hundred million. One line of cache a
/// question.
class NameSet {
 public:
  explicit NameSet(const std::vector<std::uint64_t>& hashes);
  bool contains(std::uint64_t hash) const;

 private:
  static constexpr std::size_t kSlots = 8;
  struct alignas(32) Bucket {
    std::array<std::uint32_t, kSlots> tags{};  // 0: free
  };
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash) | 1u; }
  std::size_t bucket_of(std::uint64_t hash) const {
    return static_cast<std::size_t>(hash >> shift_);
  }
  unsigned shift_ = 63;
  std::vector<Bucket> buckets_;
  std::vector<std::uint64_t> overflow_;  // sorted; whatever came to a full bucket
};

}  // namespace hwdb
