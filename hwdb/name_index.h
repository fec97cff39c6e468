// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hwdb {

/// How names of one kind are read: which words say nothing, which words people leave out.
struct NameRules {
  std::span<const std::string_view> noise;     // dropped from both sides: vendors, "graphics"
  std::span<const std::string_view> left_out;  // dropped only when the full name finds nothing
  bool memory_sizes = false;  // "16GB" chooses among rows instead of being part of the name
  bool core_counts = false;   // "16-core" says nothing
  bool versions = false;      // "4.0" is "4"
  bool words_missing =
      false;  // the words of a name may be a part of a row's, if the rest is numbers
};

extern const NameRules kGpuNames, kCpuNames, kSystemNames, kModelNames, kTariffNames, kLinkNames,
    kPresetNames;

/// Finds rows by name. Rows are numbers here, so that one index serves every table.
class NameIndex {
 public:
  explicit NameIndex(const NameRules& rules) : rules_(&rules) {}

  /// Adds a name of a row; the first name of a row is the one shown in messages.
  void add(std::uint32_t row, std::string_view name);

  struct Found {
    std::vector<std::uint32_t> rows;  // each once
    std::uint64_t memory_gib = 0;     // the size in the name, 0: none
    bool exact = true;                // false: found by leaving words out
  };
  /// The rows of that name: read whole, then without its parenthesis, then by the parenthesis
  /// alone; after that the same with the words that people leave out. Where no size is asked for,
  /// names without one go before names with one.
  Found find(std::string_view name) const;

  /// The first names of the rows that look most like `name`.
  std::vector<std::string> nearest(std::string_view name) const;

 private:
  /// A name that was added.
  struct Entry {
    std::uint32_t row;
    bool sized;  // it holds a memory size
    std::string name;
    std::vector<std::string> words;  // without noise
  };
  struct Key {
    std::vector<std::string> words;
    std::uint64_t memory_gib = 0;
  };
  Key key_of(std::string_view name) const;
  std::string without_left_out(const std::vector<std::string>& words) const;
  std::vector<std::uint32_t> rows_of(const std::vector<std::uint32_t>& entries,
                                     bool size_asked) const;
  std::vector<std::uint32_t> closest(const std::vector<std::uint32_t>& entries,
                                     const std::vector<std::string>& words) const;
  std::vector<std::uint32_t> rows_holding(const std::vector<std::string>& words) const;

  const NameRules* rules_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::vector<std::uint32_t>> full_, short_;  // to entries
};

}  // namespace hwdb
