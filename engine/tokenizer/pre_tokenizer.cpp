// SPDX-License-Identifier: MIT
#include "engine/tokenizer/pre_tokenizer.h"

#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/utf8.h"

namespace engine {
namespace {

/// Looks for patterns in one piece. Positions are bytes; a character beyond the end has no class,
/// and no pattern takes it.
class PieceScanner {
 public:
  PieceScanner(std::string_view piece, PreTokenizerPass pass) : piece_(piece), pass_(pass) {
    for (const WordPattern& pattern : pass) {
      if (pattern.kind == WordPattern::Kind::final_white_space) final_white_ = find_final_white();
    }
  }

  template <class Visit>
  void split(Visit&& visit) const {
    std::size_t gap = 0, at = 0;
    while (at < piece_.size()) {
      const std::size_t end = match(at);
      if (end == at) {
        at += front_char(piece_.substr(at)).size;
        continue;
      }
      if (gap < at) visit(piece_.substr(gap, at - gap));
      visit(piece_.substr(at, end - at));
      gap = at = end;
    }
    if (gap < at) visit(piece_.substr(gap));
  }

 private:
  struct Char {
    std::uint32_t classes = 0;
    std::size_t size = 0;  // 0 at the end
  };
  Char at(std::size_t i) const {
    if (i >= piece_.size()) return {};
    const Utf8Char c = front_char(piece_.substr(i));
    return {char_classes(c.code), c.size};
  }
  char byte(std::size_t i) const { return i < piece_.size() ? piece_[i] : '\0'; }

  /// The end of the first pattern that fits at `i`; `i` when none does.
  std::size_t match(std::size_t i) const {
    const Char first = at(i);
    for (const WordPattern& pattern : pass_) {
      const std::size_t end = match_pattern(pattern, i, first);
      if (end != i) return end;
    }
    return i;
  }

  std::size_t match_pattern(const WordPattern& pattern, std::size_t i, Char first) const {
    switch (pattern.kind) {
      case WordPattern::Kind::run:
        return match_run(pattern, i, first);
      case WordPattern::Kind::signed_run: {
        if (!pattern.before.has(first.classes)) return i;
        const std::size_t end = run_end(pattern.body, i + first.size);
        return end == i + first.size ? i : end;
      }
      case WordPattern::Kind::cased_letters:
        return match_cased(pattern, i, first);
      case WordPattern::Kind::contraction:
        return contraction_end(i, false);
      case WordPattern::Kind::contraction_nocase:
        return contraction_end(i, true);
      case WordPattern::Kind::line_ends:
        return match_line_ends(i, first);
      case WordPattern::Kind::white_space:
        return match_white_space(i, first);
      case WordPattern::Kind::final_white_space:
        return i >= final_white_ ? piece_.size() : i;
    }
    return i;
  }

  /// The end of a run of at least `min` characters; `i` when there are fewer.
  std::size_t run_end(const CharSet& set, std::size_t i, unsigned min = 1, unsigned max = 0) const {
    std::size_t end = i;
    unsigned n = 0;
    for (; max == 0 || n < max; ++n) {
      const Char c = at(end);
      if (c.size == 0 || !set.has(c.classes)) break;
      end += c.size;
    }
    return n < min ? i : end;
  }

  std::size_t match_run(const WordPattern& pattern, std::size_t i, Char first) const {
    std::size_t body = i;
    if (!pattern.before.is_empty() && pattern.before.has(first.classes)) {
      const Char next = at(i + first.size);
      if (next.size != 0 && pattern.body.has(next.classes)) body = i + first.size;
    }
    std::size_t end = run_end(pattern.body, body, pattern.min, pattern.max);
    if (end == body) return i;
    if (!pattern.after.is_empty()) end = run_end(pattern.after, end);
    return end;
  }

  /// Letters that are not a-z, then letters that are not A-Z; at least one of either kind. Letters
  /// without case belong to both kinds.
  std::size_t match_cased(const WordPattern& pattern, std::size_t i, Char first) const {
    using namespace char_class;
    std::size_t end = pattern.before.has(first.classes) ? i + first.size : i;
    std::size_t both_end = 0;  // after the last one that belongs to both
    const std::size_t upper_begin = end;
    Char c = at(end);
    while ((c.classes & letter) != 0 && (c.classes & ascii_lower) == 0) {
      end += c.size;
      if ((c.classes & ascii_upper) == 0) both_end = end;
      c = at(end);
    }
    const std::size_t upper_end = end;
    while ((c.classes & letter) != 0 && (c.classes & ascii_upper) == 0) {
      end += c.size;
      c = at(end);
    }
    if (end == upper_end) {
      if (upper_end == upper_begin) return i;
      // No letter of the second kind followed: one of the first run must be it, if there is one.
      if (both_end != 0) end = both_end;
    }
    return pattern.takes_contraction ? contraction_end(end, true) : end;
  }

  std::size_t contraction_end(std::size_t i, bool any_case) const {
    if (byte(i) != '\'') return i;
    const auto letter_at = [&](std::size_t k) {
      const char c = byte(k);
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    const char a = letter_at(i + 1), b = letter_at(i + 2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return i + 3;
    return i;
  }

  std::size_t match_line_ends(std::size_t i, Char first) const {
    std::size_t end = i, at_end = i;
    for (Char c = first; (c.classes & char_class::white) != 0; c = at(at_end)) {
      at_end += c.size;
      if ((c.classes & char_class::cr_lf) != 0) end = at_end;
    }
    return end;
  }

  std::size_t match_white_space(std::size_t i, Char first) const {
    std::size_t end = i, before_last = i;
    for (Char c = first; (c.classes & char_class::white) != 0; c = at(end)) {
      before_last = end;
      end += c.size;
    }
    return end == piece_.size() || before_last == i ? end : before_last;
  }

  std::size_t find_final_white() const {
    std::size_t end = piece_.size();
    while (end > 0) {
      std::size_t begin = end - 1;
      while ((static_cast<unsigned char>(piece_[begin]) & 0xC0) == 0x80) --begin;
      if ((at(begin).classes & char_class::white) == 0) break;
      end = begin;
    }
    return end;
  }

  std::string_view piece_;
  PreTokenizerPass pass_;
  std::size_t final_white_ = 0;
};

void split_piece(std::string_view piece, std::span<const PreTokenizerPass> passes,
                 const std::function<void(std::string_view)>& visit) {
  if (passes.empty()) return visit(piece);
  PieceScanner(piece, passes.front()).split([&](std::string_view finer) {
    split_piece(finer, passes.subspan(1), visit);
  });
}

}  // namespace

void split_words(std::string_view text, const PreTokenizer& rule,
                 const std::function<void(std::string_view word)>& visit) {
  if (!text.empty()) split_piece(text, rule.passes, visit);
}

}  // namespace engine
