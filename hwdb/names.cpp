// SPDX-License-Identifier: MIT
#include "hwdb/names.h"

#include <algorithm>
#include <utility>

namespace hwdb {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Length of a "(R)", "(TM)" or "(C)" mark at `at`, 0 when there is none.
std::size_t mark_length(std::string_view text, std::size_t at) {
  if (text[at] != '(') return 0;
  for (std::string_view mark : {"(r)", "(tm)", "(c)"}) {
    if (text.size() - at < mark.size()) continue;
    if (std::ranges::equal(text.substr(at, mark.size()), mark, {}, lower)) return mark.size();
  }
  return 0;
}

// Names longer than this are not worth comparing letter by letter: the table grows with the square.
constexpr std::size_t kCompareLimit = 128;

/// How alike two names are, 0..1 and a little more for a part of the other.
double likeness(std::string_view wanted_key, const std::vector<std::string>& wanted_words,
                std::string_view known) {
  const std::vector<std::string> words = name_words(known);
  const std::string key = join_words(words);
  if (key.empty() || wanted_key.empty()) return 0;
  std::size_t shared = 0;
  for (const std::string& word : wanted_words) {
    shared += std::ranges::find(words, word) != words.end();
  }
  const double overlap =
      2.0 * static_cast<double>(shared) / static_cast<double>(words.size() + wanted_words.size());
  const double longest = static_cast<double>(std::max(key.size(), wanted_key.size()));
  const double close = 1.0 - static_cast<double>(edit_distance(wanted_key, key)) / longest;
  const bool part =
      key.find(wanted_key) != std::string::npos || wanted_key.find(key) != std::string_view::npos;
  return 0.4 * overlap + 0.6 * close + (part ? 0.2 : 0.0);
}

}  // namespace

std::vector<std::string> name_words(std::string_view text) {
  std::vector<std::string> words;
  words.reserve(8);
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (const std::size_t mark = mark_length(text, i); mark > 0) {
      finish();
      i += mark - 1;
      continue;
    }
    const char c = text[i];
    if (c == '+') {
      finish();
      words.emplace_back("plus");
      continue;
    }
    const bool dot = c == '.' && !word.empty() && is_digit(word.back()) && i + 1 < text.size() &&
                     is_digit(text[i + 1]);
    if (!is_digit(c) && !is_letter(c) && !dot) {
      finish();
      continue;
    }
    if (is_digit(c) && word.size() >= 2 && std::ranges::all_of(word, is_letter)) finish();
    word += lower(c);
  }
  finish();
  return words;
}

std::string join_words(std::span<const std::string> words) {
  std::string key;
  for (const std::string& word : words) key += word;
  return key;
}

std::string normalise_name(std::string_view text) {
  return join_words(name_words(text));
}

bool same_letters(std::string_view a, std::string_view b) {
  const auto counts = [](char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '+'; };
  std::size_t i = 0, j = 0;
  for (;; ++i, ++j) {
    while (i < a.size() && !counts(a[i])) ++i;
    while (j < b.size() && !counts(b[j])) ++j;
    if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
    if (lower(a[i]) != lower(b[j])) return false;
  }
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kCompareLimit);
  b = b.substr(0, kCompareLimit);
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = last[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::vector<std::string> nearest_names(std::string_view wanted, std::span<const std::string> known,
                                       std::size_t limit) {
  constexpr double kNear = 0.45;
  const std::vector<std::string> words = name_words(wanted.substr(0, kCompareLimit));
  const std::string key = join_words(words);
  std::vector<std::pair<double, const std::string*>> scored;
  for (const std::string& name : known) {
    const double score = likeness(key, words, name);
    if (score >= kNear) scored.emplace_back(score, &name);
  }
  std::ranges::stable_sort(scored, std::ranges::greater{},
                           &std::pair<double, const std::string*>::first);
  std::vector<std::string> nearest;
  for (const auto& [score, name] : scored) {
    if (nearest.size() == limit) break;
    if (std::ranges::find(nearest, *name) == nearest.end()) nearest.push_back(*name);
  }
  return nearest;
}

std::string list_names(std::span<const std::string> names) {
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) list += i + 1 == names.size() ? " or " : ", ";
    list += names[i];
  }
  return list;
}

std::string nearest_hint(std::string_view wanted, std::span<const std::string> known,
                         std::size_t limit) {
  const std::vector<std::string> nearest = nearest_names(wanted, known, limit);
  return nearest.empty() ? std::string() : "did you mean " + list_names(nearest) + "?";
}

}  // namespace hwdb
