// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/tokenizer/vocabulary.h"

namespace engine {

/// A part of a word: at first one character (or byte), later several joined.
struct Symbol {
  std::uint32_t begin = 0, size = 0;  // bytes of the word; size 0: joined into the one before
  std::int32_t previous = -1, next = -1;
  TokenId token = kNoToken;
};

/// Joins neighbours of a word, always the pair of lowest rank and of these the leftmost, until no
/// pair can be joined. n log n. Keeps its memory from word to word.
class WordMerger {
 public:
  void clear() { symbols_.clear(); }
  void add(std::uint32_t begin, std::uint32_t size, TokenId token) {
    const auto i = static_cast<std::int32_t>(symbols_.size());
    if (i > 0) symbols_.back().next = i;
    symbols_.push_back({begin, size, i - 1, -1, token});
  }
  /// `find_merge(left, right)` gives what two symbols join to: std::optional<Merge>.
  template <class FindMerge>
  void join(FindMerge&& find_merge) {
    queue_.clear();
    for (std::size_t i = 1; i < symbols_.size(); ++i) push(i - 1, i, find_merge);
    std::ranges::make_heap(queue_, std::greater<>{});
    while (!queue_.empty()) {
      std::ranges::pop_heap(queue_, std::greater<>{});
      const std::uint64_t order = queue_.back();
      queue_.pop_back();
      const auto left_index = static_cast<std::uint32_t>(order);
      Symbol& left = symbols_[left_index];
      if (left.size == 0 || left.next < 0) continue;
      Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
      // Asked again: one of the two may have been joined with another meanwhile.
      const std::optional<Merge> merge = find_merge(left, right);
      if (!merge || merge->rank != order >> 32) continue;
      left.size += right.size;
      left.token = merge->joined;
      right.size = 0;
      left.next = right.next;
      if (right.next >= 0) {
        symbols_[static_cast<std::size_t>(right.next)].previous =
            static_cast<std::int32_t>(left_index);
      }
      if (left.previous >= 0) {
        push_heaped(static_cast<std::size_t>(left.previous), left_index, find_merge);
      }
      if (left.next >= 0) {
        push_heaped(left_index, static_cast<std::size_t>(left.next), find_merge);
      }
    }
  }
  /// Calls `visit(symbol)` for what is left, in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Symbol& symbol : symbols_) {
      if (symbol.size != 0) visit(symbol);
    }
  }

 private:
  template <class FindMerge>
  bool push(std::size_t left, std::size_t right, FindMerge&& find_merge) {
    const std::optional<Merge> merge = find_merge(symbols_[left], symbols_[right]);
    if (merge) queue_.push_back(std::uint64_t{merge->rank} << 32 | left);
    return merge.has_value();
  }
  template <class FindMerge>
  void push_heaped(std::size_t left, std::size_t right, FindMerge&& find_merge) {
    if (push(left, right, find_merge)) std::ranges::push_heap(queue_, std::greater<>{});
  }

  std::vector<Symbol> symbols_;
  std::vector<std::uint64_t> queue_;  // a heap: rank, then the left symbol
};

}  // namespace engine
