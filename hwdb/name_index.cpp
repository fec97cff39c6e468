// SPDX-License-Identifier: MIT
#include "hwdb/name_index.h"

#include <algorithm>
#include <optional>

#include "hwdb/names.h"

namespace hwdb {
namespace {

constexpr std::string_view kGpuNoise[] = {
    "nvidia",      "geforce",  "amd",  "ati",    "radeon",  "intel",      "apple",
    "qualcomm",    "graphics", "gpu",  "gpus",   "igpu",    "dgpu",       "instinct",
    "core",        "cores",    "with", "design", "edition", "generation", "mobility",
    "corporation", "inc",      "data", "center"};
constexpr std::string_view kGpuLeftOut[] = {
    "rtx",   "gtx",        "rx",        "arc",    "quadro",      "tesla",
    "titan", "series",     "xe",        "iris",   "jetson",      "adreno",
    "pro",   "generation", "blackwell", "server", "workstation", "memory"};
constexpr std::string_view kCpuNoise[] = {
    "intel",  "amd",    "apple",       "cpu", "processor", "core",    "cores",     "gpu",
    "soc",    "with",   "gen",         "r",   "tm",        "genuine", "authentic", "qualcomm",
    "nvidia", "ampere", "corporation", "inc", "plus",      "radxa"};
constexpr std::string_view kCpuLeftOut[] = {
    "ryzen", "epyc", "xeon", "threadripper", "i3",     "i5",       "i7",     "i9",        "3",
    "5",     "7",    "9",    "ultra",        "gold",   "platinum", "silver", "pro",       "ai",
    "hx",    "v2",   "v3",   "v4",           "bionic", "altra",    "max",    "snapdragon"};
constexpr std::string_view kSystemNoise[] = {
    "nvidia", "apple", "computer", "developer", "kit", "board", "mainboard", "box",   "pc",
    "inch",   "amd",   "the",      "model",     "b",   "core",  "gpu",       "cores", "plus"};
constexpr std::string_view kModelNoise[] = {"instruct", "it",     "chat", "hf",    "gguf",
                                            "meta",     "latest", "qat",  "model", "text",
                                            "nvidia",   "c4ai",   "fp16", "bf16",  "preview"};
constexpr std::string_view kIntelWords[] = {"intel", "core", "i3", "i5", "i7", "i9"};
constexpr std::string_view kNone[] = {"\x01"};  // no word is ever this

bool contains(std::span<const std::string_view> list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "16gb", "16gib", "16g" or, with the next word, "16 gb": the size in GiB.
std::optional<std::uint64_t> memory_size(const std::vector<std::string>& words, std::size_t at,
                                         std::size_t* used) {
  const std::string& word = words[at];
  std::size_t digits = 0;
  while (digits < word.size() && is_digit(word[digits])) ++digits;
  if (digits == 0 || digits > 5) return std::nullopt;
  const std::uint64_t value = std::stoull(word.substr(0, digits));
  std::string unit = word.substr(digits);
  *used = 1;
  if (unit.empty() && at + 1 < words.size()) {
    unit = words[at + 1];
    *used = 2;
    if (unit == "g") return std::nullopt;  // "8 G 3" is no size
  }
  if (unit == "gb" || unit == "gib" || unit == "g") return value;
  if (unit == "tb" || unit == "tib") return value * 1024;
  return std::nullopt;
}

bool starts_with_digit(std::string_view word) {
  return !word.empty() && is_digit(word[0]);
}

/// Words that only say how big or how new something is: "7b", "a3b", "2407", "v0.3", "16e".
bool only_size(std::string_view word) {
  return starts_with_digit(word) ||
         (word.size() >= 2 && (word[0] == 'v' || word[0] == 'a') && is_digit(word[1]));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// The texts to try for a name, best first: whole, without its last parenthesis, the inside alone.
std::vector<std::string> readings(std::string_view name) {
  std::vector<std::string> texts = {std::string(name)};
  const std::size_t open = name.rfind('('), close = name.find(')', open == name.npos ? 0 : open);
  if (open == name.npos || close == name.npos) return texts;
  const std::string_view inside = name.substr(open + 1, close - open - 1);
  std::string outside(name.substr(0, open));
  outside += name.substr(close + 1);
  if (!trimmed(outside).empty()) texts.push_back(outside);
  if (inside.size() > 3) texts.emplace_back(inside);
  return texts;
}

/// What operating systems add to a processor's name is cut off.
std::string_view cpu_name(std::string_view name) {
  name = name.substr(0, name.find('@'));
  for (std::string_view tail : {" with ", " w/ "}) name = name.substr(0, name.find(tail));
  return name;
}

}  // namespace

const NameRules kGpuNames{kGpuNoise, kGpuLeftOut, true, false, false, false};
const NameRules kCpuNames{kCpuNoise, kCpuLeftOut, false, true, false, false};
const NameRules kSystemNames{kSystemNoise, kNone, true, false, false, false};
const NameRules kModelNames{kModelNoise, kNone, false, false, false, true};
const NameRules kTariffNames{kNone, kNone, false, false, false, false};
const NameRules kLinkNames{kNone, kNone, false, false, true, false};
const NameRules kPresetNames{kNone, kNone, false, false, false, false};

NameIndex::Key NameIndex::key_of(std::string_view name) const {
  const bool cpu = rules_->core_counts;
  std::vector<std::string> words = name_words(cpu ? cpu_name(name) : name);
  Key key;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string word = words[i];
    std::size_t used = 1;
    if (rules_->memory_sizes) {
      if (const auto size = memory_size(words, i, &used)) {
        key.memory_gib = *size;
        i += used - 1;
        continue;
      }
      // A laptop part is called by three names, and "GPU" behind it is noise.
      if (word == "laptop" || word == "notebook") word = "mobile";
    }
    if (cpu) {
      const bool count =
          i + 1 < words.size() && (words[i + 1] == "core" || words[i + 1] == "cores");
      if (count && std::ranges::all_of(word, is_digit)) continue;
      const bool generation = i + 1 < words.size() && words[i + 1] == "gen" &&
                              starts_with_digit(word) && word.size() > 2;
      if (generation) continue;
    }
    // Intel's F and KF parts are the same chip without graphics.
    if (cpu && word.size() > 4 && word.ends_with('f') && starts_with_digit(word) &&
        contains(kIntelWords, words[0])) {
      word.pop_back();
    }
    if (rules_->versions && word.ends_with(".0")) word.resize(word.size() - 2);
    if (!contains(rules_->noise, word)) key.words.push_back(std::move(word));
  }
  return key;
}

std::string NameIndex::without_left_out(const std::vector<std::string>& words) const {
  std::string key;
  bool has_number = false;
  for (const std::string& word : words) {
    if (contains(rules_->left_out, word)) continue;
    key += word;
    has_number = has_number || std::ranges::any_of(word, is_digit);
  }
  // What is left must still be a model number; "pro" or "max" alone names nothing.
  return has_number && key.size() >= 3 ? key : std::string();
}

void NameIndex::add(std::uint32_t row, std::string_view name) {
  Key key = key_of(name);
  if (key.words.empty()) return;
  const auto entry = static_cast<std::uint32_t>(entries_.size());
  full_[join_words(key.words)].push_back(entry);
  const std::string shortened = without_left_out(key.words);
  if (!shortened.empty()) short_[shortened].push_back(entry);
  entries_.push_back({row, key.memory_gib > 0, std::string(name), std::move(key.words)});
}

std::vector<std::uint32_t> NameIndex::rows_of(const std::vector<std::uint32_t>& entries,
                                              bool size_asked) const {
  const bool plain_exists =
      std::ranges::any_of(entries, [&](std::uint32_t entry) { return !entries_[entry].sized; });
  std::vector<std::uint32_t> rows;
  for (std::uint32_t entry : entries) {
    if (!size_asked && plain_exists && entries_[entry].sized) continue;
    const std::uint32_t row = entries_[entry].row;
    if (std::ranges::find(rows, row) == rows.end()) rows.push_back(row);
  }
  return rows;
}

std::vector<std::uint32_t> NameIndex::closest(const std::vector<std::uint32_t>& entries,
                                              const std::vector<std::string>& words) const {
  std::pair<std::size_t, std::size_t> best{0, 0};  // words of the query found, words not asked for
  std::vector<std::uint32_t> kept;
  for (std::uint32_t entry : entries) {
    const std::vector<std::string>& known = entries_[entry].words;
    const auto shared =
        static_cast<std::size_t>(std::ranges::count_if(words, [&](const std::string& word) {
          return std::ranges::find(known, word) != known.end();
        }));
    const std::size_t extra = known.size() - std::min(known.size(), shared);
    const bool better =
        kept.empty() || shared > best.first || (shared == best.first && extra < best.second);
    const bool equal = !kept.empty() && shared == best.first && extra == best.second;
    if (better) kept.clear();
    if (better) best = {shared, extra};
    if (better || equal) kept.push_back(entry);
  }
  return kept;
}

std::vector<std::uint32_t> NameIndex::rows_holding(const std::vector<std::string>& words) const {
  std::vector<std::uint32_t> rows;
  std::size_t fewest = SIZE_MAX;
  for (const Entry& entry : entries_) {
    const auto in_name = [&](const std::string& word) {
      return std::ranges::find(entry.words, word) != entry.words.end();
    };
    if (!std::ranges::all_of(words, in_name)) continue;
    std::size_t extra = 0;
    bool sizes = true;
    for (const std::string& word : entry.words) {
      if (std::ranges::find(words, word) != words.end()) continue;
      ++extra;
      sizes = sizes && only_size(word);
    }
    if (!sizes || extra > fewest) continue;
    if (extra < fewest) rows.clear();
    fewest = extra;
    if (std::ranges::find(rows, entry.row) == rows.end()) rows.push_back(entry.row);
  }
  return rows;
}

NameIndex::Found NameIndex::find(std::string_view name) const {
  std::vector<Key> keys;
  for (const std::string& text : readings(name)) keys.push_back(key_of(text));
  std::uint64_t memory_gib = 0;
  for (const Key& key : keys) memory_gib = memory_gib > 0 ? memory_gib : key.memory_gib;
  for (const Key& key : keys) {
    if (const auto it = full_.find(join_words(key.words)); it != full_.end()) {
      return {rows_of(it->second, memory_gib > 0), memory_gib, true};
    }
  }
  for (const Key& key : keys) {
    const std::string shortened = without_left_out(key.words);
    if (const auto it = short_.find(shortened); !shortened.empty() && it != short_.end()) {
      return {rows_of(closest(it->second, key.words), memory_gib > 0), memory_gib, false};
    }
  }
  if (rules_->words_missing) {
    for (const Key& key : keys) {
      if (key.words.empty()) continue;
      if (auto rows = rows_holding(key.words); !rows.empty()) return {std::move(rows), 0, false};
    }
  }
  return {{}, memory_gib, false};
}

std::vector<std::string> NameIndex::nearest(std::string_view name) const {
  constexpr std::size_t kShown = 5, kLooked = 20;
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const Entry& entry : entries_) names.push_back(entry.name);
  std::vector<std::string> shown;
  for (const std::string& near : nearest_names(name, names, kLooked)) {
    const auto hit = std::ranges::find(entries_, near, &Entry::name);
    // Rows are added one after the other, so the row's first name is its first entry.
    const auto first = std::ranges::find(entries_, hit->row, &Entry::row);
    if (shown.size() < kShown && std::ranges::find(shown, first->name) == shown.end()) {
      shown.push_back(first->name);
    }
  }
  return shown;
}

}  // namespace hwdb
