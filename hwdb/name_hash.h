// SPDX-License-Identifier: MIT
#pragma once

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

/// A set of texts, of which only hashes are kept: may find what is not there once in 2^64, never
/// misses.
class NameSet {
 public:
  explicit NameSet(std::vector<std::uint64_t> hashes);
  bool contains(std::uint64_t hash) const;

 private:
  std::size_t bucket_of(std::uint64_t hash) const {
    return static_cast<std::size_t>(hash >> shift_);
  }
  unsigned shift_ = 63;
  std::vector<std::uint64_t> hashes_;  // grouped by bucket, sorted within
  std::vector<std::uint32_t> starts_;  // of each bucket, and the end
};

}  // namespace hwdb
