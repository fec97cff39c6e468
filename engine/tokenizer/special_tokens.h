// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/tokenizer/vocabulary.h"

namespace engine {

/// A stretch of text, or (when token is not kNoToken) a token whose text stood there.
struct Fragment {
  std::string_view text;
  TokenId token = kNoToken;
};

/// Finds tokens that are written out in a text: user-defined ones always, control ones when asked.
class SpecialTokens {
 public:
  struct Entry {
    std::string_view text;
    TokenId token = kNoToken;
    bool is_control = false;
    bool strips_left = false, strips_right = false;  // white space beside it goes
  };
  /// The texts must outlive this. Entries longer than kLongest are left out: no file has them, and
  /// they would make the search slow.
  void build(std::vector<Entry> entries);

  /// Cuts the text. Longer tokens are found before shorter ones, each from the left.
  std::vector<Fragment> partition(std::string_view text, bool with_control) const;

  static constexpr std::size_t kLongest = 512;

 private:
  /// Marks the entries that occur anywhere.
  std::vector<bool> find_present(std::string_view text, bool with_control) const;

  std::vector<Entry> entries_;                // sorted by text
  std::vector<std::uint32_t> longest_first_;  // of entries_
  std::array<std::uint32_t, 257> first_{};    // entries_ that begin with a byte: first_[b]..[b + 1]
};

}  // namespace engine
