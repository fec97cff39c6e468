// SPDX-License-Identifier: MIT
#include "engine/tokenizer/special_tokens.h"

#include <algorithm>
#include <numeric>

namespace engine {
namespace {

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Takes every occurrence of an entry out of a piece of text.
void cut_fragment(std::string_view text, const SpecialTokens::Entry& entry,
                  std::vector<Fragment>* out) {
  while (!text.empty()) {
    const std::size_t found = text.find(entry.text);
    if (found == std::string_view::npos) break;
    std::string_view left = text.substr(0, found);
    text.remove_prefix(found + entry.text.size());
    while (entry.strips_left && !left.empty() && is_space(left.back())) left.remove_suffix(1);
    while (entry.strips_right && !text.empty() && is_space(text.front())) text.remove_prefix(1);
    if (!left.empty()) out->push_back({left, kNoToken});
    out->push_back({{}, entry.token});
  }
  if (!text.empty()) out->push_back({text, kNoToken});
}

}  // namespace

void SpecialTokens::build(std::vector<Entry> entries) {
  std::erase_if(entries, [](const Entry& e) { return e.text.empty() || e.text.size() > kLongest; });
  std::ranges::sort(entries, {}, [](const Entry& e) { return std::pair(e.text, e.token); });
  entries_ = std::move(entries);
  longest_first_.resize(entries_.size());
  std::iota(longest_first_.begin(), longest_first_.end(), 0u);
  std::ranges::sort(longest_first_, [&](std::uint32_t a, std::uint32_t b) {
    const std::size_t size_a = entries_[a].text.size(), size_b = entries_[b].text.size();
    return size_a != size_b ? size_a > size_b : entries_[a].token < entries_[b].token;
  });
  first_.fill(0);
  for (const Entry& entry : entries_) ++first_[byte_at(entry.text, 0) + 1];
  std::partial_sum(first_.begin(), first_.end(), first_.begin());
}

std::vector<bool> SpecialTokens::find_present(std::string_view text, bool with_control) const {
  std::vector<bool> present(entries_.size(), false);
  std::array<bool, 256> begins{};
  for (const Entry& entry : entries_) {
    if (with_control || !entry.is_control) begins[byte_at(entry.text, 0)] = true;
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    const unsigned byte = byte_at(text, at);
    if (!begins[byte]) continue;
    // Narrows the sorted entries down, one byte of the text after the other.
    auto low = entries_.begin() + first_[byte], high = entries_.begin() + first_[byte + 1];
    for (std::size_t depth = 1; low != high; ++depth) {
      for (; low != high && low->text.size() == depth; ++low) {
        if (with_control || !low->is_control) {
          present[static_cast<std::size_t>(low - entries_.begin())] = true;
        }
      }
      if (at + depth == text.size()) break;
      const unsigned next = byte_at(text, at + depth);
      const auto key = [&](const Entry& e) { return byte_at(e.text, depth); };
      low = std::ranges::lower_bound(low, high, next, {}, key);
      high = std::ranges::upper_bound(low, high, next, {}, key);
    }
  }
  return present;
}

std::vector<Fragment> SpecialTokens::partition(std::string_view text, bool with_control) const {
  if (text.empty()) return {};
  std::vector<Fragment> fragments{{text, kNoToken}};
  const std::vector<bool> present = find_present(text, with_control);
  std::vector<Fragment> finer;
  for (const std::uint32_t i : longest_first_) {
    if (!present[i]) continue;
    finer.clear();
    for (const Fragment& fragment : fragments) {
      if (fragment.token != kNoToken) {
        finer.push_back(fragment);
      } else {
        cut_fragment(fragment.text, entries_[i], &finer);
      }
    }
    fragments.swap(finer);
  }
  return fragments;
}

}  // namespace engine
