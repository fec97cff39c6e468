// SPDX-License-Identifier: MIT
#include "planner/rig/rig_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "hwdb/units.h"

namespace planner {
namespace {

constexpr std::size_t kMaxWords = 1000;  // bytes of a description; the longest real one is about 90
constexpr std::uint32_t kMaxCount = 64;
constexpr std::uint64_t kMaxMemory = 64ull << 40;
constexpr std::string_view kHint =
    "write for example \"2x RTX 3090, 64GB DDR4-3200\" or "
    "\"gpu:vram=24GiB,bw=1008GB/s,fp16=165T,tdp=450W\"";

hwdb::Error syntax(std::string what, std::string_view where) {
  return {"rig.syntax", std::move(what), std::string(where), std::string(kHint)};
}
hwdb::Error range(std::string what, std::string_view where) {
  return {"rig.range", std::move(what), std::string(where), ""};
}

bool is_space(char c) {
  return c == ' ' || c == '\t';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> tokens_of(std::string_view text) {
  std::vector<std::string_view> tokens;
  std::size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && is_space(text[at])) ++at;
    const std::size_t begin = at;
    while (at < text.size() && !is_space(text[at])) ++at;
    if (at > begin) tokens.push_back(text.substr(begin, at - begin));
  }
  return tokens;
}

/// A plus written against a word and away from the next belongs to the name: "Ryzen AI Max+ 395",
/// "Xeon Gold 6548Y+", "Raspberry Pi 500+ 16GB"; so does "Max+395".
bool plus_of_a_name(std::string_view words, std::size_t at) {
  if (at == 0 || is_space(words[at - 1]) || words[at - 1] == '+') return false;
  const std::string_view rest = words.substr(at + 1);
  if (rest.empty() || rest[0] == ',' || is_space(rest[0])) return true;
  if (at < 3 || lower(words.substr(at - 3, 3)) != "max") return false;
  std::size_t digits = 0;
  while (digits < rest.size() && is_digit(rest[digits])) ++digits;
  return digits == 3 && (rest.size() == 3 || !is_alpha(rest[3]));
}

/// Parts between separators, each with the separator before it.
struct Part {
  std::string_view text;
  char before = ',';
};

hwdb::Result<std::vector<Part>> split(std::string_view words) {
  std::vector<Part> parts;
  std::size_t begin = 0;
  int depth = 0;
  char before = ',';
  for (std::size_t at = 0; at <= words.size(); ++at) {
    const bool end = at == words.size();
    if (!end && words[at] == '(') ++depth;
    if (!end && words[at] == ')' && --depth < 0)
      return syntax("a closing parenthesis without an opening one", words);
    if (!end && depth > 0) continue;
    if (!end && words[at] != ',' && !(words[at] == '+' && !plus_of_a_name(words, at))) continue;
    const std::string_view text = trim(words.substr(begin, at - begin));
    if (text.empty()) return syntax("an empty part", words);
    parts.push_back({text, before});
    if (!end) before = words[at];
    begin = at + 1;
  }
  if (depth != 0) return syntax("an opening parenthesis without a closing one", words);
  return parts;
}

bool parse_uint(std::string_view text, std::uint64_t* out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return ec == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool parse_number(std::string_view text, double* out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return ec == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}

/// "GB", "GiB", "TB"...: bytes of one, 0 when it is no such unit. Memory is labelled in powers of
/// two.
double memory_unit(std::string_view text) {
  const std::string unit = lower(text);
  if (unit == "gb" || unit == "gib" || unit == "g") return static_cast<double>(hwdb::kGiB);
  if (unit == "tb" || unit == "tib" || unit == "t") return 1024.0 * static_cast<double>(hwdb::kGiB);
  if (unit == "mb" || unit == "mib") return static_cast<double>(hwdb::kMiB);
  return 0;
}

std::size_t number_length(std::string_view token) {
  std::size_t n = 0;
  while (n < token.size() && (is_digit(token[n]) || token[n] == '.')) ++n;
  return n;
}

/// Reads memory words off the end of a list of words. `used` counts the words taken.
class MemoryReader {
 public:
  MemoryReader(const std::vector<std::string_view>& words, std::string_view where)
      : words_(words), where_(where) {}

  hwdb::Result<MemoryWords> read(std::size_t* used) {
    std::size_t end = words_.size();
    while (end > 0) {
      const std::size_t taken = take(end);
      if (error_) return *error_;
      if (taken == 0) break;
      end -= taken;
    }
    // "RAM" or "channels" alone says nothing: not memory words.
    *used = out_.empty() ? 0 : words_.size() - end;
    return out_;
  }

 private:
  /// Words taken that end before index `end`; 0: these are not about memory.
  std::size_t take(std::size_t end) {
    const std::string_view word = words_[end - 1];
    const std::string low = lower(word);
    if (low == "ram" || low == "memory" || low == "unified" || low == "vram") return 1;
    if (low == "dual-channel" || low == "quad-channel" || low == "single-channel")
      return channels(low[0] == 'd' ? 2 : low[0] == 'q' ? 4 : 1, 1);
    if (end >= 2 && (low == "ch" || low == "channel" || low == "channels")) {
      const std::string count = lower(words_[end - 2]);
      std::uint64_t n = 0;
      if (count == "single" || count == "dual" || count == "quad")
        return channels(count[0] == 'd' ? 2 : count[0] == 'q' ? 4 : 1, 2);
      if (parse_uint(count, &n)) return channels(n, 2);
      return 0;
    }
    const std::size_t digits = number_length(word);
    if (digits > 0 && digits < word.size()) {
      const std::string_view tail = word.substr(digits);
      const std::string unit = lower(tail);
      std::uint64_t n = 0;
      if ((unit == "ch" || unit == "-channel" || unit == "channel" || unit == "channels") &&
          parse_uint(word.substr(0, digits), &n))
        return channels(n, 1);
      if ((unit == "mt/s" || unit == "mts" || unit == "mhz") &&
          parse_uint(word.substr(0, digits), &n))
        return rate(n, 1);
      if (unit[0] == 'x') return modules(word, digits);
      // "8700G" is a processor; a bare letter is a unit after at most three digits.
      if (memory_unit(tail) > 0 && (tail.size() > 1 || digits <= 3))
        return size(word.substr(0, digits), memory_unit(tail), 1);
    }
    if (end >= 2 && digits == 0) {
      const std::string_view number = words_[end - 2];
      if (number_length(number) == number.size()) {
        std::uint64_t n = 0;
        if ((low == "mt/s" || low == "mhz") && parse_uint(number, &n)) return rate(n, 2);
        // "395 G" is no size; a unit apart from its number is written in full.
        if (low.size() > 1 && memory_unit(low) > 0) return size(number, memory_unit(low), 2);
      }
    }
    return type(word);
  }

  /// "2x32GB".
  std::size_t modules(std::string_view word, std::size_t digits) {
    std::uint64_t count = 0;
    const std::string_view rest = word.substr(digits + 1);
    const std::size_t n = number_length(rest);
    if (n == 0 || !parse_uint(word.substr(0, digits), &count)) return 0;
    const double unit = memory_unit(rest.substr(n));
    if (unit == 0) return 0;
    if (count == 0 || count > kMaxCount) return fail(range("1 to 64 memory modules", word));
    return size(rest.substr(0, n), unit * static_cast<double>(count), 1);
  }

  /// "DDR5", "DDR4-3200", "LPDDR5X-8000", "ddr4_2666".
  std::size_t type(std::string_view word) {
    const std::string low = lower(word);
    std::size_t at = low.rfind("lpddr", 0) == 0 ? 5 : low.rfind("ddr", 0) == 0 ? 3 : 0;
    if (at == 0 || at >= low.size() || !is_digit(low[at])) return 0;
    ++at;
    if (at < low.size() && (low[at] == 'x' || low[at] == 'l')) ++at;
    std::string name = low.substr(0, at);
    for (char& c : name) c = static_cast<char>(is_alpha(c) ? c - 'a' + 'A' : c);
    if (at < low.size()) {
      std::uint64_t mt = 0;
      if ((low[at] != '-' && low[at] != '_' && low[at] != '@') ||
          !parse_uint(std::string_view(low).substr(at + 1), &mt))
        return fail(
            syntax(fmt::format("\"{}\": a rate such as DDR5-6000 was expected", word), where_));
      if (rate(mt, 1) == 0) return 0;
    }
    if (!out_.type.empty()) return fail(syntax("two memory types in one part", where_));
    out_.type = name;
    return 1;
  }

  std::size_t size(std::string_view number, double unit, std::size_t taken) {
    double value = 0;
    if (!parse_number(number, &value)) return 0;
    if (out_.bytes) return fail(syntax("two memory sizes in one part", where_));
    const double bytes = value * unit;
    if (!(bytes >= static_cast<double>(hwdb::kMiB)) || bytes > static_cast<double>(kMaxMemory))
      return fail(
          range(fmt::format("\"{}\": memory of 1 MiB to 64 TiB was expected", number), where_));
    out_.bytes = static_cast<std::uint64_t>(bytes);
    return taken;
  }

  std::size_t rate(std::uint64_t mt, std::size_t taken) {
    if (mt < 100 || mt > 20'000)
      return fail(range(fmt::format("{} MT/s: a rate of 100 to 20000 was expected", mt), where_));
    if (out_.rate_mt_per_s) return fail(syntax("two memory rates in one part", where_));
    out_.rate_mt_per_s = static_cast<std::uint32_t>(mt);
    return taken;
  }

  std::size_t channels(std::uint64_t n, std::size_t taken) {
    if (n < 1 || n > 64) return fail(range("1 to 64 memory channels were expected", where_));
    if (out_.channels) return fail(syntax("two channel counts in one part", where_));
    out_.channels = static_cast<std::uint32_t>(n);
    return taken;
  }

  std::size_t fail(hwdb::Error error) {
    error_ = std::move(error);
    return 0;
  }

  const std::vector<std::string_view>& words_;
  std::string_view where_;
  MemoryWords out_;
  std::optional<hwdb::Error> error_;
};

/// Takes "2x", "2 x", "2×", "2*" off the front; what is left must not be empty.
hwdb::Result<std::uint32_t> take_count(std::string_view* text) {
  std::size_t digits = 0;
  while (digits < text->size() && is_digit((*text)[digits])) ++digits;
  if (digits == 0) return 1u;
  std::string_view rest = trim(text->substr(digits));
  std::size_t mark = 0;
  if (!rest.empty() && (rest[0] == 'x' || rest[0] == 'X' || rest[0] == '*')) mark = 1;
  if (rest.substr(0, 2) == "\xc3\x97") mark = 2;  // the multiplication sign in UTF-8
  if (mark == 0) return 1u;
  std::uint64_t count = 0;
  const bool readable = parse_uint(text->substr(0, digits), &count) && count <= kMaxCount;
  // "7900 XTX" and "7900XTX" are names: a count's mark stands apart from a word it does not touch.
  const bool apart = rest.size() == mark || is_space(rest[mark]);
  const bool touching = text->size() > digits && !is_space((*text)[digits]);
  if (mark == 1 && !apart && (!touching || !readable)) return 1u;
  const std::string_view named = trim(rest.substr(mark));
  // "4x16GB" is memory, told apart by its caller's reader; "16x" names nothing.
  if (named.empty()) return syntax("a count without a name", *text);
  if (!readable || count < 1) return range("a count of 1 to 64 was expected", *text);
  *text = named;
  return static_cast<std::uint32_t>(count);
}

bool is_key_value(std::string_view text) {
  const std::size_t eq = text.find('=');
  return eq != std::string_view::npos && eq > 0 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(eq),
                     [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

hwdb::Status add_value(std::string_view text, RigItem* item) {
  const std::size_t eq = text.find('=');
  if (!is_key_value(text))
    return syntax(fmt::format("\"{}\": key=value was expected", text), item->text);
  const std::string key = lower(text.substr(0, eq));
  const std::string_view value = trim(text.substr(eq + 1));
  if (value.empty()) return syntax(fmt::format("{}= without a value", key), item->text);
  for (const auto& [known, unused] : item->values)
    if (known == key) return syntax(fmt::format("{}= twice", key), item->text);
  item->values.emplace_back(key, std::string(value));
  return hwdb::Ok{};
}

hwdb::Result<RigItem> parse_part(std::string_view part) {
  RigItem item;
  item.text = std::string(part);
  auto words = tokens_of(part);
  std::size_t used = 0;
  auto memory = MemoryReader(words, part).read(&used);
  if (!memory) return memory.error();
  if (used == words.size()) {
    item.kind = RigItem::Kind::memory;
    item.memory = *memory;
    return item;
  }
  std::string_view named = part;
  const auto count = take_count(&named);
  if (!count) return count.error();
  item.count = *count;
  words = tokens_of(named);
  // "RTX 3090 x2".
  if (words.size() > 1 && item.count == 1) {
    const std::string_view last = words.back();
    std::uint64_t n = 0;
    if ((last[0] == 'x' || last[0] == 'X') && parse_uint(last.substr(1), &n) && n >= 1 &&
        n <= kMaxCount) {
      item.count = static_cast<std::uint32_t>(n);
      named = trim(named.substr(0, named.size() - last.size()));
      words.pop_back();
    }
  }
  const std::string low = lower(named);
  const bool gpu = low.rfind("gpu:", 0) == 0, cpu = low.rfind("cpu:", 0) == 0;
  if (gpu || cpu) {
    item.kind = gpu ? RigItem::Kind::custom_gpu : RigItem::Kind::custom_cpu;
    if (const auto ok = add_value(trim(named.substr(4)), &item); !ok) return ok.error();
    return item;
  }
  memory = MemoryReader(words, named).read(&used);
  if (!memory) return memory.error();
  item.memory = *memory;
  item.text = std::string(named);
  const std::size_t kept = words.size() - used;
  if (kept == 0) return syntax("a name was expected", part);
  const char* end = words[kept - 1].data() + words[kept - 1].size();
  item.name = std::string(named.substr(0, static_cast<std::size_t>(end - named.data())));
  return item;
}

}  // namespace

hwdb::Result<RigText> parse_rig_text(std::string_view words) {
  if (words.size() > kMaxWords)
    return range(fmt::format("a description of {} bytes; at most {}", words.size(), kMaxWords), "");
  for (const char c : words)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t')
      return syntax("a control character in the description", "");
  if (trim(words).empty()) return syntax("an empty description", "");
  const auto parts = split(words);
  if (!parts) return parts.error();

  RigText rig;
  for (const Part& part : *parts) {
    const std::string low = lower(part.text);
    if (low.rfind("power=", 0) == 0) {
      const auto watts = hwdb::parse_quantity(trim(part.text.substr(6)), "W");
      if (!watts) return syntax("power= needs watts, such as power=300W", part.text);
      if (!(*watts >= 1 && *watts <= 100'000))
        return range("a power limit of 1 to 100000 W was expected", part.text);
      rig.power_limit_watts = *watts;
      continue;
    }
    if (low == "nvlink" || low == "with nvlink") {
      rig.nvlink = true;
      continue;
    }
    if (low == "laptop") {
      rig.laptop = true;
      continue;
    }
    const bool open = !rig.items.empty() && part.before == ',' &&
                      (rig.items.back().kind == RigItem::Kind::custom_gpu ||
                       rig.items.back().kind == RigItem::Kind::custom_cpu);
    if (is_key_value(part.text)) {
      if (!open)
        return syntax(fmt::format("\"{}\": key=value belongs after gpu: or cpu:", part.text),
                      words);
      if (const auto ok = add_value(part.text, &rig.items.back()); !ok) return ok.error();
      continue;
    }
    auto item = parse_part(part.text);
    if (!item) return item.error();
    rig.items.push_back(std::move(*item));
  }
  if (rig.items.empty()) return syntax("no part of a machine is named", words);
  return rig;
}

RigItem joined(const RigItem& first, const RigItem& second) {
  RigItem out = second;
  out.count = first.count;
  out.text = first.text + " " + second.text;
  out.name = first.name + " " + second.name;
  return out;
}

}  // namespace planner
